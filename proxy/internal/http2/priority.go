package http2

import "encoding/binary"

// Priority is what a peer says of a stream's share (RFC 7540, 5.3; deprecated
// by RFC 9113, 5.3.2, and said by some). The zero Priority is none.
type Priority struct {
	Said      bool
	Exclusive bool
	Weight    uint8  // less one
	Depends   uint32 // the stream that it depends on; 0: none
}

// defaultPriority is that of a stream of which nothing was said, or which
// depends on one that is not known (RFC 7540, 5.3.1 and 5.3.5).
var defaultPriority = Priority{Said: true, Weight: 15}

// Rank is a priority of a stream on one hop as it is told on another: On is the
// stream there that it depends on, nil if there is none. Depends has only to
// say whether there should be one.
type Rank struct {
	Priority
	On *Stream
}

// Priority returns what a PRIORITY frame says, or a HEADERS frame that has the
// fields of one, of a frame that [Checker.Check] has let through.
func (f *Frame) Priority() Priority {
	b := f.Payload
	if f.Type == FrameHeaders {
		if !f.Flags.Has(FlagPriority) {
			return Priority{}
		}
		b = unpadded(b, f.Flags)
	}
	depends := binary.BigEndian.Uint32(b)
	return Priority{Said: true, Exclusive: depends > MaxStream, Weight: b[4], Depends: depends & MaxStream}
}

// AppendPriority appends a PRIORITY frame. p is said.
func AppendPriority(dst []byte, stream uint32, p Priority) []byte {
	return p.append(AppendHeader(dst, Header{Length: uint32(p.len()), Type: FramePriority, Stream: stream}))
}

// len is how many bytes append appends.
func (p Priority) len() int {
	if p.Said {
		return 5
	}
	return 0
}

// append appends the fields of a priority; nothing if it is none.
func (p Priority) append(dst []byte) []byte {
	if !p.Said {
		return dst
	}
	depends := p.Depends
	if p.Exclusive {
		depends |= 1 << 31
	}
	return append(binary.BigEndian.AppendUint32(dst, depends), p.Weight)
}

// check refuses a stream that depends on itself (RFC 7540, 5.3.1).
func (p Priority) check(stream uint32) error {
	if p.Said && p.Depends == stream {
		return streamError(stream, ProtocolError, "a stream depends on itself")
	}
	return nil
}

// priority handles a PRIORITY frame. What it says of a stream that is idle or
// closed is lost: no other hop has a stream that it could be said of.
func (h *Hop) priority(f *Frame) error {
	h.link.mu.Lock()
	s := h.streams[f.Stream]
	h.link.mu.Unlock()
	if s == nil {
		return f.Priority().check(f.Stream)
	}
	return h.prioritized(s, f.Priority())
}

// prioritized notes what the peer says of an open stream.
func (h *Hop) prioritized(s *Stream, p Priority) error {
	if err := p.check(s.id); err != nil {
		return err
	}
	s.priority = p
	h.handler.Priority(s, p)
	return nil
}

// Priority is what the peer said last of the stream. It is for the handler.
func (s *Stream) Priority() Priority { return s.priority }

// Prioritize tells the peer the stream's priority: with its head, if that is yet
// to be sent.
func (s *Stream) Prioritize(r Rank) {
	h := s.hop
	h.link.mu.Lock()
	defer h.link.mu.Unlock()
	switch {
	case s.err != nil:
	case s.id == 0:
		s.rank = &r
	case h.streams[s.id] == s:
		p := s.ranked(&r)
		if !p.Said {
			p = defaultPriority
		}
		h.append(AppendPriority(h.outgoing(), s.id, p))
	}
}

// ranked is the priority as the peer of the stream is told it; none if r is nil,
// or where it depends on a stream that the peer does not know, or no more.
// hop.link.mu is held.
func (s *Stream) ranked(r *Rank) Priority {
	if r == nil {
		return Priority{}
	}
	p := r.Priority
	if p.Depends == 0 {
		return p
	}
	if on := r.On; on != nil && on != s && on.hop == s.hop && on.id != 0 && s.hop.streams[on.id] == on {
		p.Depends = on.id
		return p
	}
	return Priority{}
}
