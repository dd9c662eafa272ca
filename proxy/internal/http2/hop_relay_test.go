package http2

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// plain relays between two hops and knows no rules.
type plain struct {
	link             *Link
	caller, upstream *Hop
	waiting          []func() // goroutines that wait for a peer to read
}

func newPlain(toCaller, toUpstream Output) *plain {
	r := new(plain)
	r.link = NewLink(func(f func()) { r.waiting = append(r.waiting, f) })
	r.caller = r.link.Caller(plainSide{r, true}, toCaller, Setting{SettingMaxConcurrentStreams, maxStreams})
	r.upstream = r.link.Upstream(plainSide{r, false})
	r.upstream.Attach(toUpstream, Setting{SettingEnablePush, 0})
	r.link.Flush()
	return r
}

type plainSide struct {
	r      *plain
	caller bool
}

func other(s *Stream) *Stream {
	o, _ := s.Owner.(*Stream)
	return o
}

func (h plainSide) Request(s *Stream, head *Head, end, _ bool) {
	s.Owner, _ = h.r.upstream.Open(s, s, head, end, h.rank(s.Priority()))
}

func (h plainSide) rank(p Priority) *Rank {
	if !p.Said {
		return nil
	}
	r := &Rank{Priority: p}
	if on := h.r.caller.Find(p.Depends); on != nil {
		r.On = other(on)
	}
	return r
}

func (h plainSide) Priority(s *Stream, p Priority) {
	if h.caller {
		other(s).Prioritize(*h.rank(p))
	}
}

func (h plainSide) Response(s *Stream, head *Head, end bool) {
	o := other(s)
	if head.Status >= 200 {
		o.DataFrom(s)
	}
	o.SendHead(head, end)
}
func (h plainSide) Data(s *Stream, data []byte, end bool) { other(s).SendData(data, end) }
func (h plainSide) Trailers(s *Stream, head *Head)        { other(s).SendTrailers(head) }
func (h plainSide) Settings(*Frame)                       {}
func (h plainSide) GoAway(uint32, ErrCode, []byte)        {}
func (h plainSide) Other(*Frame)                          {}
func (h plainSide) Batch()                                {}
func (h plainSide) Ping(ack bool, data []byte) {
	if h.caller {
		h.r.upstream.Ping(ack, data)
	} else {
		h.r.caller.Ping(ack, data)
	}
}

func (h plainSide) Reset(s *Stream, code ErrCode) {
	if o := other(s); o != nil {
		o.Reset(code)
	}
}

// sink is an output that a peer reads.
type sink struct {
	b       []byte
	stalled bool // nothing more can be written without waiting
}

func (s *sink) TryWrite(b []byte) (int, error) {
	n := len(b)
	if s.stalled {
		n /= 2
	}
	s.b = append(s.b, b[:n]...)
	return n, nil
}

func (s *sink) Write(b []byte) (int, error) { s.b = append(s.b, b...); return len(b), nil }
func (s *sink) CloseWrite() error           { return nil }

// read lets the peers read on.
func (r *plain) read() {
	for len(r.waiting) > 0 {
		next := r.waiting[0]
		r.waiting = r.waiting[1:]
		next()
	}
}

// say gives what the peer has to say to the relay, and the peers the rest.
func (m *talk) say(t *rapid.T, p *peer) {
	out := p.out
	p.out = nil
	if n, err := p.hop.walk(out); err != nil || n != len(out) {
		t.Fatalf("%s: %d of %d bytes were read: %v", p.name, n, len(out), err)
	}
	m.relay.link.Flush()
	m.listen(t, &m.client)
	m.listen(t, &m.server)
}

// read lets everyone read what waits, but for those who have stalled.
func (m *talk) read(t *rapid.T) {
	m.relay.read()
	m.listen(t, &m.client)
	m.listen(t, &m.server)
}

type talk struct {
	relay          *plain
	client, server peer
	pairs          map[uint32]*peerStream // the server's, by the client's number
}

// listen takes in what the relay says.
func (m *talk) listen(t *rapid.T, p *peer) {
	b := p.in.b
	if p.in.stalled {
		return
	}
	p.in.b = nil
	if p == &m.server && len(b) >= len(Preface) && string(b[:len(Preface)]) == Preface {
		b = b[len(Preface):]
	}
	if len(b) == 0 {
		return
	}
	for len(b) > 0 {
		f, n := Parse(b)
		if n == 0 || n > len(b) {
			p.in.b = append(b, p.in.b...) // the rest waits
			return
		}
		b = b[n:]
		if err := p.check.Check(&f); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		m.frame(t, p, &f)
	}
}

