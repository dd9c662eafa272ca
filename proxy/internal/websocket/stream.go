package websocket

import "slices"

// Handler is shown a text message, which it may keep, or why it cannot be: then
// data is nil and failed an [*Error]. Unless edited is true the message goes on
// as it came; else out goes on in its place: none, one or several. An error ends
// the stream.
type Handler func(data []byte, failed error) (out [][]byte, edited bool, err error)

// Config is of one direction.
type Config struct {
	Deflate *Deflate // nil: messages are not compressed
	Max     int      // of a message, in bytes and without compression; larger ones are shown as failed
	Text    Handler
}

// Stream is one direction of a connection. It is for one goroutine.
//
// As long as no compressed message was changed, frames go on as they came. From
// then on what compressed messages refer to is not what the receiver has seen,
// and where the context is kept all of them are compressed anew.
type Stream struct {
	c      Config
	in     *inflater
	out    *deflater
	anew   bool // compressed messages are compressed anew
	unseen bool // a compressed message passed unread: what follows refers to it

	begun []byte // of a header that is not whole
	frame header
	at    int64 // of the frame's payload, read so far
	within,
	inMessage bool // a frame; a message of several frames

	holds   bool // the message is held until it is whole
	first   header
	held    []byte // its frames, as they came
	content []byte // what they say, unmasked
}

// New returns a Stream.
func New(c Config) *Stream {
	s := &Stream{c: c}
	if c.Deflate != nil {
		s.in = newInflater(c.Deflate)
	}
	return s
}

// Append takes the next bytes of the direction, of any length, and appends to
// dst what goes on. After an error, which is an [*Error] or the handler's, the
// stream is over, and dst still goes on.
func (s *Stream) Append(dst, in []byte) ([]byte, error) {
	for len(in) > 0 {
		if !s.within {
			raw, n, err := s.header(in)
			if err != nil {
				return dst, err
			}
			in = in[n:]
			if raw == nil {
				return dst, nil
			}
			if err := s.begin(); err != nil {
				s.within = false // nothing of it went on
				return dst, err
			}
			dst = s.pass(dst, raw)
			s.begun = s.begun[:0]
		}
		n := int(min(int64(len(in)), s.frame.length-s.at))
		var err error
		if dst, err = s.payload(dst, in[:n]); err != nil {
			return dst, err
		}
		in = in[n:]
		if s.at == s.frame.length {
			if dst, err = s.end(dst); err != nil {
				return dst, err
			}
		}
	}
	return dst, nil
}

// header reads the header of the next frame. raw is nil if it is not whole; n is
// how much of in it took.
func (s *Stream) header(in []byte) (raw []byte, n int, err error) {
	before := len(s.begun)
	whole := in
	if before > 0 {
		s.begun = append(s.begun, in[:min(len(in), maxHeader-before)]...)
		whole = s.begun
	}
	h, size, err := parseHeader(whole)
	switch {
	case err != nil:
		return nil, 0, err
	case size == 0 && before == 0:
		s.begun = append(s.begun, in...)
		return nil, len(in), nil
	case size == 0:
		return nil, len(s.begun) - before, nil
	}
	s.frame, s.at, s.within = h, 0, true
	return whole[:size], size - before, nil
}

// begin looks at a frame that has begun.
func (s *Stream) begin() error {
	f := &s.frame
	switch {
	case f.rsv1 && s.c.Deflate == nil:
		return violation("reserved bits")
	case f.opcode.control():
		return nil
	case (f.opcode == Continuation) != s.inMessage:
		return violation("a message within a message, or none to continue")
	case f.opcode == Continuation:
		return nil
	}
	s.first, s.inMessage = *f, true
	s.holds = f.opcode == Text || f.rsv1 && s.in.keeps && !s.unseen
	return nil
}

// pass lets raw bytes of a frame go on, or holds them.
func (s *Stream) pass(dst, raw []byte) []byte {
	if s.holds && !s.frame.opcode.control() {
		s.held = append(s.held, raw...)
		return dst
	}
	return append(dst, raw...)
}

