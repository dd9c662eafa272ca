package tap

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// packed is an event as a packer left it.
type packed struct {
	data string
	refs []any
}

// remembered is a record that was unpacked. In place of the routes that it
// passed it has their names: the routes are gone with their set.
type remembered struct {
	proxy.Record
	passed []passedRoute
}

type passedRoute struct{ name, why string }

// key returns what the event can be passed over by without unpacking it: the id
// of its exchange, its route and when it happened.
func (e packed) key() (kind byte, id, route string, at time.Time) {
	u := unpacker{packed: e}
	kind, id, route, at = u.byte(), u.string(), u.string(), u.time()
	if kind == kindRecord {
		at = at.Add(time.Duration(u.int()))
	}
	return kind, id, route, at
}

// event unpacks e: a *remembered, *[proxy.Message] and so on. The parts of the
// result share one string.
func (e packed) event() proxy.Event {
	u := unpacker{packed: e}
	kind, id, route, at := u.byte(), u.string(), u.string(), u.time()
	switch kind {
	case kindRecord:
		return u.record(id, route, at)
	case kindMessage:
		return u.message(id, route, at)
	case kindOpened:
		return &proxy.ConnOpened{Conn: u.conn()}
	case kindClosed:
		return u.closed()
	}
	return u.ref().(proxy.Event)
}

// unpacker reads a packed event from its start to its end.
type unpacker struct{ packed }

func (u *unpacker) record(id, route string, started time.Time) *remembered {
	e := &remembered{Record: proxy.Record{ID: id, Route: route, Started: started}}
	e.Duration = time.Duration(u.int())
	flags := u.byte()
	e.Protocol, e.Lane = proxy.Protocol(u.word()), proxy.Lane(u.word())
	e.Generation = u.uint()
	e.Status, e.Attempts = int(u.int()), int(u.int())
	if flags&hasEndedWith != 0 {
		e.GRPCStatus, e.Breaker, e.Answered = rules.Code(u.word()), u.string(), u.string()
	}
	if flags&hasConn != 0 {
		e.Conn = &proxy.Conn{ID: u.string(), Upstream: u.string(), Destination: u.address()}
	}
	e.Request = u.half()
	e.Response = u.half()
	if flags&hasCall != 0 {
		e.Call = u.call(&e.Record, flags)
	}
	if flags&hasPassed != 0 {
		e.passed = make([]passedRoute, u.uint())
		for i := range e.passed {
			e.passed[i] = passedRoute{u.string(), u.string()}
		}
	}
	if flags&hasError != 0 {
		e.Error = u.failure()
	}
	return e
}

func (u *unpacker) conn() proxy.Conn {
	return proxy.Conn{
		ID: u.string(), Direction: rules.Direction(u.word()), Listener: u.word(), Upstream: u.string(),
		Peer: u.address(), Destination: u.address(), Opened: u.time(),
	}
}

func (u *unpacker) call(e *proxy.Record, flags byte) *rules.Request {
	q := &rules.Request{ID: e.ID, Head: e.Request.In}
	q.Direction, q.Service, q.Method, q.Peer = rules.Direction(u.word()), u.string(), u.string(), u.address()
	if flags&callHasID != 0 {
		q.ID = u.string()
	}
	if flags&callHasPlace != 0 {
		q.Destination = u.address()
	} else {
		q.Destination = e.Conn.Destination
	}
	if flags&callHasHead != 0 {
		q.Head = u.head()
	}
	return q
}

func (u *unpacker) failure() *proxy.Error {
	e := &proxy.Error{Origin: proxy.Origin(u.string()), Reason: u.string(), Route: u.string(), Step: u.string()}
	if u.byte() != 0 {
		e.Err = errors.New(u.string())
	}
	return e
}

func (u *unpacker) half() proxy.Half {
	flags := u.byte()
	h := proxy.Half{In: u.head(), Edited: flags&wasEdited != 0}
	switch {
	case flags&outIsIn != 0:
		h.Out = h.In
	case flags&hasOut != 0:
		h.Out = u.head()
	}
	h.Body = u.payload(nil)
	if flags&hasSent != 0 {
		h.Sent = u.payload(h.Body.Bytes)
	}
	if flags&hasTrailers != 0 {
		h.Trailers = u.fields()
	}
	if flags&hasTrailersOut != 0 {
		h.TrailersOut = u.fields()
	}
	if flags&hasSteps != 0 {
		h.Steps = u.steps()
	}
	if flags&hasCount != 0 {
		h.MessageCount = int(u.int())
	}
	return h
}