func (m *talk) frame(t *rapid.T, p *peer, f *Frame) {
	s := p.streams[f.Stream]
	switch f.Type {
	case FrameGoAway:
	case FrameSettings:
		if f.Flags.Has(FlagAck) {
			p.acked()
		}
	case FramePing:
		p.pings++
	case FrameWindowUpdate:
		if f.Stream == 0 {
			p.mayConn += int64(f.Increment())
		} else if s != nil {
			s.may += int64(f.Increment())
		}
	case FramePriority:
		m.prioritized(t, p, f)
	case FrameRSTStream:
		if s == nil {
			t.Fatalf("%s: reset of unknown stream %d", p.name, f.Stream)
		}
		s.resetByPeer = true
	case FrameHeaders:
		fields, err := p.dec.Decode(f.Fragment())
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		if s == nil {
			if p != &m.server {
				t.Fatalf("%s: head on unknown stream %d", p.name, f.Stream)
			}
			id, _ := strconv.Atoi(fields[2].Value[1:])
			s = p.stream(byte(id))
			p.streams[f.Stream] = s
			m.pairs[uint32(id)] = s
		}
		s.gotHead = true
		m.prioritized(t, p, f)
		m.ended(t, p, s, f)
	case FrameData:
		if s == nil {
			t.Fatalf("%s: DATA on unknown stream %d", p.name, f.Stream)
		}
		p.hasConn -= int64(len(f.Payload))
		s.has -= int64(len(f.Payload))
		if len(f.Payload) > 0 && (p.hasConn < 0 || s.has < 0) {
			t.Fatalf("%s: more DATA than was granted: %d in all, %d on stream %d", p.name, p.hasConn, s.has, f.Stream)
		}
		for i, c := range f.Payload {
			if want := byte(s.got+int64(i)) ^ s.tag; c != want {
				t.Fatalf("%s: byte %d of stream %d: got %d, want %d", p.name, s.got+int64(i), f.Stream, c, want)
			}
		}
		s.got += int64(len(f.Payload))
		m.ended(t, p, s, f)
	default:
		t.Fatalf("%s: %v", p.name, f.Type)
	}
}

// prioritized checks that a priority names what its receiver knows.
func (m *talk) prioritized(t *rapid.T, p *peer, f *Frame) {
	prio := f.Priority()
	if !prio.Said {
		return
	}
	if p != &m.server || p.streams[f.Stream] == nil || prio.Depends != 0 && p.streams[prio.Depends] == nil || prio.Depends == f.Stream {
		t.Fatalf("%s: %v of stream %d says %+v", p.name, f.Type, f.Stream, prio)
	}
}

func (m *talk) ended(t *rapid.T, p *peer, s *peerStream, f *Frame) {
	if s.peerEnded {
		t.Fatalf("%s: frame after the end of stream %d", p.name, f.Stream)
	}
	s.peerEnded = s.peerEnded || f.EndsStream()
}

