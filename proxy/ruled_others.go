package proxy

import (
	"encoding/binary"
	"slices"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
)

// This file is what a ruled connection does with frames that say something of a
// stream, or nothing that it knows: its two sides number streams apart.

// Priority implements [http2.Handler].
func (h ruledCaller) Priority(s *http2.Stream, p http2.Priority) {
	if x, ok := s.Owner.(stream2); ok {
		x.prioritize(p, h.r.owner(p))
	}
}

// Priority implements [http2.Handler].
func (h ruledUpstreamSide) Priority(u *http2.Stream, p http2.Priority) {
	rank := http2.Rank{Priority: p}
	if on := h.up.hop.Find(p.Depends); on != nil {
		rank.On = on.Owner.(stream2).callerStream()
	}
	u.Owner.(stream2).callerStream().Prioritize(rank)
}

// owner is who carries the caller's stream that p depends on, nil if nobody
// does. It is for the goroutine that reads the caller.
func (r *ruled) owner(p http2.Priority) stream2 {
	if p.Depends == 0 {
		return nil
	}
	return r.open(p.Depends)
}

// open is who carries the caller's open stream of that number.
func (r *ruled) open(id uint32) stream2 {
	if s := r.caller.Find(id); s != nil {
		x, _ := s.Owner.(stream2)
		return x
	}
	return nil
}

// rank2 is the priority of a caller's stream, which depends on that of on, as
// the upstream is told it; nil for none. A stream that waits for its rules has
// no other end yet: what depends on it has the default priority.
func rank2(p http2.Priority, on stream2) *http2.Rank {
	if !p.Said {
		return nil
	}
	rank := &http2.Rank{Priority: p}
	if on != nil {
		rank.On = on.upstreamStream()
	}
	return rank
}

// framePriorityUpdate is PRIORITY_UPDATE (RFC 9218, 7.1).
const framePriorityUpdate http2.FrameType = 0x10

// Other implements [http2.Handler].
func (h ruledCaller) Other(f *http2.Frame) {
	r := h.r
	r.mu.Lock()
	up := r.up
	r.mu.Unlock()
	var hop *http2.Hop
	if up != nil && up.hop.Attached() {
		hop = up.hop
	}
	pass2(hop, f, func(id uint32) *http2.Stream {
		if x := r.open(id); x != nil {
			return x.upstreamStream()
		}
		return nil
	})
}

// Other implements [http2.Handler].
func (h ruledUpstreamSide) Other(f *http2.Frame) {
	pass2(h.up.r.caller, f, func(id uint32) *http2.Stream {
		if u := h.up.hop.Find(id); u != nil {
			return u.Owner.(stream2).callerStream()
		}
		return nil
	})
}

// pass2 passes a frame of a type that only the peers know on, to a stream's hop
// or the one given, which may be nil, with the number that the stream has there:
// to returns it. A frame of a stream that is not known goes nowhere.
func pass2(hop *http2.Hop, f *http2.Frame, to func(uint32) *http2.Stream) {
	about, payload := f.Stream, f.Payload
	update := f.Type == framePriorityUpdate && about == 0 && len(payload) >= 4
	if update {
		about = binary.BigEndian.Uint32(payload) & http2.MaxStream
	}
	var id uint32
	if about != 0 {
		s := to(about)
		if s == nil {
			return
		}
		hop, id = s.Hop(), s.ID()
		if id == 0 {
			return
		}
	}
	if hop == nil {
		return
	}
	if update {
		payload = slices.Clone(payload)
		binary.BigEndian.PutUint32(payload, id)
		id = 0
	}
	hop.Frame(f.Type, f.Flags, id, payload)
}
