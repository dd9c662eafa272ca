package proxy

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/rules"
)

// This file keeps what a route in shadow needs of an exchange, which passes as if
// the route were not there: heads, and a copy of what its steps read, within
// bounds. Its steps run on that when the exchange is over: shadowrun.go.

// shadows is what a proxy does for its routes in shadow.
type shadows struct {
	p     *Proxy
	queue chan *shade  // whose steps have yet to run
	held  atomic.Int64 // bytes that shades hold
	tally shadowTally  // shadowtally.go
}

const (
	maxShades   = 256       // that wait for their steps
	shadeMemory = 32 << 20  // bytes that all of them may hold
	shadeBody   = codec.MiB // of one body
)

func newShadows(p *Proxy) *shadows {
	return &shadows{p: p, queue: make(chan *shade, maxShades)}
}

// shade is an exchange on its way past a route in shadow.
type shade struct {
	of        *shadows
	conn      Conn
	listener  *Listener
	set       *rules.Generation
	match     rules.Match
	failed    *rules.StepError // why it is not known whether the route matches; nil if it is
	call      rules.Request
	protocol  Protocol
	websocket bool
	started   time.Time

	request, response shaded
	reply             *rules.Head   // the upstream's; nil if there was none
	trailers          rules.Fields  // that followed it
	status            rules.Code    // of a call, if it was known before its end
	redact            *rules.Redact // what the exchange hides from observers; nil: nothing
}

// shadeOf returns what is to be kept of an exchange for a route in shadow, nil if
// there is none that it belongs to. acts is the exchange's own route.
func (c *conn) shadeOf(set *rules.Generation, q *rules.Request, started time.Time, acts *rules.Route) *shade {
	s := c.p.shadows
	if s == nil || !c.p.watched || !set.Shadows(c.Direction, c.port()) {
		return nil
	}
	m, outranked, err := set.Shadow(c.ctx, q, started, acts)
	h := &shade{of: s, conn: c.Conn, listener: c.listener, set: set, match: m, call: *q, protocol: c.protocol, started: started}
	h.call.Head = cloneHead(q.Head)
	route := m.Route
	if errors.As(err, &h.failed) {
		route = h.failed.Route
		h.match.Route = route
	}
	if route == nil {
		return nil
	}
	if outranked {
		h.say(&Shadowed{Outcome: ShadowOutranked})
		return nil
	}
	translates := route.UpstreamFormat() != ""
	most := int(min(route.Limits().Body, shadeBody)) + 1
	h.request = shaded{of: s, wanted: h.failed == nil && (touches(route.Request()) || translates), most: most, size: -1}
	h.response = shaded{of: s, wanted: h.failed == nil && (touches(route.Response()) || translates), most: most, size: -1}
	return h
}

// shadow looks for a route in shadow beside the one that acts.
func (x *exchange) shadow() {
	h := x.c.shadeOf(x.set, x.record.Call, x.record.Started, x.route)
	if h == nil {
		return
	}
	x.shade, h.websocket = h, x.websocket
	b := &x.request.body
	h.request.size = b.size
	switch {
	case b.stream == http.NoBody:
		h.request.end()
	case x.record.Lane == LaneExchange:
		b.stream = h.request.reader(b.stream, b.size) // the relay lane's bodies look for themselves
	}
}

// half is what is kept of a half; nil, which keeps nothing, for no shade.
func (h *shade) half(fromCaller bool) *shaded {
	switch {
	case h == nil:
		return nil
	case fromCaller:
		return &h.request
	}
	return &h.response
}

// endShade ends the exchange for its route in shadow.
func (x *exchange) endShade() {
	h := x.shade
	if h == nil {
		return
	}
	var reply *rules.Head
	if x.record.Attempts > 0 && x.record.Answered != answeredFallback {
		reply = x.response.in
		h.response.size = x.response.body.size
		if x.response.body.stream == http.NoBody {
			h.response.end()
		}
	}
	if x.readByMessage && x.record.Answered == "" && (x.record.Error == nil || len(x.record.Response.Trailers) > 0) {
		h.request.end()
		h.response.end()
	}
	h.redact, h.status = x.redact.Load(), x.status
	h.end(reply, x.record.Response.Trailers)
}

