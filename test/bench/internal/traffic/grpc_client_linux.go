package traffic

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// grpcClient keeps calls open on one connection: each with one message there
// and back, or for Bidi with some messages always on their way.
type grpcClient struct {
	*caller
	link
	conn    *conn
	sent    []byte // each message, framed
	want    []byte // what comes for it
	calls   map[uint32]*grpcCall
	free    []*grpcCall // whose memory serves again
	next    uint32
	waiting []*grpcCall     // for a window
	due     []time.Duration // when calls were to begin that wait for another one's end
}

// grpcCall is one stream.
type grpcCall struct {
	id      uint32
	began   []time.Duration // of the messages on their way, in order
	headed  bool
	pending int // messages that wait for a window
	window  int // what may be sent
	owed    int // what came, without credit given
	got     int // of the message that is coming, with its prefix
	whole   int // messages that came
}

func newGRPCClient(c *conn, shared *caller) *grpcClient {
	path, sent, want := unaryPath, framed, framed
	switch e := shared.spec.Edit; shared.spec.Kind {
	case Bidi:
		path = bidiPath
	case Call:
		o := orderProto()
		path, sent, want = e.Method(), frameMessage(o.proto()), frameMessage(o.after(e).proto())
	}
	g := &grpcClient{
		caller: shared, link: newLink(requestHead(path)), conn: c, sent: sent, want: want, calls: map[uint32]*grpcCall{}, next: 1,
	}
	c.out = append(c.out, preface...)
	c.out = appendFrame(c.out, frameSettings, 0, 0, []byte{0, 2, 0, 0, 0, 0}) // no push
	c.out = appendWindowUpdate(c.out, 0, ourWindow-defaultWindow)
	return g
}

func (g *grpcClient) bidi() bool { return g.spec.Kind == Bidi }

// begin begins a call, or leaves it for later if no more are allowed at a time.
func (g *grpcClient) begin(at time.Duration) {
	g.meter.inFlight++
	if len(g.calls) >= g.most {
		g.due = append(g.due, at)
		return
	}
	g.open(at)
}

func (g *grpcClient) open(at time.Duration) {
	var call *grpcCall
	if n := len(g.free); n > 0 {
		call, g.free = g.free[n-1], g.free[:n-1]
	} else {
		call = new(grpcCall)
	}
	*call = grpcCall{id: g.next, began: call.began[:0], window: g.initial}
	g.next += 2
	g.calls[call.id] = call
	g.conn.out = appendFrame(g.conn.out, frameHeaders, flagEndHeaders, call.id, g.writer.block(0))
	g.say(call, at)
	for range g.spec.InFlight - 1 {
		g.meter.inFlight++
		g.say(call, at)
	}
}

// say sends a message on call, at once or when the windows allow it.
func (g *grpcClient) say(call *grpcCall, at time.Duration) {
	call.began = append(call.began, at)
	if call.pending++; call.pending == 1 && !g.flushCall(call) {
		g.waiting = append(g.waiting, call)
	}
}

// flushCall sends what waits, and reports whether that was all.
func (g *grpcClient) flushCall(call *grpcCall) bool {
	var flags byte
	if !g.bidi() {
		flags = flagEndStream
	}
	for ; call.pending > 0; call.pending-- {
		if g.send < len(g.sent) || call.window < len(g.sent) {
			return false
		}
		g.send -= len(g.sent)
		call.window -= len(g.sent)
		g.conn.out = appendFrame(g.conn.out, frameData, flags, call.id, g.sent)
	}
	return true
}

// grow gives a stream more window, or all; then those that wait look again.
func (g *grpcClient) grow(stream uint32, n int) {
	if stream == 0 {
		for _, call := range g.calls {
			call.window += n
		}
	} else if call := g.calls[stream]; call != nil {
		call.window += n
	}
	waiting := g.waiting
	g.waiting = g.waiting[:0]
	for _, call := range waiting {
		if !g.flushCall(call) {
			g.waiting = append(g.waiting, call)
		}
	}
}

func (g *grpcClient) receive(b []byte) (int, error) {
	taken := 0
	for {
		f, size, err := parseFrame(b[taken:])
		if err != nil || size == 0 {
			return taken, err
		}
		taken += size
		switch f.kind {
		case frameHeaders:
			err = g.head(f)
		case frameData:
			err = g.data(f)
		default:
			err = g.control(g.conn, f, g.grow)
		}
		if err != nil {
			return taken, err
		}
	}
}

func (g *grpcClient) head(f frame) error {
	if f.flags&flagEndHeaders == 0 {
		return errors.New("a head over several frames")
	}
	got, err := g.reader.read(f.payload)
	if err != nil {
		return fmt.Errorf("decode a head: %w", err)
	}
	call := g.calls[f.stream]
	switch {
	case call == nil:
		return fmt.Errorf("a head on stream %d, which is not open", f.stream)
	case got.status != "" && got.status != "200":
		return fmt.Errorf("status %s, grpc-status %s (%s)", got.status, got.grpcStatus, got.grpcMessage)
	case f.flags&flagEndStream == 0 && (call.headed || got.status == ""):
		return errors.New("an answer with two heads")
	case f.flags&flagEndStream == 0:
		call.headed = true
		return nil
	case got.grpcStatus != "0":
		return fmt.Errorf("grpc-status %q (%s)", got.grpcStatus, got.grpcMessage)
	case call.whole != 1 || call.got != 0:
		return fmt.Errorf("a call ended with %d messages and %d B", call.whole, call.got)
	}
	delete(g.calls, call.id)
	now := g.conn.loop.now()
	g.meter.answered(call.began[0], now)
	g.free = append(g.free, call)
	if len(g.due) > 0 {
		at := g.due[0]
		g.due = append(g.due[:0], g.due[1:]...)
		g.open(at)
	}
	if g.again() {
		g.begin(now)
	}
	return nil
}

func (g *grpcClient) data(f frame) error {
	call := g.calls[f.stream]
	if call == nil || !call.headed {
		return fmt.Errorf("DATA on stream %d, which is not answered", f.stream)
	}
	g.take(g.conn, f.flow)
	if call.owed += f.flow; call.owed >= defaultWindow/2 && f.flags&flagEndStream == 0 {
		g.conn.out = appendWindowUpdate(g.conn.out, call.id, call.owed)
		call.owed = 0
	}
	if f.flags&flagEndStream != 0 {
		return errors.New("an answer without trailers")
	}
	for p := f.payload; len(p) > 0; {
		n := min(len(g.want)-call.got, len(p))
		if !bytes.Equal(p[:n], g.want[call.got:call.got+n]) {
			return errors.New("a message is not what should come")
		}
		p = p[n:]
		if call.got += n; call.got == len(g.want) {
			call.got = 0
			g.message(call)
		}
	}
	return nil
}

// message is a whole message that came; of Bidi another one follows it.
func (g *grpcClient) message(call *grpcCall) {
	call.whole++
	if !g.bidi() {
		return
	}
	now := g.conn.loop.now()
	g.meter.answered(call.began[0], now)
	call.began = append(call.began[:0], call.began[1:]...)
	if g.again() {
		g.meter.inFlight++
		g.say(call, now)
	}
}

func (g *grpcClient) skipped(int) error { return nil }
func (g *grpcClient) drained()          {}
func (g *grpcClient) ended(err error)   { g.meter.fail(fmt.Errorf("connection ended: %w", err)) }
