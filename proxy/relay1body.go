package proxy

import (
	"errors"
	"io"
	"slices"

	"github.com/sluice-proxy/sluice/proxy/internal/http1"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
	"github.com/sluice-proxy/sluice/proxy/internal/splice"
)

// spliceFrom is how much of a body has to be left for the kernel to move it.
const spliceFrom = 64 << 10

// body1 is the body of a message of HTTP/1 in the buffer of a connection. Steps
// read its payload; the wire bytes are kept, so that what they leave equal goes
// on as it came.
type body1 struct {
	in       *sock.Reader
	frame    http1.Body
	x        *exchange1
	response bool

	kept    []byte // wire bytes that Read has taken, unless passing
	passing bool   // they go on in another form
	dropped int
}

// Read reads payload. A body that ends before its end is io.ErrUnexpectedEOF.
func (b *body1) Read(p []byte) (int, error) {
	b.takeHead()
	for !b.frame.Done() {
		got := b.in.Buffered()
		if len(got) == 0 {
			if err := b.fill(); err != nil {
				return 0, b.endedBy(err)
			}
			got = b.in.Buffered()
		}
		n, data, _, err := b.frame.Next(got[:min(len(got), len(p))])
		copied := copy(p, data)
		b.shadePassed(data[:copied])
		if !b.passing {
			b.kept = append(b.kept, got[:n]...)
		}
		b.in.Discard(n)
		if err != nil || copied > 0 {
			return copied, err
		}
	}
	b.shadePassed(nil)
	return 0, io.EOF
}

// readAll reads a body of size bytes, whose payload is what is on the wire: it is
// what is kept. Nobody gets much memory for what they say.
func (b *body1) readAll(size int64) ([]byte, error) {
	b.takeHead()
	b.kept = slices.Grow(b.kept, int(min(size, spliceFrom)))
	for !b.frame.Done() {
		got := b.in.Buffered()
		if len(got) == 0 {
			if err := b.fill(); err != nil {
				return b.kept, b.endedBy(err)
			}
			continue
		}
		n, data, _, err := b.frame.Next(got)
		b.shadePassed(data)
		b.kept = append(b.kept, got[:n]...)
		b.in.Discard(n)
		if err != nil {
			return b.kept, err
		}
	}
	b.shadePassed(nil)
	return b.kept, nil
}

// takeHead takes the head that stands before the body out of in.
func (b *body1) takeHead() {
	if b.response {
		b.x.holdReply()
	} else {
		b.x.hold()
	}
}

// fill waits until in has bytes.
func (b *body1) fill() error {
	if b.response {
		return b.x.fillReply()
	}
	err := b.x.fillUpload()
	b.x.deadlines.moved()
	return err
}

// endedBy is what an error of reading the connection means for the body.
func (b *body1) endedBy(err error) error {
	switch {
	case !errors.Is(err, io.EOF):
		return err
	case b.frame.End() == nil:
		b.x.shade.half(!b.response).end()
		return io.EOF
	}
	return io.ErrUnexpectedEOF
}

func (b *body1) Close() error { return nil }

// passOn makes Read forget what it has read.
func (b *body1) passOn() { b.passing, b.kept = true, nil }

// shadePassed shows payload to the route in shadow, and whether it was the last.
func (b *body1) shadePassed(data []byte) {
	if b.x.shade == nil {
		return
	}
	d := b.x.shade.half(!b.response)
	d.add(data)
	if b.frame.Done() {
		d.end()
	}
}

// done reports whether nothing is left on the wire.
func (b *body1) done() bool { return b.in == nil || b.frame.Done() }

// drop reads and forgets what has come, or waits for it.
func (b *body1) drop() error {
	if len(b.in.Buffered()) == 0 {
		if err := b.fill(); err != nil {
			return err
		}
	}
	n, _, err := b.frame.Pass(b.in.Buffered())
	b.in.Discard(n)
	b.dropped += n
	return err
}

// pass finds how much of p, the next wire bytes, belongs to the body, and shows
// the payload among them to whoever looks at what passes.
func (b *body1) pass(p []byte, seen, judged *capture) (n int, err error) {
	if seen == nil && judged == nil && b.x.shade == nil {
		n, _, err := b.frame.Pass(p)
		return n, err
	}
	for n < len(p) && !b.frame.Done() {
		took, data, _, err := b.frame.Next(p[n:])
		n += took
		seen.add(data)
		judged.add(data)
		b.shadePassed(data)
		if err != nil {
			return n, err
		}
	}
	b.shadePassed(nil)
	return n, nil
}

// bulk is how many of the next wire bytes the kernel may move: payload, and so
// much of it that it is worth a pipe. -1 is all until the connection's end.
func (b *body1) bulk(seen, judged *capture) int64 {
	run := b.frame.Run()
	if run < spliceFrom || b.x.deadlines.watchesIdle() || judged != nil || len(b.in.Buffered()) > 0 || !seen.full() || b.x.shade.half(!b.response).wants() {
		return 0
	}
	if b.frame.Remaining() < 0 && run > 1<<62 {
		return -1
	}
	return run
}

// moved notes that the kernel has moved n bytes.
func (b *body1) moved(n int64, seen *capture) {
	b.frame.Skip(n)
	seen.skip(n)
}

// moveError is the side of a move that failed, and how.
func moveError(err error) (side splice.Side, cause error) {
	var failed *splice.CopyError
	if errors.As(err, &failed) {
		return failed.Side, failed.Err
	}
	return 0, err
}