// end notes the end. What passes afterwards is not kept.
func (h *shade) end(reply *rules.Head, trailers rules.Fields) {
	h.reply, h.trailers = cloneHead(reply), slices.Clone(trailers)
	h.request.close()
	h.response.close()
}

// queue puts the steps on the way, once the observers have been told of the
// exchange. A nil shade has none.
func (h *shade) queue() {
	if h == nil {
		return
	}
	if h.request.lost || h.response.lost {
		h.skip("memory")
		return
	}
	select {
	case h.of.queue <- h:
	default:
		h.skip("busy")
	}
}

// skip says that the steps do not run, and why.
func (h *shade) skip(reason string) {
	h.forget()
	h.say(&Shadowed{Outcome: ShadowSkipped, Reason: reason})
}

// say tells the observers, and counts.
func (h *shade) say(e *Shadowed) {
	e.Exchange, e.Route, e.At, e.Generation = h.call.ID, h.match.Route.Name(), h.started, h.set.Number
	call, head := h.call, *h.call.Head
	head.Query, head.Fields, call.Head = "", nil, &head
	e.Call = &call
	h.of.tally.add(e, h.of.p.Rules.Load().Set)
	h.of.p.Observer.Observe(e)
}

// forget gives back the memory that is held.
func (h *shade) forget() {
	h.request.forget()
	h.response.forget()
}

// shaded is what is kept of a body. A nil one keeps nothing.
type shaded struct {
	of     *shadows
	wanted bool  // steps read it
	most   int   // bytes of it that are kept
	size   int64 // as declared, of one that was cut; -1 if it was not

	mu     sync.Mutex // guards what follows
	data   []byte     // as on the wire, without the framing; of calls read message by message, plain envelopes
	ended  bool       // data is all of it
	cut    bool       // there was more than most
	lost   bool       // there was no memory
	closed bool       // nothing is kept any more
}

// wants reports whether anything that passes is to be kept.
func (d *shaded) wants() bool {
	if d == nil || !d.wanted {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.closed && !d.cut && !d.lost
}

// add keeps a part of what passes.
func (d *shaded) add(part []byte) {
	if d == nil || !d.wanted || len(part) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.cut || d.lost {
		return
	}
	if room := d.most - len(d.data); len(part) > room {
		part, d.cut = part[:room], true
	}
	if need := len(d.data) + len(part); need > cap(d.data) && !d.grow(need) {
		return
	}
	d.data = append(d.data, part...)
}

// grow makes room for need bytes, if the proxy has it. mu is held.
func (d *shaded) grow(need int) bool {
	size := min(max(need, 2*cap(d.data), 512), max(d.most, need))
	more := int64(size - cap(d.data))
	if d.of.held.Add(more) > shadeMemory {
		d.of.held.Add(-more - int64(cap(d.data)))
		d.data, d.lost = nil, true
		return false
	}
	d.data = append(make([]byte, 0, size), d.data...)
	return true
}

// passed keeps a part of what passes, after which reading gave err.
func (d *shaded) passed(part []byte, err error) {
	if d == nil {
		return
	}
	d.add(part)
	if errors.Is(err, io.EOF) {
		d.end()
	}
}

// addMessage keeps a message of a call.
func (d *shaded) addMessage(data []byte) {
	if d != nil && d.wanted {
		d.add(stream.AppendEnvelope(nil, 0, data))
	}
}

// end notes that all of the body has passed.
func (d *shaded) end() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed { // else whoever runs the steps has it, without the lock
		d.ended = true
	}
}

func (d *shaded) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

func (d *shaded) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.of.held.Add(-int64(cap(d.data)))
	d.data, d.closed = nil, true
}

// reader keeps what is read of a body of size bytes, -1 if nobody knows.
func (d *shaded) reader(body io.ReadCloser, size int64) io.ReadCloser {
	if !d.wanted {
		return body
	}
	return &shadedReader{ReadCloser: body, of: d, left: size}
}

type shadedReader struct {
	io.ReadCloser
	of   *shaded
	left int64 // negative: nobody knows
}

func (r *shadedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.of.add(p[:n])
	if r.left >= 0 {
		r.left -= int64(n)
	}
	if r.left == 0 || errors.Is(err, io.EOF) {
		r.of.end()
	}
	return n, err
}