func (u *unpacker) steps() []rules.StepReport {
	n := u.uint()
	if n == 0 {
		return nil
	}
	steps := make([]rules.StepReport, n)
	for i := range steps {
		s := &steps[i]
		s.Step, s.Result, s.Count = u.string(), u.word(), int(u.int())
		s.Took, s.InPlace, s.Head = time.Duration(u.int()), u.byte() != 0, u.head()
		switch u.byte() {
		case bodyRef:
			s.Body = u.ref()
		case bodyOmitted:
			s.Body = omitted{}
		}
	}
	return steps
}

func (u *unpacker) message(id, route string, at time.Time) *proxy.Message {
	flags := u.byte()
	e := &proxy.Message{
		Exchange: id, Route: route, At: at, Index: int(u.int()),
		Upstream: flags&fromUpstream != 0, Edited: flags&messageEdited != 0,
	}
	if flags&messageHasCall != 0 {
		e.Call = &rules.Request{
			Service: u.string(), Method: u.string(),
			Head: &rules.Head{Method: u.word(), Host: u.string(), Path: u.string(), Query: u.string()},
		}
	}
	e.In = u.payload(nil)
	if n := u.uint(); n > 0 {
		e.Out = make([]proxy.Payload, n)
		for i := range e.Out {
			e.Out[i] = u.payload(e.In.Bytes)
		}
	}
	e.Steps = u.steps()
	return e
}

func (u *unpacker) closed() *proxy.ConnClosed {
	e := &proxy.ConnClosed{Conn: u.conn(), Protocol: proxy.Protocol(u.word()), Lane: proxy.Lane(u.word()), SNI: u.string()}
	if n := u.uint(); n > 0 {
		e.ALPN = make([]string, n)
		for i := range e.ALPN {
			e.ALPN[i] = u.string()
		}
	}
	e.Duration, e.Sent, e.Received = time.Duration(u.int()), u.int(), u.int()
	if u.byte() != 0 {
		e.Error = u.failure()
	}
	return e
}

func (u *unpacker) head() *rules.Head {
	switch u.byte() {
	case headNone:
		return nil
	case headAnswer:
		return &rules.Head{Status: int(u.byte()) | int(u.byte())<<8, Fields: u.fields()}
	}
	return &rules.Head{
		Method: u.word(), Path: u.string(), Query: u.string(), Host: u.string(),
		Status: int(u.int()), Fields: u.fields(),
	}
}

func (u *unpacker) fields() rules.Fields {
	n := u.uint()
	if n == 0 {
		return nil
	}
	f := make(rules.Fields, n)
	for i := range f {
		f[i] = rules.Field{Name: u.word(), Value: u.string()}
	}
	return f
}

func (u *unpacker) address() netip.AddrPort {
	var ip netip.Addr
	switch u.byte() {
	case 4:
		ip = netip.AddrFrom4([4]byte([]byte(u.take(4))))
	case 16:
		ip = netip.AddrFrom16([16]byte([]byte(u.take(16))))
		ip = ip.WithZone(u.string())
	}
	return netip.AddrPortFrom(ip, binary.LittleEndian.Uint16([]byte(u.take(2))))
}

func (u *unpacker) time() time.Time {
	seconds := binary.LittleEndian.Uint64([]byte(u.take(8)))
	return time.Unix(int64(seconds), int64(binary.LittleEndian.Uint32([]byte(u.take(4))))).UTC()
}

func (u *unpacker) string() string { return u.take(int(u.uint())) }

func (u *unpacker) int() int64 {
	v := u.uint()
	return int64(v>>1) ^ -int64(v&1)
}

func (u *unpacker) uint() uint64 {
	var v uint64
	for shift := 0; ; shift += 7 {
		b := u.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
}

func (u *unpacker) byte() byte { return u.take(1)[0] }

func (u *unpacker) take(n int) string {
	s := u.data[:n]
	u.data = u.data[n:]
	return s
}

func (u *unpacker) ref() any {
	v := u.refs[0]
	u.refs = u.refs[1:]
	return v
}
