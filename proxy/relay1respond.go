package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http1"
	"github.com/sluice-proxy/sluice/proxy/internal/splice"
	"github.com/sluice-proxy/sluice/rules"
)

// respond implements [wire].
func (x *exchange1) respond() error {
	if err := x.passResponse(); err != nil {
		return x.upstreamFailed(err)
	}
	return nil
}

func (x *exchange1) passResponse() error {
	switch {
	case x.stepsTrailers() && x.trailersOnly():
		if err := x.stepTrailersOnly(); err != nil {
			return err
		}
	case !x.trailed():
		x.skipTrailers()
	}
	if x.record.Answered == answeredFallback {
		return x.respondFallback()
	}
	x.record.Status = x.response.out.Status
	x.judgeBody()
	if err := x.sendResponse(); err != nil {
		return err
	}
	if x.tunnels {
		return x.passTunnel()
	}
	switch b := &x.response.body; {
	case x.trailed():
		return x.passTrailed()
	case b.isEdited:
		return nil
	case b.messages != nil:
		return x.passReplies() // relay1messages.go
	}
	return x.passDownload()
}

// sendResponse writes the head with what changed in it, and what is there of
// the body.
func (x *exchange1) sendResponse() error {
	changes := x.responseChanges()
	b := &x.response.body
	inPieces := b.messages != nil || x.trailed() // passResponse sends it
	if x.reply1.Kind != http1.None && !b.whole && !inPieces {
		b.seen = x.c.p.lentCapture(&x.seenResponse)
	}
	var out []byte
	rest := 0        // of the upstream's buffer, forwarded
	var broken error // what is wrong with the framing after that
	reply := x.r.reply
	if x.replySize > 0 && changes.none() && !inPieces {
		out = reply.Buffered()
		n, err := x.download.pass(out[x.replySize:], b.seen, b.judged)
		broken = err
		rest = x.replySize + n
		out = out[:rest]
		x.replySize = 0
	} else {
		x.holdReply()
		out = x.scratch[:0]
		if changes.none() {
			out = append(out, x.reply1.Raw...)
		} else {
			line := changes.line
			if line == nil {
				line = x.reply1.Line
			}
			out = http1.AppendEdited(out, line, x.reply1.Fields, changes.edits)
		}
		switch {
		case bodiless(x.response.out.Status) && !x.tunnels && x.reply1.Kind != http1.None:
			x.dropDownload()
		case inPieces:
			x.download.passOn()
		case b.isEdited:
			out = appendBody1(out, x.reply1.Kind, b.edited, &x.download.frame)
		default:
			out = append(out, x.download.kept...)
			b.seen.add(b.raw)
			b.judged.add(b.raw)
			got := reply.Buffered()
			n, err := x.download.pass(got, b.seen, b.judged)
			broken = err
			out = append(out, got[:n]...)
			rest = n
		}
		x.scratch = out
	}
	if x.download.done() {
		x.record.Response.Trailers = x.trailers()
	}
	if broken == nil && !inPieces && (b.isEdited || x.download.done()) && !x.tunnels {
		x.settle(x.record.Error) // all is known; whoever has the answer sees what it led to
		x.permit = nil
	}
	x.began = true
	_, err := x.r.out.Write(out)
	reply.Discard(rest)
	if err != nil {
		return x.callerGone()
	}
	if x.download.frame.Taken() > 0 {
		x.streamed()
	}
	return broken
}

// dropDownload forgets a body for which the status that the steps left has no
// place.
func (x *exchange1) dropDownload() {
	for !x.download.done() {
		if x.download.drop() != nil || x.download.dropped > maxDropped {
			x.ends = true
			return
		}
	}
}

// passDownload passes the rest of the response's body on as it comes.
func (x *exchange1) passDownload() error {
	r, b := x.r, &x.download
	seen, judged := x.response.body.seen, x.response.body.judged
	for !b.done() {
		if timeout := x.timedOut(); timeout != nil {
			return timeout
		}
		if n := b.bulk(seen, judged); n != 0 {
			if err := x.moveDownload(n, seen); err != nil {
				return err
			}
			continue
		}
		if len(b.in.Buffered()) == 0 {
			if err := x.fillReply(); err != nil {
				if err = b.endedBy(err); errors.Is(err, io.EOF) {
					return nil // until close: await passes the end on
				}
				return err
			}
		}
		got := b.in.Buffered()
		n, err := b.pass(got, seen, judged)
		if n > 0 {
			if _, werr := r.out.Write(got[:n]); werr != nil {
				return x.callerGone()
			}
			b.in.Discard(n)
			x.streamed()
		}
		if err != nil {
			return err
		}
	}
	x.record.Response.Trailers = x.trailers()
	return nil
}

