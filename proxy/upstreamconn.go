package proxy

import (
	"io"
	"net"
	"sync"
	"time"
)

// upstreamConn is a connection to the upstream as net/http's and grpc-go's
// clients see it. What the upstream said before its caller comes first, and
// an HTTP/1 caller that half-closes after its request is mirrored: a server may
// take that for a hang-up, as it may without us.
type upstreamConn struct {
	*net.TCPConn
	greeting []byte // read by one goroutine, as those clients do
	settings settings
	settled  chan struct{} // closed when an HTTP/2 client knows the upstream's settings, or never will

	mu      sync.Mutex // guards what follows
	sending requestState
	direct  bool   // the last write passed net/http's buffer by: nothing is left in it
	request int    // counts the requests that began
	stalled func() // ends the reading of the waiting request's body; nil if none waits
	end     error  // of what the upstream says
	ended   bool   // the caller has ended its side
	shut    bool   // and so has this one, towards the upstream
}

// requestState is how far a request has left.
type requestState uint8

const (
	requestOpen    requestState = iota
	requestWritten              // into net/http's buffer: the next write is the flush
	requestSent
)

// flushPatience is how long a flush is waited for: there is none if the
// buffer was just empty.
const flushPatience = time.Second

func (u *upstreamConn) Read(b []byte) (n int, err error) {
	if u.settings.complete() && !u.isSettled() {
		close(u.settled) // who reads on has taken them in
	}
	if len(u.greeting) > 0 {
		n = copy(b, u.greeting)
		u.greeting = u.greeting[n:]
	} else if n, err = u.TCPConn.Read(b); err != nil {
		if !u.isSettled() {
			close(u.settled)
		}
		u.over(err)
	}
	u.settings.add(b[:n])
	return n, err
}

func (u *upstreamConn) isSettled() bool {
	select {
	case <-u.settled:
		return true
	default:
		return false
	}
}

// settings follows the first frame of an HTTP/2 server, its settings (RFC 9113,
// 3.4), to its end.
type settings struct {
	head [3]byte // its length
	got  int     // of the frame, while it is not complete
}

func (s *settings) add(b []byte) {
	if !s.complete() {
		if s.got < len(s.head) {
			copy(s.head[s.got:], b)
		}
		s.got += len(b)
	}
}

func (s *settings) complete() bool {
	const frameHead = 9
	length := int(s.head[0])<<16 | int(s.head[1])<<8 | int(s.head[2])
	return s.got >= frameHead+length
}

// stallPatience is how long a response that came just before the end may take
// to be noticed.
const stallPatience = 20 * time.Millisecond

// over is called when the upstream has ended. net/http does not say so while it
// waits for more of the request's body, and the caller may have paused.
func (u *upstreamConn) over(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.end = err
	request := u.request
	if u.stalled == nil || u.sending != requestOpen {
		return
	}
	time.AfterFunc(stallPatience, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.stalled != nil && u.request == request {
			u.stalled()
		}
	})
}

func (u *upstreamConn) Write(b []byte) (int, error) {
	n, err := u.TCPConn.Write(b)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.direct = false
	if u.sending == requestWritten {
		u.sent()
	}
	return n, err
}

func (u *upstreamConn) ReadFrom(r io.Reader) (int64, error) {
	n, err := u.TCPConn.ReadFrom(r)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.direct = true
	return n, err
}

// begin is called before an HTTP/1 request is sent. stalled ends the reading of
// its body.
func (u *upstreamConn) begin(stalled func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sending, u.stalled = requestOpen, stalled
	u.request++
}

// answered is called when the request's response has begun, or will not. It
// returns how the upstream ended, nil if it has not.
func (u *upstreamConn) answered() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stalled = nil
	return u.end
}

// written is called when net/http has written a request, but for the flush.
func (u *upstreamConn) written() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sending = requestWritten
	switch {
	case u.direct:
		u.sent()
	case u.ended:
		u.expectFlush()
	}
}

// callerEnded is called when the caller has ended its side.
func (u *upstreamConn) callerEnded() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended = true
	switch u.sending {
	case requestWritten:
		u.expectFlush()
	case requestSent:
		u.shutWrite()
	}
}

// expectFlush bounds the wait for a write that may not come. mu is held.
func (u *upstreamConn) expectFlush() {
	time.AfterFunc(flushPatience, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.sending == requestWritten {
			u.sent()
		}
	})
}

// sent is called when a request has left. mu is held.
func (u *upstreamConn) sent() {
	u.sending = requestSent
	if u.ended {
		u.shutWrite()
	}
}

// shutWrite ends our side. mu is held.
func (u *upstreamConn) shutWrite() {
	u.shut = true
	_ = u.CloseWrite() // a connection that is gone says so to its reader
}

// halfClosed reports whether nothing more can be sent. A request that its
// caller had pipelined before it ended takes another connection.
func (u *upstreamConn) halfClosed() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.shut
}