// TestRelayHoldsAgainstRandomPeers checks that what one peer sends the other gets,
// that no window is overrun, and that in the end nothing is lost and no credit
// is missing.
func TestRelayHoldsAgainstRandomPeers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		toClient, toServer := new(sink), new(sink)
		m := &talk{relay: newPlain(toClient, toServer), pairs: map[uint32]*peerStream{}}
		m.client = *newPeer("client", m.relay.caller, toClient)
		m.server = *newPeer("server", m.relay.upstream, toServer)
		m.client.out = AppendSettings(nil)
		m.say(t, &m.client)
		m.server.out = AppendSettings(nil, Setting{SettingMaxConcurrentStreams, uint32(rapid.IntRange(1, 6).Draw(t, "most"))})
		m.say(t, &m.server)

		side := func(t *rapid.T) *peer {
			return rapid.SampledFrom([]*peer{&m.client, &m.server}).Draw(t, "peer")
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				p := &m.client
				if p.next > 60 {
					return
				}
				s := p.stream(byte(p.next))
				s.headed = true
				s.ended = rapid.Bool().Draw(t, "end")
				p.streams[p.next] = s
				p.out = p.enc.appendHead(p.out, p.next, p.priority(t, p.next), []Field{
					{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/" + strconv.Itoa(int(p.next))},
				}, s.ended, DefaultMaxFrame)
				p.next += 2
				m.say(t, p)
			},
			"prioritize": func(t *rapid.T) {
				id := rapid.Uint32Range(0, 31).Draw(t, "of")*2 + 1
				if prio := m.client.priority(t, id); prio.Said {
					m.client.out = AppendPriority(m.client.out, id, prio)
					m.say(t, &m.client)
				}
			},
			"respond": func(t *rapid.T) {
				p := &m.server
				id, s := p.pick(t, func(s *peerStream) bool { return !s.headed && !s.reset && !s.resetByPeer })
				if s == nil {
					return
				}
				s.headed, s.ended = true, rapid.Bool().Draw(t, "end")
				p.out = p.enc.AppendHead(p.out, id, []Field{{Name: ":status", Value: "200"}}, s.ended, DefaultMaxFrame)
				m.say(t, p)
			},
			"send": func(t *rapid.T) {
				p := side(t)
				if id, s := p.pick(t, (*peerStream).maySend); s != nil {
					p.send(id, s, rapid.Int64Range(0, DefaultMaxFrame).Draw(t, "n"), rapid.IntRange(0, 5).Draw(t, "end") == 0)
					m.say(t, p)
				}
			},
			"trailers": func(t *rapid.T) {
				p := side(t)
				if id, s := p.pick(t, (*peerStream).maySend); s != nil {
					s.ended = true
					p.out = p.enc.AppendHead(p.out, id, []Field{{Name: "x-t", Value: "1"}}, true, DefaultMaxFrame)
					m.say(t, p)
				}
			},
			"grant": func(t *rapid.T) {
				p := side(t)
				id, s := p.pick(t, func(s *peerStream) bool { return !s.reset && !s.resetByPeer })
				p.grant(id, s, uint32(rapid.IntRange(0, 1<<17).Draw(t, "conn")), uint32(rapid.IntRange(0, 1<<17).Draw(t, "stream")))
				m.say(t, p)
			},
			"settings": func(t *rapid.T) {
				p := side(t)
				p.settings(uint32(rapid.IntRange(0, 1<<17).Draw(t, "initial")))
				m.say(t, p)
			},
			"stall": func(t *rapid.T) { side(t).in.stalled = true },
			"read": func(t *rapid.T) {
				side(t).in.stalled = false
				m.read(t)
			},
			"reset": func(t *rapid.T) {
				p := side(t)
				if id, s := p.pick(t, func(s *peerStream) bool {
					return (s.headed || s.gotHead) && !s.reset && !s.resetByPeer && !(s.ended && s.peerEnded)
				}); s != nil {
					s.reset = true
					p.out = AppendRSTStream(p.out, id, Cancel)
					m.say(t, p)
				}
			},
		})
		m.finish(t)
	})
}

// finish lets both go on until all is said, and looks at what is left.
func (m *talk) finish(t *rapid.T) {
	m.client.in.stalled, m.server.in.stalled = false, false
	m.read(t)
	for round := 0; !m.over(); round++ {
		if round > 2000 {
			t.Fatalf("the relay has come to a stand: %d and %d streams", m.relay.caller.Streams(), m.relay.upstream.Streams())
		}
		for _, p := range []*peer{&m.client, &m.server} {
			for id, s := range p.streams {
				p.grant(id, s, 1<<16, 1<<16)
				if p == &m.server && !s.headed && !s.reset && !s.resetByPeer {
					s.headed = true
					p.out = p.enc.AppendHead(p.out, id, []Field{{Name: ":status", Value: "200"}}, false, DefaultMaxFrame)
				}
				if s.maySend() {
					p.send(id, s, 0, true)
				}
			}
			m.say(t, p)
			m.read(t)
		}
	}
	for _, p := range []*peer{&m.client, &m.server} {
		if n := p.hop.Streams(); n != 0 {
			t.Fatalf("%s: %d streams are left", p.name, n)
		}
		if owed := p.hop.granted.owed; p.mayConn+owed != connGrant {
			t.Fatalf("%s may send %d and is owed %d, want %d in all", p.name, p.mayConn, owed, connGrant)
		}
		if held := len(p.hop.out) + p.hop.blocked; held > 0 {
			t.Fatalf("%s: %d bytes wait although all is over", p.name, held)
		}
		if len(p.hop.ready) > 0 || len(p.hop.out) > 0 {
			t.Fatalf("%s: something waits although all is over", p.name)
		}
	}
	for id, c := range m.client.streams {
		if c.reset || c.resetByPeer {
			continue
		}
		s := m.pairs[id]
		if s != nil && s.reset {
			continue // after the client had all of it
		}
		if s == nil || s.got != c.sent || c.got != s.sent {
			t.Fatalf("stream %d: %+v and %+v", id, c, s)
		}
	}
}

func (m *talk) over() bool {
	for _, s := range m.client.streams {
		if !(s.reset || s.resetByPeer || s.ended && s.peerEnded) {
			return false
		}
	}
	return m.relay.caller.Streams() == 0 && m.relay.upstream.Streams() == 0
}