// moveDownload moves n bytes in the kernel, with -1 all until the upstream's
// end.
func (x *exchange1) moveDownload(n int64, seen *capture) error {
	r, b := x.r, &x.download
	r.waits.Store(waitsForUpstream)
	moved, err := splice.Copy(r.c.tcp, r.up, n, &r.c.p.pipes, nil)
	r.waits.Store(waitsForNobody)
	b.moved(moved, seen)
	if err == nil {
		if n < 0 {
			_ = b.frame.End() // all is there
		}
		return nil
	}
	side, cause := moveError(err)
	switch {
	case side == splice.Dst:
		return x.callerGone()
	case r.wokenByCaller(cause):
		return nil
	}
	return b.endedBy(cause)
}

// wokenByCaller reports whether err is only the wake-up of a wait for the
// upstream because the caller has ended its side, and passes that on.
func (r *relay1) wokenByCaller(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || r.c.ctx.Err() != nil {
		return false
	}
	r.up.SetReadDeadline(time.Time{})
	return true
}

// trailers are those of the response, for the record.
func (x *exchange1) trailers() rules.Fields { return trailersOf(&x.download.frame) }

// noteTrailers keeps those of the request, once they came.
func (x *exchange1) noteTrailers() {
	if fields := trailersOf(&x.upload.frame); len(fields) > 0 {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.request.trailers = fields
	}
}

func trailersOf(body *http1.Body) rules.Fields {
	raw := body.AppendTrailers(nil)
	if len(raw) == 0 {
		return nil
	}
	fields := make(rules.Fields, len(raw))
	for i := range raw {
		fields[i] = rules.Field{Name: string(raw[i].Name), Value: string(raw[i].Value)}
	}
	return fields
}

// passTunnel joins caller and upstream until both have ended.
func (x *exchange1) passTunnel() error {
	r, c := x.r, x.r.c
	x.joinPump()
	c.p.watch.Remove(r.callerWatched)
	c.p.watch.Remove(r.upToken)
	if x.readsWebSocket() {
		x.deadlines.tunnels(nil)
		x.carryWebSocket(LaneRelay, c.tcp, r.up, r.in.Take(), r.reply.Take())
		return x.tunnelEnd()
	}
	c.pipe = splice.New(c.tcp, r.up, splice.Options{FirstAtoB: r.in.Take(), FirstBtoA: r.reply.Take(), Pipes: &c.p.pipes})
	c.race.enter(LaneSplice, c.pipe)
	x.deadlines.tunnels(passedBy(c.pipe))
	c.end(spliceEnd(c.pipe.Run()))
	return x.tunnelEnd()
}

// respondFallback writes the response that the route spells out for an open
// breaker, as its steps left it.
func (x *exchange1) respondFallback() error {
	out, b := x.response.out, &x.response.body
	data := b.raw
	switch {
	case b.isEdited:
		data = b.edited
	case b.messages != nil:
		var err error
		if data, err = io.ReadAll(b.messages); err != nil {
			return err
		}
	case !b.whole:
		var err error
		if data, err = io.ReadAll(b.stream); err != nil {
			return err
		}
		b.raw, b.whole = data, true
	}
	x.record.Status, x.began = out.Status, true
	x.settleUpload()
	return x.write(out.Status, out.Fields, data)
}

// answer implements [wire].
func (x *exchange1) answer(a *answer) {
	fields := append(x.pointer(), rules.Field{Name: errorHeader, Value: a.headerValue()})
	if a.retryAfter > 0 {
		fields = append(fields, rules.Field{Name: "Retry-After", Value: strconv.Itoa(a.retryAfter)})
	}
	status, more, data := x.said(a) // webend.go
	fields = append(fields, more...)
	x.stopPump()
	x.settleUpload()
	_ = x.write(status, fields, data) // finish has the cause; the connection tells the rest
}

// settleUpload decides whether the connection outlives a request that is
// answered here: not if its sender says that it is the last. What is left of a body is read after the answer: its sender may
// wait for that.
func (x *exchange1) settleUpload() {
	if x.head1.Close || !x.upload.done() && x.restIsTooMuch() {
		x.ends = true
	}
}

// write writes a response of Sluice's own.
func (x *exchange1) write(status int, fields rules.Fields, data []byte) error {
	if x.c.p.draining.Load() {
		x.ends = true
	}
	minor := 1
	if x.head1.Line != nil {
		minor = x.head1.Minor
	}
	out := http1.AppendStatusLine(x.scratch[:0], minor, status, http.StatusText(status))
	out = append(out, "\r\n"...)
	for _, f := range fields {
		out = http1.AppendField(out, f.Name, f.Value)
	}
	if !bodiless(status) {
		out = http1.AppendField(out, "Content-Length", strconv.Itoa(len(data)))
	}
	switch {
	case x.ends:
		out = http1.AppendField(out, "Connection", "close")
	case minor == 0:
		out = http1.AppendField(out, "Connection", "keep-alive")
	}
	out = append(out, "\r\n"...)
	if x.request.in.Method != http.MethodHead && !bodiless(status) {
		out = append(out, data...)
	}
	x.scratch = out
	if _, err := x.r.out.Write(out); err != nil {
		return x.callerGone()
	}
	return nil
}
