package proxy

import (
	"slices"

	"github.com/sluice-proxy/sluice/proxy/internal/detect"
	"github.com/sluice-proxy/sluice/proxy/internal/http2"
)

// ruledCaller handles what the caller says.
type ruledCaller struct{ r *ruled }

// ruledUpstreamSide handles what an upstream says.
type ruledUpstreamSide struct{ up *ruledUpstream }

var (
	_ http2.Handler = ruledCaller{}
	_ http2.Handler = ruledUpstreamSide{}
)

// Batch implements [http2.Handler].
func (h ruledCaller) Batch() {
	h.r.c.spoke()
	h.r.maybeLeave()
}

// Batch implements [http2.Handler].
func (h ruledUpstreamSide) Batch() { h.up.r.maybeLeave() }

// stream2 is a stream of a ruled connection, with a route or without.
type stream2 interface {
	callerReset(code http2.ErrCode, cause error)
	upstreamReset(u *http2.Stream, code http2.ErrCode)
	upstreamLost(err error)
	prioritize(p http2.Priority, on stream2)
	callerStream() *http2.Stream
	upstreamStream() *http2.Stream // nil if it is not opened
}

// passing2 is a stream that is not held: what comes on it is told at once.
type passing2 interface {
	stream2
	requestData(data []byte, end bool)
	requestTrailers(head *http2.Head)
	response(u *http2.Stream, head *http2.Head, end bool)
	data(up *ruledUpstream, data []byte, end bool)
	trailers(up *ruledUpstream, head *http2.Head)
}

// Request implements [http2.Handler].
func (h ruledCaller) Request(s *http2.Stream, head *http2.Head, end, tooLarge bool) {
	r := h.r
	if r.over.Load() {
		s.Reset(http2.RefusedStream)
		return
	}
	var malformed error
	switch q := &head.Request; {
	case tooLarge && len(head.Fields) >= http2.MaxFields:
		malformed = &Error{Origin: OriginCaller, Reason: "too_many_fields"}
	case tooLarge:
		malformed = &Error{Origin: OriginCaller, Reason: "head_too_large"}
	case len(q.Method)+len(q.Path)+len(" HTTP/1.1\r\n") > detect.MaxLine:
		malformed = &Error{Origin: OriginCaller, Reason: "line_too_long"}
	}
	seen := r.seen(head, request2)
	if malformed != nil || r.c.p.asksToExplain(seen.head) {
		r.carry(s, head, seen, end, malformed, nil)
		return
	}
	t, found := r.meet(seen)
	switch route := found.match.Route; {
	case found.err != nil || r.c.hidden(seen.head) != nil:
	case route == nil:
		t.shade = r.c.shadeOf(found.set, &t.call, found.started, nil)
		x := &inline2{r: r, caller: s, told: t}
		s.Owner = x
		x.begin(head, end)
		return
	case end, found.set.Shadows(r.c.Direction, r.c.port()): // a route in shadow follows exchanges with a story of their own
	default:
		if method := r.plans(route, head, seen); method != nil {
			s.Owner = r.plan(s, head, seen, method, t, found)
			return
		}
	}
	t.forget()
	r.carry(s, head, seen, end, nil, &found)
}

// carry lets a goroutine carry the exchange of a request.
func (r *ruled) carry(s *http2.Stream, head *http2.Head, seen *seenHead, end bool, malformed error, found *found2) {
	x := &ruledStream{r: r, caller: s}
	s.Owner = x
	x.begin(head, seen, end, malformed, found)
}

// meet finds the route of a request, and begins the record of one that needs no
// goroutine of its own.
func (r *ruled) meet(seen *seenHead) (*told, found2) {
	c := r.c
	set := c.p.Rules.Load()
	t := allTold.Get().(*told)
	call, record := &t.call, &t.record
	call.ID, call.Direction, call.Head, call.Peer, call.Destination = c.p.ids.next(), c.Direction, seen.head, c.Peer, c.Destination
	call.Service, call.Method = seen.service, seen.method
	record.Started = r.caller.Now()
	m, err := set.Match(c.ctx, call, record.Started)
	record.ID, record.Conn, record.Call = call.ID, &c.Conn, call
	record.Protocol, record.Lane = HTTP2, LaneRelay
	record.Generation, record.Attempts, record.Passed = set.Number, 1, m.Passed
	if seen.kind == callGRPC {
		record.Protocol = GRPC
	}
	seen.begin(&record.Request)
	return t, found2{m, err, set, call.ID, record.Started}
}

