package http1

import "math"

// Body follows the framing of a body over the wire bytes that pass. Reset it
// first.
type Body struct {
	// Limits bound the trailer section, as they bound a head. Reset keeps them.
	Limits Limits

	framing Framing
	done    bool
	err     *Error // sticks
	taken   int64  // wire bytes so far
	left    int64  // payload bytes to come, of the body or of the chunk
	chunk   chunkState
	trailer []byte // field lines so far
}

// Reset begins the body of a message that is framed by f.
func (b *Body) Reset(f Framing) {
	*b = Body{Limits: b.Limits.withDefaults(), framing: f, trailer: b.trailer[:0]}
	switch f.Kind {
	case Length:
		b.left = max(f.Length, 0)
		b.done = b.left == 0
	case UntilClose:
		b.left = math.MaxInt64
	case Chunked:
	default:
		b.done = true
	}
}

// Next takes n bytes off the front of p. data is the payload among them, a
// subslice of p[:n], and may be empty. done: the body ended with p[:n], and
// what follows belongs to the next message. Call it again with p[n:] until
// done, or until p is empty and more has to be read: n is 0 only then, or with
// an error, which is an [*Error], and which sticks.
func (b *Body) Next(p []byte) (n int, data []byte, done bool, err error) {
	switch {
	case b.err != nil:
		return 0, nil, false, b.err
	case b.done:
		return 0, nil, true, nil
	case len(p) == 0:
		return 0, nil, false, nil
	case b.framing.Kind == Chunked:
		n, data, err = b.nextChunked(p)
	default:
		n = int(min(int64(len(p)), b.left))
		data = p[:n]
		b.take(int64(n))
		b.done = b.left == 0
	}
	b.taken += int64(n)
	return n, data, b.done, err
}

// Pass takes all of p that belongs to the body, and returns how much that is.
// It is Next for who does not look at the payload.
func (b *Body) Pass(p []byte) (n int, done bool, err error) {
	for {
		took, _, done, err := b.Next(p[n:])
		n += took
		if done || err != nil || n == len(p) {
			return n, done, err
		}
	}
}

// Run is the number of bytes that come next on the wire and are payload
// whatever they are. [Body.Skip] takes them without their being seen.
func (b *Body) Run() int64 {
	if b.done || b.err != nil || b.framing.Kind == Chunked && b.chunk.at != inData {
		return 0
	}
	return b.left
}

// Skip notes that n bytes have passed elsewhere, by a splice for one. n is at
// most Run.
func (b *Body) Skip(n int64) {
	if n < 0 || n > b.Run() {
		panic("http1: skipped more than is left")
	}
	if n == 0 {
		return
	}
	b.take(n)
	b.taken += n
	switch {
	case b.framing.Kind != Chunked:
		b.done = b.left == 0
	case b.left == 0:
		b.chunk.at = inDataEnd
	}
}

// take counts n payload bytes. What ends with the connection has no count.
func (b *Body) take(n int64) {
	if b.framing.Kind != UntilClose {
		b.left -= n
	}
}

// Done reports whether the body has ended.
func (b *Body) Done() bool { return b.done }

// Remaining is the number of payload bytes yet to come, and -1 if only the
// rest of the wire tells.
func (b *Body) Remaining() int64 {
	switch {
	case b.done:
		return 0
	case b.framing.Kind == Length:
		return b.left
	}
	return -1
}

// Taken is the number of wire bytes of the body so far, chunk framing and
// trailers included.
func (b *Body) Taken() int64 { return b.taken }

// End says what it means that the connection ends here: nil if the body is
// whole, else an [*Error] with the reason truncated, and the message must not
// look finished to anybody.
func (b *Body) End() error {
	switch {
	case b.err != nil:
		return b.err
	case b.done:
		return nil
	case b.framing.Kind == UntilClose:
		b.done = true
		return nil
	}
	return b.refuse(reasonTruncated, 0)
}

// refuse fails the body for good, at i bytes after those taken so far.
func (b *Body) refuse(reason string, i int) error {
	b.err = fault(b.framing.response, reason, b.taken+int64(i))
	return b.err
}

// Trailers are the field lines of the trailer section of a chunked body as
// they came, each with its CRLF, without the empty line. They are whole once
// the body is done, and valid until Reset.
func (b *Body) Trailers() []byte { return b.trailer }

// AppendTrailers appends the fields of the trailer section to dst. They point
// into [Body.Trailers].
func (b *Body) AppendTrailers(dst []Field) []Field {
	for rest := b.trailer; ; {
		var f Field
		n, _, _ := f.parse(rest)
		if n == 0 {
			return dst
		}
		dst = append(dst, f)
		rest = rest[n:]
	}
}
