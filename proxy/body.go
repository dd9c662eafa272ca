package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/rules"
)

// body is the payload of one half of an exchange. It is read only if a step
// needs it; otherwise stream goes on as it comes.
type body struct {
	x      *exchange
	stream io.ReadCloser // what is yet to be read, after raw
	size   int64         // as declared, -1 if it was not

	raw    []byte // what was read of the wire
	whole  bool   // raw is all of it
	plain  []byte // raw without its content coding, or what it became
	coding encoding.Stack

	undecoded []byte // plain as it came, if its value is not needed so far; else nil

	messages *messageBody // of a stream whose messages have steps; takes stream's place
	form     *formBody    // of a form that is too long to be kept, until its steps have run: form.go
	none     bool         // there is no message, and steps see the head alone

	codec    codec.Codec    // nil if the format is not known
	original codec.Original // to write a difference onto
	written  codec.Codec    // what edited is of, if it is not codec
	input    rules.Body
	reason   rules.Reason // why input.Err

	edited   []byte // with its content coding; valid if isEdited
	isEdited bool
	room     []byte // memory for what plans make of it, which is used again

	// refused means that an upstream has answered a caller who waits for 100
	// Continue, and not with that.
	refused atomic.Bool

	asked  atomic.Bool // net/http has been asked for the body, and answers an Expect then
	seen   *capture    // of what passes unread
	judged *capture    // the same, for a breaker whose failure reads the body; nil if none does
}

// readRequest reads and decodes the request's body if a step needs it.
func (x *exchange) readRequest() error {
	if x.route == nil || x.websocket {
		return nil
	}
	x.acceptWeb() // web.go
	if err := x.read(&x.request, x.route.Request().Needs(), false); err != nil {
		return &Error{Origin: OriginCaller, Reason: "truncated", Err: err}
	}
	return nil
}

// readResponse does the same for the response.
func (x *exchange) readResponse() error {
	if x.route == nil || x.opensWebSocket() {
		return nil
	}
	head := x.response.in
	needs := x.route.Response().Needs()
	empty := x.request.in.Method == http.MethodHead || head.Status < 200 || head.Status == http.StatusNoContent || head.Status == http.StatusNotModified
	if err := x.read(&x.response, needs, empty); err != nil {
		return x.upstreamFailed(err)
	}
	return nil
}

// read fills h.body for steps with these needs. What cannot be decoded is in
// the input's Err or Skipped, for the steps to decide; the error is of the wire.
func (x *exchange) read(h *half, needs rules.Needs, empty bool) error {
	b := &h.body
	if !needs.Body && !needs.Edits && !x.translates() && !x.judgesWeb(h) && !x.refusesLate(h) && !x.stepsWebEnd(h) || empty {
		return nil
	}
	fields := h.in.Fields
	if h.in.Status == http.StatusPartialContent {
		b.input.Skipped = "skipped_partial"
		return nil
	}
	if x.kind == callWeb || x.kind == callConnect {
		if done, err := x.readWeb(h); done {
			return err
		}
	}
	format, known := x.formatOf(h) // translate.go
	if x.kind != callNone && x.kind != callConnect {
		known = false // framed messages; call.go reads those of gRPC
	}
	if !known && b.size != 0 {
		b.input.Skipped = "skipped_format"
		return nil
	}
	if framed, ok := format.(stream.Format); ok && b.size != 0 && !x.translates() {
		if x.sized && h == &x.request { // gather needs all of it
			limit := int64(x.route.Limits().Body)
			if err := b.load(limit); err != nil {
				return err
			}
			if !b.whole {
				b.failTooLarge(limit)
				return nil
			}
			b.whole = false
		}
		raw := b.raw
		if x.readMessages(h, framed, nil); b.messages != nil {
			b.messages.all = raw
		}
		return nil
	}
	limit := int64(x.route.Limits().Body)
	if err := b.load(limit); err != nil {
		return err
	}
	if !b.whole && x.readRows(h, format) {
		return nil
	}
	if !b.whole {
		if done, err := x.readForm(h, format, limit); done || err != nil {
			return err // form.go: its files pass
		}
		b.failTooLarge(limit)
		return nil
	}
	if len(b.raw) == 0 {
		b.codec = format // null; stays empty if the result is null
		return nil
	}
	b.undo(fields, format, codec.Limits{Size: codec.Bytes(limit)})
	if b.reason == rules.ReasonTooLarge && x.readRows(h, format) {
		return nil
	}
	if b.input.Err == nil && x.editsInPlace(h, format) {
		b.undecoded = b.plain // transform decodes it if it has to
		return nil
	}
	b.decode(codec.Limits{Size: codec.Bytes(limit)})
	return nil
}

// editsInPlace reports whether nobody needs the value of a half's body.
func (x *exchange) editsInPlace(h *half, format codec.Codec) bool {
	steps := x.route.Request()
	if h == &x.response {
		steps = x.route.Response() // a breaker's failure can look at the bytes as well: judged.go
	}
	return steps.RunsOn(format) && !x.translates()
}

// load reads the body up to limit.
func (b *body) load(limit int64) error {
	if b.size > limit {
		return nil
	}
	b.asked.Store(true)
	if at, ok := b.stream.(*body1); ok && b.size > 0 {
		var err error
		b.raw, err = at.readAll(b.size)
		b.whole = err == nil
		return err
	}
	raw, err := readAtMost(b.stream, limit+1, b.size)
	b.raw = raw
	if err != nil {
		return err
	}
	b.whole = int64(len(raw)) <= limit
	return nil
}