// Response implements [http2.Handler]. It is told of requests that are not sent
// from here, which there are none of.
func (h ruledCaller) Response(*http2.Stream, *http2.Head, bool) {}

// Request implements [http2.Handler]: an upstream opens no streams.
func (h ruledUpstreamSide) Request(*http2.Stream, *http2.Head, bool, bool) {}

// Response implements [http2.Handler]. Of streams with a route the exchange is
// told, here and below.
func (h ruledUpstreamSide) Response(u *http2.Stream, head *http2.Head, end bool) {
	u.Owner.(passing2).response(u, head, end)
}

// Data implements [http2.Handler].
func (h ruledCaller) Data(s *http2.Stream, data []byte, end bool) {
	s.Owner.(passing2).requestData(data, end)
}

// Data implements [http2.Handler].
func (h ruledUpstreamSide) Data(u *http2.Stream, data []byte, end bool) {
	u.Owner.(passing2).data(h.up, data, end)
}

// Trailers implements [http2.Handler].
func (h ruledCaller) Trailers(s *http2.Stream, head *http2.Head) {
	s.Owner.(passing2).requestTrailers(head)
}

// Trailers implements [http2.Handler].
func (h ruledUpstreamSide) Trailers(u *http2.Stream, head *http2.Head) {
	u.Owner.(passing2).trailers(h.up, head)
}

// Reset implements [http2.Handler].
func (h ruledCaller) Reset(s *http2.Stream, code http2.ErrCode) {
	if x, ok := s.Owner.(stream2); ok {
		x.callerReset(code, s.Err())
	}
}

// Reset implements [http2.Handler].
func (h ruledUpstreamSide) Reset(u *http2.Stream, code http2.ErrCode) {
	if x, ok := u.Owner.(stream2); ok {
		if code == http2.RefusedStream {
			h.up.refused = append(h.up.refused, x.callerStream().ID())
		}
		x.upstreamReset(u, code)
	}
}

// Settings implements [http2.Handler]: the caller's are for the upstream what
// they can be where windows and compression are of each hop.
func (h ruledCaller) Settings(f *http2.Frame) {
	r := h.r
	var said []http2.Setting
	for i := range f.Settings() {
		s := f.Setting(i)
		switch s.ID {
		case http2.SettingHeaderTableSize, http2.SettingEnablePush, http2.SettingMaxConcurrentStreams,
			http2.SettingInitialWindowSize, http2.SettingMaxFrameSize:
			continue
		case http2.SettingMaxHeaderListSize:
			s.Value = min(s.Value, uint32(maxHead))
		}
		said = append(said, s)
	}
	r.mu.Lock()
	r.remember(said)
	switch up := r.up; {
	case up == nil || len(said) == 0:
	case up.settled:
		up.hop.Settings(said...) // with mu held: they keep their order
	case up.greeted:
		up.late = append(up.late, said...)
	}
	r.mu.Unlock()
	if !r.begun {
		r.begun = true
		r.attach() // now that it can be told what the caller's settings are
	}
}

// firstSettings are the first that the upstream is told.
func (up *ruledUpstream) firstSettings() []http2.Setting {
	settings := []http2.Setting{
		{ID: http2.SettingEnablePush, Value: 0},
		{ID: http2.SettingInitialWindowSize, Value: http2.DefaultWindow},
	}
	r := up.r
	r.mu.Lock()
	defer r.mu.Unlock()
	up.greeted = true
	if !slices.ContainsFunc(r.said, func(s http2.Setting) bool { return s.ID == http2.SettingMaxHeaderListSize }) {
		settings = append(settings, http2.Setting{ID: http2.SettingMaxHeaderListSize, Value: uint32(maxHead)})
	}
	return append(settings, r.said...)
}

