package proxy

import (
	"encoding/binary"
	"io"
	"sync"

	"google.golang.org/grpc/mem"
)

// frame is one gRPC message as bytes, without its prefix and its encoding.
type frame struct{ buf mem.BufferSlice }

// bytes returns the message; it is copied together at most once.
func (f *frame) bytes() []byte {
	if len(f.buf) == 1 {
		return f.buf[0].ReadOnlyData()
	}
	joined := f.buf.Materialize()
	f.buf.Free()
	f.buf = mem.BufferSlice{mem.SliceBuffer(joined)}
	return joined
}

func newFrame(message []byte) *frame {
	return &frame{buf: mem.BufferSlice{mem.SliceBuffer(message)}}
}

// frameCodec hands messages through grpc-go as bytes. Its empty name keeps the
// content type as the caller sent it.
type frameCodec struct{}

func (frameCodec) Marshal(v any) (mem.BufferSlice, error) {
	f := v.(*frame)
	f.buf.Ref() // grpc-go frees what it sends; the frame may be looked at afterwards
	return f.buf, nil
}

func (frameCodec) Unmarshal(data mem.BufferSlice, v any) error {
	// Copied: the observers may keep what they are shown, and grpc-go's buffers
	// go back to their pool.
	v.(*frame).buf = mem.BufferSlice{mem.SliceBuffer(data.Materialize())}
	return nil
}

func (frameCodec) Name() string { return "" }

// gateWindow is how many bytes of messages may wait for the upstream.
const gateWindow = 256 << 10

// gate gives grpc-go the caller's bytes no faster than their messages are
// consumed. Its handler transport reads a request's body into a queue without a
// bound, so that a slow upstream would let a fast caller fill the memory. The
// gate follows the frames (5 bytes of prefix, then the message) and waits while
// a whole message is unread and the window is full.
type gate struct {
	body io.ReadCloser

	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	closed  bool
	waiting []int64 // lengths of whole frames that were read and not consumed
	held    int64   // their sum
	frame   int64   // length of the frame being read, with its prefix, once known
	got     int64   // bytes of it that were read
	prefix  []byte
}

func newGate(body io.ReadCloser) *gate {
	g := &gate{body: body}
	g.changed = sync.NewCond(&g.mu)
	return g
}

func (g *gate) Read(b []byte) (int, error) {
	g.mu.Lock()
	for len(g.waiting) > 0 && g.held+g.got >= gateWindow && !g.closed {
		g.changed.Wait()
	}
	g.mu.Unlock()
	n, err := g.body.Read(b)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.follow(b[:n])
	return n, err
}

// follow counts frames in the bytes that were read.
func (g *gate) follow(b []byte) {
	for len(b) > 0 {
		if g.frame == 0 {
			n := min(5-len(g.prefix), len(b))
			g.prefix = append(g.prefix, b[:n]...)
			g.got += int64(n)
			b = b[n:]
			if len(g.prefix) < 5 {
				return
			}
			g.frame = 5 + int64(binary.BigEndian.Uint32(g.prefix[1:]))
			g.prefix = g.prefix[:0]
		}
		n := min(g.frame-g.got, int64(len(b)))
		g.got += n
		b = b[n:]
		if g.got == g.frame {
			g.waiting = append(g.waiting, g.frame)
			g.held += g.frame
			g.frame, g.got = 0, 0
		}
	}
}

// consumed tells that one message was taken out of grpc-go.
func (g *gate) consumed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) > 0 {
		g.held -= g.waiting[0]
		g.waiting = g.waiting[1:]
		g.changed.Signal()
	}
}

// close lets a waiting Read go on, to find the body closed.
func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.changed.Broadcast()
	g.body.Close()
}

func (g *gate) Close() error {
	g.close()
	return nil
}