// readAtMost reads what r has, up to limit bytes. Its size is what is said of it,
// -1 if nothing is.
func readAtMost(r io.Reader, limit, size int64) ([]byte, error) {
	room := int64(512)
	if size >= 0 {
		// One byte more finds the end. Nobody gets much memory for what they say.
		room = min(size+1, 64<<10)
	}
	for b := make([]byte, 0, room); ; {
		n, err := r.Read(b[len(b):min(int64(cap(b)), limit)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF || err == nil && int64(len(b)) == limit:
			return b, nil
		case err != nil:
			return b, err
		case len(b) == cap(b):
			b = slices.Grow(b, len(b))
		}
	}
}

// undo undoes the content coding.
func (b *body) undo(fields rules.Fields, format codec.Codec, limits codec.Limits) {
	coding, err := encoding.Parse(fields.Values("Content-Encoding")...)
	if err != nil {
		b.fail(rules.ReasonEncoding, err)
		return
	}
	plain, err := coding.Decode(b.raw, encoding.Limits{Size: limits.Size})
	if err != nil {
		b.fail(reasonOf(err, rules.ReasonEncoding), err)
		return
	}
	b.plain, b.coding, b.codec = plain, coding, format
}

// decode makes the steps' input of plain.
func (b *body) decode(limits codec.Limits) {
	b.undecoded = nil
	if b.input.Err != nil {
		return
	}
	value, original, err := b.codec.Decode(b.plain, limits)
	if err != nil {
		b.codec = nil
		b.fail(reasonOf(err, rules.ReasonDecode), err)
		return
	}
	b.input.Value, b.original = value, original
}

// editInPlace puts plain in place of a body that was not decoded.
func (b *body) editInPlace(plain []byte) error {
	wire, err := b.coding.Encode(plain)
	if err != nil {
		return err
	}
	b.plain, b.edited, b.isEdited = plain, wire, true
	return nil
}

func (b *body) fail(reason rules.Reason, err error) {
	b.input.Err, b.reason = err, reason
}

func (b *body) failTooLarge(limit int64) {
	b.fail(rules.ReasonTooLarge, fmt.Errorf("body over %d bytes: %w", limit, codec.ErrTooLarge))
}

func reasonOf(err error, otherwise rules.Reason) rules.Reason {
	if errors.Is(err, codec.ErrTooLarge) {
		return rules.ReasonTooLarge
	}
	return otherwise
}

// edit puts v in place of the body. A result that encodes to the same bytes is
// no edit: the message goes on as it came.
func (b *body) edit(v codec.Value) error {
	if b.codec == nil {
		return nil // nothing is known to write it in: an empty body without a content type
	}
	if len(b.raw) == 0 && v == nil {
		return nil
	}
	plain, err := b.codec.Encode(b.original, v)
	if err != nil {
		return err
	}
	if b.original != nil && bytes.Equal(plain, b.plain) {
		return nil
	}
	wire, err := b.coding.Encode(plain)
	if err != nil {
		return err
	}
	b.plain, b.edited, b.isEdited = plain, wire, true
	return nil
}

// outgoing returns the body to send on and its length, -1 if that is not known.
// A stream is copied to the observers as it passes.
func (b *body) outgoing() (io.ReadCloser, int64) {
	switch {
	case b.messages != nil:
		return b.messages, -1
	case b.isEdited:
		return &bytesBody{*bytes.NewReader(b.edited), b.stream}, int64(len(b.edited))
	case b.whole:
		size := b.size
		if size >= 0 {
			size = int64(len(b.raw))
		}
		return &bytesBody{*bytes.NewReader(b.raw), b.stream}, size
	}
	if b.stream == nil || b.stream == http.NoBody {
		return http.NoBody, b.size
	}
	b.seen = newCapture(int(b.x.p.Capture))
	return &passing{body: b, before: b.raw}, b.size
}

// continued reports whether a caller that expects 100 Continue has it already.
func (b *body) continued() bool { return b.asked.Load() }

// bytesBody is a body at hand. Closing it closes the stream it was read from.
type bytesBody struct {
	bytes.Reader
	stream io.Closer
}

func (b *bytesBody) Close() error { return b.stream.Close() }

// passing is a body on its way through: what was read before, then the rest.
type passing struct {
	body   *body
	before []byte
	atEOF  func() // called once when the stream ends well; may be nil
}

func (p *passing) Read(b []byte) (n int, err error) {
	if len(p.before) > 0 {
		n = copy(b, p.before)
		p.before = p.before[n:]
	} else {
		if p.body.refused.Load() {
			// net/http's client would send the body all the same, to keep the
			// connection, and its server would answer 100 to be given it.
			<-p.body.x.ctx.Done()
			return 0, context.Cause(p.body.x.ctx)
		}
		p.body.asked.Store(true)
		n, err = p.body.stream.Read(b)
		p.body.x.deadlines.moved()
	}
	p.body.seen.add(b[:n])
	p.body.judged.add(b[:n])
	if err == io.EOF && p.atEOF != nil {
		p.atEOF()
		p.atEOF = nil
	}
	return n, err
}

func (p *passing) Close() error { return p.body.stream.Close() }