// lateSettings tells the upstream, which is attached, what settings have come
// since the first.
func (up *ruledUpstream) lateSettings() {
	r := up.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(up.late) > 0 {
		up.hop.Settings(up.late...)
	}
	up.settled, up.late = true, nil
}

// maxSaid is how many settings of a caller are remembered for an upstream that
// is yet to come.
const maxSaid = 32

// remember keeps the last value of each setting. mu is held.
func (r *ruled) remember(said []http2.Setting) {
	for _, s := range said {
		i := slices.IndexFunc(r.said, func(each http2.Setting) bool { return each.ID == s.ID })
		switch {
		case i >= 0:
			r.said[i] = s
		case len(r.said) < maxSaid:
			r.said = append(r.said, s)
		}
	}
}

// Settings implements [http2.Handler].
func (h ruledUpstreamSide) Settings(f *http2.Frame) {
	var said []http2.Setting
	for i := range f.Settings() {
		s := f.Setting(i)
		switch s.ID {
		case http2.SettingHeaderTableSize, http2.SettingEnablePush, http2.SettingInitialWindowSize, http2.SettingMaxFrameSize:
			continue
		case http2.SettingMaxConcurrentStreams:
			s.Value = min(s.Value, maxStreams)
		case http2.SettingMaxHeaderListSize:
			s.Value = min(s.Value, uint32(maxHead))
		}
		said = append(said, s)
	}
	if len(said) > 0 {
		h.up.r.caller.Settings(said...)
	}
}

// Ping implements [http2.Handler].
func (h ruledCaller) Ping(ack bool, data []byte) {
	r := h.r
	if ack && string(data) == farewellPing {
		r.heard.Store(true)
		return
	}
	r.mu.Lock()
	up := r.up
	r.mu.Unlock()
	switch {
	case up != nil && up.hop.Attached() && (ack || up.callerPings.pass(r.caller, up.hop)):
		up.hop.Ping(ack, data)
	case !ack:
		r.caller.Ping(true, data)
	}
}

// Ping implements [http2.Handler].
func (h ruledUpstreamSide) Ping(ack bool, data []byte) {
	if ack || h.up.pings.pass(h.up.hop, h.up.r.caller) {
		h.up.r.caller.Ping(ack, data)
	} else {
		h.up.hop.Ping(true, data)
	}
}

// pings2 decides which PINGs of one side the other one answers itself. A peer
// that estimates its bandwidth pings with the data that it gets, and the other
// takes PINGs for abuse that come without any data of its own between them
// (grpc-go: "too_many_pings"). Where each hop has windows of its own the two do
// not go together, so such a PING is answered here.
type pings2 struct {
	got  uint64 // frames of the one who answers, at the last PING that passed
	sent uint64 // frames to the one who pings, at the last PING
}

// pass reports whether a PING from the peer of one hop goes to that of the other.
func (p *pings2) pass(from, to *http2.Hop) bool {
	got, _ := to.Work()
	_, sent := from.Work()
	idle := sent == p.sent
	p.sent = sent
	if got == p.got && !idle {
		return false
	}
	p.got = got
	return true
}

// GoAway implements [http2.Handler].
func (h ruledCaller) GoAway(_ uint32, code http2.ErrCode, debug []byte) {
	h.r.mu.Lock()
	up := h.r.up
	h.r.mu.Unlock()
	if up != nil && up.hop.Attached() {
		up.hop.GoAway(0, code, string(debug)) // an upstream opens no streams
	}
}

// GoAway implements [http2.Handler]. The last stream is the caller's highest
// that the upstream has not refused; those below it that were have been reset.
func (h ruledUpstreamSide) GoAway(last uint32, code http2.ErrCode, debug []byte) {
	r := h.up.r
	if last == http2.MaxStream {
		r.caller.GoAway(http2.MaxStream, code, string(debug))
		return
	}
	r.forget(h.up, false) // what an exchange sends from now on goes on another connection
	r.over.Store(true)    // a caller may repeat elsewhere what is above the last stream
	mapped := r.caller.LastStream()
	for mapped > 0 && slices.Contains(h.up.refused, mapped) {
		mapped = max(mapped, 2) - 2
	}
	h.up.refused = nil
	if !r.told.Swap(true) {
		r.caller.GoAway(mapped, code, string(debug))
	}
}
