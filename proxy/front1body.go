package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http1"
)

// front1Body is the body of a front1's request. It may be read by the upstream's
// half of the exchange while the response is on its way, and after that has
// ended; takeBack then ends the reading.
type front1Body struct {
	f      *front1
	closed atomic.Bool // its reads fail from now on
	broke  atomic.Bool // err is set and not the end

	mu    sync.Mutex // held by Read; guards what follows
	frame http1.Body
	err   error // sticks
}

func (b *front1Body) begin(f *front1, head *http1.Request) {
	b.f = f
	b.frame.Reset(head.Framing)
}

// Read reads the payload. A caller who waits for 100 Continue gets it now.
func (b *front1Body) Read(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed.Load():
		return 0, http.ErrBodyReadAfterClose
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	}
	b.f.response.sayContinue()
	for n == 0 && err == nil {
		n, err = b.next(p)
	}
	b.err = err
	b.broke.Store(err != nil && !errors.Is(err, io.EOF))
	return n, err
}

// next reads payload, or some of the framing around it.
func (b *front1Body) next(p []byte) (n int, err error) {
	in := b.f.in
	if len(in.Buffered()) == 0 {
		if run := b.frame.Run(); run >= int64(len(p)) { // no use for a buffer
			n, err = in.Read(p)
			b.frame.Skip(int64(n))
		} else {
			_, err = in.Fill()
		}
		if err != nil {
			return n, b.cut(err)
		}
		b.f.c.spoke()
		if b.frame.Done() {
			b.end()
			return n, io.EOF
		}
		if n > 0 {
			return n, nil
		}
	}
	got := in.Buffered()
	took, data, done, err := b.frame.Next(got[:min(len(got), len(p))])
	n = copy(p, data)
	in.Discard(took)
	var refused *http1.Error
	if errors.As(err, &refused) {
		return n, &Error{Origin: OriginCaller, Reason: refused.Reason, Err: err}
	}
	if done {
		b.end()
		return n, io.EOF
	}
	return n, nil
}

// cut is what an error of reading the caller means in the middle of the body.
func (b *front1Body) cut(err error) error {
	b.f.c.heard(err)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// end fills in the trailers and listens for what follows.
func (b *front1Body) end() {
	if fields := b.frame.AppendTrailers(nil); len(fields) > 0 {
		trailer := b.f.request.Trailer
		if trailer == nil {
			trailer = make(http.Header, len(fields))
		}
		for _, f := range fields {
			name := textproto.CanonicalMIMEHeaderKey(string(f.Name))
			trailer[name] = append(trailer[name], string(f.Value))
		}
		b.f.request.Trailer = trailer
	}
	b.f.listen()
}

// Close implements [io.Closer]. What is not read yet is settle's to decide.
func (b *front1Body) Close() error {
	b.closed.Store(true)
	return nil
}

// stop waits for a Read that goes on and is the last.
func (b *front1Body) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed.Store(true)
}

// drop drops the rest of the body if it is short and surely comes. It reports
// whether the next head follows. Nobody reads any more.
func (b *front1Body) drop() bool {
	switch {
	case b.frame.Done():
		return true
	case b.broke.Load() || b.f.response.mayContinue || b.frame.Remaining() > maxDropped:
		return false
	}
	b.f.c.tcp.SetReadDeadline(time.Now().Add(b.f.c.p.HeadTimeout))
	for from := b.frame.Taken(); b.frame.Taken()-from <= maxDropped; {
		took, done, err := b.frame.Pass(b.f.in.Buffered())
		b.f.in.Discard(took)
		if err == nil && done {
			b.f.c.tcp.SetReadDeadline(time.Time{})
			return b.f.c.ctx.Err() == nil
		}
		if err == nil {
			_, err = b.f.in.Fill()
		}
		if err != nil {
			b.f.c.heard(err)
			return false
		}
	}
	return false
}
