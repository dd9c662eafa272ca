package http2

import "pgregory.net/rapid"

// peer is one of the two that talk through a relay. It keeps to what it was
// granted, and checks that the relay does.
type peer struct {
	name    string
	hop     *Hop // ours, that it talks to
	in      *sink
	check   Checker
	dec     *Decoder
	enc     *Encoder
	out     []byte
	streams map[uint32]*peerStream
	next    uint32

	mayConn, mayInitial int64 // what it may send
	hasConn, hasInitial int64 // what it has granted
	pings               int
	unacked             []int64 // initial windows that were said and are not in force yet
}

type peerStream struct {
	tag                byte
	may, has           int64
	sent, got          int64
	headed             bool
	gotHead            bool
	ended, peerEnded   bool
	reset, resetByPeer bool
}

func newPeer(name string, hop *Hop, in *sink) *peer {
	return &peer{
		name: name, hop: hop, in: in, dec: NewDecoder(), enc: NewEncoder(), streams: map[uint32]*peerStream{}, next: 1,
		mayConn: DefaultWindow, mayInitial: DefaultWindow, hasConn: DefaultWindow, hasInitial: DefaultWindow,
	}
}

func (p *peer) stream(tag byte) *peerStream {
	return &peerStream{tag: tag, may: p.mayInitial, has: p.hasInitial}
}

// pick draws a stream that satisfies ok, nil if none does.
func (p *peer) pick(t *rapid.T, ok func(*peerStream) bool) (uint32, *peerStream) {
	var ids []uint32
	for id := uint32(1); id < 1000; id += 2 {
		if s := p.streams[id]; s != nil && ok(s) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	id := rapid.SampledFrom(ids).Draw(t, "stream")
	return id, p.streams[id]
}

// priority draws what may be said of a stream: often nothing.
func (p *peer) priority(t *rapid.T, id uint32) Priority {
	prio := Priority{Said: true, Weight: 3, Exclusive: true, Depends: rapid.Uint32Range(0, 32).Draw(t, "depends")}
	if prio.Depends == id || prio.Depends > 24 {
		return Priority{}
	}
	return prio
}

func (s *peerStream) maySend() bool { return s.headed && !s.ended && !s.reset && !s.resetByPeer }

func (p *peer) send(id uint32, s *peerStream, n int64, end bool) {
	n = max(0, min(n, p.mayConn, s.may, DefaultMaxFrame))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(s.sent+int64(i)) ^ s.tag
	}
	p.out = AppendData(p.out, id, end, data)
	p.mayConn -= n
	s.may -= n
	s.sent += n
	s.ended = end
}

func (p *peer) grant(id uint32, s *peerStream, conn, stream uint32) {
	if p.hasConn+int64(conn) <= MaxWindow && conn > 0 {
		p.hasConn += int64(conn)
		p.out = AppendWindowUpdate(p.out, 0, conn)
	}
	if s != nil && !s.reset && s.has+int64(stream) <= MaxWindow && stream > 0 {
		s.has += int64(stream)
		p.out = AppendWindowUpdate(p.out, id, stream)
	}
}

func (p *peer) settings(initial uint32) {
	p.unacked = append(p.unacked, int64(initial))
	p.out = AppendSettings(p.out, Setting{SettingInitialWindowSize, initial})
}

// acked is when settings hold for what the relay sends.
func (p *peer) acked() {
	if len(p.unacked) == 0 {
		return // of the first
	}
	for _, s := range p.streams {
		s.has += p.unacked[0] - p.hasInitial
	}
	p.hasInitial, p.unacked = p.unacked[0], p.unacked[1:]
}
