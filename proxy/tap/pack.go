package tap

import (
	"encoding/binary"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// The packed form of an event is bytes without a pointer: what is remembered
// costs the garbage collector nothing, and nothing that an event points to, a
// connection or a whole rule set, lives on for it. It is read by unpacker alone,
// in the same order, and never leaves the process. It starts with what an event
// can be passed over by: its kind, its id, its route and when it happened.
//
// What has no bytes of its own, decoded values and codecs, goes into refs beside
// it, and what those hold on to is estimated as weight.
type packer struct {
	words  *lexicon
	buf    []byte
	lent   []lent // of bodies that are not copied into buf first
	far    int    // bytes of lent
	refs   []any
	weight int64
	light  bool // leave the bodies of steps out
}

// lent is bytes of the event that stand before at of buf.
type lent struct {
	at    int
	bytes []byte
}

// lendFrom is how long bytes have to be to be lent.
const lendFrom = 512

// size is of the event as packed so far.
func (p *packer) size() int { return len(p.buf) + p.far }

// copyTo writes the event into b, which has room.
func (p *packer) copyTo(b []byte) {
	from, n := 0, 0
	for _, l := range p.lent {
		n += copy(b[n:], p.buf[from:l.at])
		n += copy(b[n:], l.bytes)
		from = l.at
	}
	copy(b[n:], p.buf[from:])
}

// The kinds of packed events.
const (
	kindRecord byte = iota + 1
	kindMessage
	kindOpened
	kindClosed
	kindRef // kept as it is, in refs: too rare to pack, or made for it
)

// reset leaves p empty, and without what is too much to keep for the next one.
func (p *packer) reset() {
	const most = 256 << 10
	clear(p.refs)
	clear(p.lent)
	p.buf, p.lent, p.far, p.refs, p.weight, p.light = p.buf[:0], p.lent[:0], 0, p.refs[:0], 0, false
	if cap(p.buf) > most {
		p.buf = nil
	}
}

// event packs e into the empty p.
func (p *packer) event(e proxy.Event) {
	switch e := e.(type) {
	case *proxy.Record:
		p.record(e)
	case *proxy.Message:
		p.message(e)
	case *proxy.ConnOpened:
		p.key(kindOpened, "", "", e.Opened)
		p.conn(&e.Conn)
	case *proxy.ConnClosed:
		p.closed(e)
	default:
		id, route, at := "", "", time.Time{}
		switch e := e.(type) {
		case *proxy.Shadowed:
			id, route, at = e.Exchange, e.Route, e.At
		case *proxy.BreakerChange:
			route, at = routeOfBreaker(e.Name), e.At
		case *proxy.Reload:
			at = e.At
		}
		p.key(kindRef, id, route, at)
		p.ref(e, weightOf(e))
	}
}

func (p *packer) key(kind byte, id, route string, at time.Time) {
	b := append(p.buf, kind)
	b = putString(b, id)
	b = putString(b, route)
	p.buf = putTime(b, at)
}

func (p *packer) ref(v any, weight int64) {
	p.refs = append(p.refs, v)
	p.weight += refWeight + weight
}

// The flags of a packed record.
const (
	hasConn = 1 << iota
	hasCall
	hasPassed
	hasError
	callHasID    // of its own, not the record's
	callHasHead  // of its own, not the request's as it came in
	callHasPlace // a destination of its own, not the connection's
	hasEndedWith // gRPC status, breaker, answered: any of them
)

func (p *packer) record(e *proxy.Record) {
	p.key(kindRecord, e.ID, e.Route, e.Started)
	var flags byte
	if e.Conn != nil {
		flags |= hasConn
	}
	if e.Call != nil {
		flags |= hasCall
		if e.Call.ID != e.ID {
			flags |= callHasID
		}
		if e.Call.Head != e.Request.In {
			flags |= callHasHead
		}
		if e.Conn == nil || e.Call.Destination != e.Conn.Destination {
			flags |= callHasPlace
		}
	}
	if len(e.Passed) > 0 {
		flags |= hasPassed
	}
	if e.Error != nil {
		flags |= hasError
	}
	if e.GRPCStatus != "" || e.Breaker != "" || e.Answered != "" {
		flags |= hasEndedWith
	}
	b := binary.AppendVarint(p.buf, int64(e.Duration)) // first: key needs it
	b = append(b, flags)
	b = p.words.put(b, string(e.Protocol))
	b = p.words.put(b, string(e.Lane))
	b = binary.AppendUvarint(b, e.Generation)
	b = binary.AppendVarint(b, int64(e.Status))
	b = binary.AppendVarint(b, int64(e.Attempts))
	if flags&hasEndedWith != 0 {
		b = p.words.put(b, string(e.GRPCStatus))
		b = putString(b, e.Breaker)
		b = putString(b, e.Answered)
	}
	if c := e.Conn; c != nil { // of which no more is shown with an exchange
		b = putString(b, c.ID)
		b = putString(b, c.Upstream)
		b = putAddress(b, c.Destination)
	}
	p.buf = b
	p.half(&e.Request)
	p.half(&e.Response)
	if e.Call != nil {
		p.call(e, flags)
	}
	if len(e.Passed) > 0 {
		p.passed(e.Passed)
	}
	if e.Error != nil {
		p.failure(e.Error)
	}
}

func (p *packer) conn(c *proxy.Conn) {
	b := putString(p.buf, c.ID)
	b = p.words.put(b, string(c.Direction))
	b = p.words.put(b, c.Listener)
	b = putString(b, c.Upstream)
	b = putAddress(b, c.Peer)
	b = putAddress(b, c.Destination)
	p.buf = putTime(b, c.Opened)
}

func (p *packer) call(e *proxy.Record, flags byte) {
	q := e.Call
	b := p.words.put(p.buf, string(q.Direction))
	b = putString(b, q.Service)
	b = putString(b, q.Method)
	b = putAddress(b, q.Peer)
	if flags&callHasID != 0 {
		b = putString(b, q.ID)
	}
	if flags&callHasPlace != 0 {
		b = putAddress(b, q.Destination)
	}
	if flags&callHasHead != 0 {
		b = p.words.putHead(b, q.Head)
	}
	p.buf = b
}

func (p *packer) passed(list []rules.Passed) {
	b := binary.AppendUvarint(p.buf, uint64(len(list)))
	for i := range list {
		name := ""
		if list[i].Route != nil {
			name = list[i].Route.Name()
		}
		b = putString(b, name)
		b = putString(b, list[i].Why)
	}
	p.buf = b
}

func (p *packer) failure(e *proxy.Error) {
	b := putString(p.buf, string(e.Origin))
	b = putString(b, e.Reason)
	b = putString(b, e.Route)
	b = putString(b, e.Step)
	if e.Err == nil {
		p.buf = append(b, 0)
		return
	}
	p.buf = putString(append(b, 1), e.Err.Error())
}

// The flags of a packed half.
const (
	outIsIn = 1 << iota
	hasOut
	wasEdited
	hasSent
	hasTrailers
	hasSteps
	hasCount
	hasTrailersOut
)

func (p *packer) half(h *proxy.Half) {
	var flags byte
	switch {
	case h.Out == h.In:
		flags |= outIsIn
	case h.Out != nil:
		flags |= hasOut
	}
	if h.Edited {
		flags |= wasEdited
	}
	if h.Sent.Bytes != nil || h.Sent.Size != 0 || h.Sent.Codec != nil || h.Sent.Encoding != "" {
		flags |= hasSent
	}
	if len(h.Trailers) > 0 {
		flags |= hasTrailers
	}
	if h.TrailersOut != nil {
		flags |= hasTrailersOut
	}
	if len(h.Steps) > 0 {
		flags |= hasSteps
	}
	if h.MessageCount != 0 {
		flags |= hasCount
	}
	p.buf = p.words.putHead(append(p.buf, flags), h.In)
	if flags&hasOut != 0 {
		p.buf = p.words.putHead(p.buf, h.Out)
	}
	p.payload(&h.Body, nil)
	if flags&hasSent != 0 {
		p.payload(&h.Sent, h.Body.Bytes)
	}
	if flags&hasTrailers != 0 {
		p.buf = p.words.putFields(p.buf, h.Trailers)
	}
	if flags&hasTrailersOut != 0 {
		p.buf = p.words.putFields(p.buf, h.TrailersOut)
	}
	if flags&hasSteps != 0 {
		p.steps(h.Steps, h.Body.Size)
	}
	if flags&hasCount != 0 {
		p.buf = binary.AppendVarint(p.buf, int64(h.MessageCount))
	}
}

// How a step's body is packed.
const (
	bodyNone byte = iota
	bodyRef
	bodyOmitted // it was not kept
)

// steps packs reports on a body of size bytes. The first body weighs as a
// whole value and each further one as a difference, since the results of steps
// share what they did not change.
func (p *packer) steps(reports []rules.StepReport, size int64) {
	p.buf = binary.AppendUvarint(p.buf, uint64(len(reports)))
	weight := valueTimes * size
	for i := range reports {
		s := &reports[i]
		b := putString(p.buf, s.Step)
		b = p.words.put(b, s.Result)
		b = binary.AppendVarint(b, int64(s.Count))
		b = binary.AppendVarint(b, int64(s.Took))
		b = append(b, bit(s.InPlace))
		b = p.words.putHead(b, s.Head)
		switch {
		case s.Body == nil:
			b = append(b, bodyNone)
		case p.light:
			b = append(b, bodyOmitted)
		default:
			b = append(b, bodyRef)
			p.ref(s.Body, weight)
			weight = size
		}
		p.buf = b
	}
}

func bit(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// The flags of a packed message.
const (
	fromUpstream = 1 << iota
	messageEdited
	messageHasCall
)

// message leaves the header lines of the call out: they are its exchange's.
func (p *packer) message(e *proxy.Message) {
	p.key(kindMessage, e.Exchange, e.Route, e.At)
	var flags byte
	if e.Upstream {
		flags |= fromUpstream
	}
	if e.Edited {
		flags |= messageEdited
	}
	if e.Call != nil && e.Call.Head != nil {
		flags |= messageHasCall
	}
	b := append(p.buf, flags)
	b = binary.AppendVarint(b, int64(e.Index))
	if flags&messageHasCall != 0 {
		q := e.Call
		b = putString(b, q.Service)
		b = putString(b, q.Method)
		b = p.words.put(b, q.Head.Method)
		b = putString(b, q.Head.Host)
		b = putString(b, q.Head.Path)
		b = putString(b, q.Head.Query)
	}
	p.buf = b
	p.payload(&e.In, nil)
	p.buf = binary.AppendUvarint(p.buf, uint64(len(e.Out)))
	for i := range e.Out {
		p.payload(&e.Out[i], e.In.Bytes)
	}
	p.steps(e.Steps, e.In.Size)
}

func (p *packer) closed(e *proxy.ConnClosed) {
	p.key(kindClosed, "", "", e.Opened.Add(e.Duration))
	p.conn(&e.Conn)
	b := p.words.put(p.buf, string(e.Protocol))
	b = p.words.put(b, string(e.Lane))
	b = putString(b, e.SNI)
	b = binary.AppendUvarint(b, uint64(len(e.ALPN)))
	for _, name := range e.ALPN {
		b = putString(b, name)
	}
	b = binary.AppendVarint(b, int64(e.Duration))
	b = binary.AppendVarint(b, e.Sent)
	b = binary.AppendVarint(b, e.Received)
	if e.Error == nil {
		p.buf = append(b, 0)
		return
	}
	p.buf = append(b, 1)
	p.failure(e.Error)
}