// payload takes a part of a frame's payload.
func (s *Stream) payload(dst, part []byte) ([]byte, error) {
	dst = s.pass(dst, part)
	if s.holds && !s.frame.opcode.control() {
		from := len(s.content)
		s.content = append(s.content, part...)
		mask(s.content[from:], s.frame.key, s.at)
		s.at += int64(len(part))
		if len(s.content) > s.c.Max {
			return s.letGo(dst, errTooBig)
		}
		return dst, nil
	}
	s.at += int64(len(part))
	return dst, nil
}

// end takes the end of a frame.
func (s *Stream) end(dst []byte) ([]byte, error) {
	s.within = false
	if s.frame.opcode.control() || !s.frame.fin {
		return dst, nil
	}
	s.inMessage = false
	if !s.holds {
		return dst, nil
	}
	dst, err := s.message(dst)
	s.drop()
	return dst, err
}

// drop forgets the message that was held.
func (s *Stream) drop() {
	s.holds = false
	s.held, s.content = reuse(s.held), reuse(s.content)
}

// reuse is b as room for another message, if it is not too large to be kept.
func reuse(b []byte) []byte {
	if cap(b) > 64<<10 {
		return nil
	}
	return b[:0]
}

// message takes a message that is whole.
func (s *Stream) message(dst []byte) ([]byte, error) {
	data := s.content
	if s.first.rsv1 {
		if s.unseen {
			return s.letGo(dst, &Error{CloseTooBig, "a message refers to one that was too big"})
		}
		var err error
		if data, err = s.in.inflate(nil, s.content, s.c.Max); err != nil {
			return s.letGo(dst, err)
		}
	}
	if s.first.opcode == Binary {
		return s.unchanged(dst, data)
	}
	if !s.first.rsv1 {
		data = slices.Clone(data) // content is used again
	}
	out, edited, err := s.c.Text(data, nil)
	if err != nil {
		return dst, err
	}
	if !edited {
		return s.unchanged(dst, data)
	}
	s.anew = s.anew || s.first.rsv1 && s.in.keeps
	for _, message := range out {
		if dst, err = s.write(dst, message); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// unchanged lets a message go on that says data.
func (s *Stream) unchanged(dst, data []byte) ([]byte, error) {
	if s.anew && s.first.rsv1 {
		return s.write(dst, data)
	}
	return append(dst, s.held...), nil
}

// letGo lets a message go on that cannot be read, unless the handler objects or
// the receiver could not read what follows.
func (s *Stream) letGo(dst []byte, failed error) ([]byte, error) {
	if s.first.opcode == Text {
		if _, _, err := s.c.Text(nil, failed); err != nil {
			return dst, err
		}
	}
	if s.first.rsv1 && s.in.keeps {
		if s.anew {
			return dst, failed
		}
		s.unseen = true
	}
	dst = append(dst, s.held...)
	s.drop()
	return dst, nil
}

// write appends a message in one frame, masked as the one it stands for.
func (s *Stream) write(dst, message []byte) ([]byte, error) {
	h := s.first
	h.fin = true
	if h.rsv1 {
		if s.out == nil {
			var err error
			if s.out, err = newDeflater(s.c.Deflate); err != nil {
				return dst, &Error{CloseInternalError, err.Error()}
			}
		}
		var err error
		if message, err = s.out.deflate(message); err != nil {
			return dst, &Error{CloseInternalError, err.Error()}
		}
	}
	h.length = int64(len(message))
	dst = appendHeader(dst, h)
	from := len(dst)
	dst = append(dst, message...)
	if h.masked {
		mask(dst[from:], h.key, 0)
	}
	return dst, nil
}

// Between reports whether what went on so far ends with a whole frame, so that
// one of this end's own can follow.
func (s *Stream) Between() bool { return !s.within || s.holds && !s.frame.opcode.control() }
