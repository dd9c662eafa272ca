package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/detect"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
)

// maxFirst bounds the bytes that are held while a connection is told apart: a
// request line of 8 KiB or a ClientHello of 16 KiB.
const maxFirst = 17 << 10

// race decides who speaks first, the caller or the upstream. The connection is
// dialled at accept and both sides are read; the first byte decides. A server
// that greets its callers needs no port list and waits for nobody.
type race struct {
	dialed   chan struct{} // closed when up or err is set
	listened chan struct{} // closed when nobody reads the upstream any more

	mu       sync.Mutex
	up       *net.TCPConn // nil until dialled, and after it was taken
	err      error        // of the dial
	greeting []byte       // what the upstream said first
	put      bool         // the dial is put off until somebody takes the connection
	decided  bool
	upFirst  bool   // decided by the upstream's word or end
	reset    Origin // who reset the connection before it took a lane; "" for nobody
	lane     Lane
	spliced  closer
	closed   bool
}

type closer interface{ Close() }

func (r *race) init() {
	r.dialed = make(chan struct{})
	r.listened = make(chan struct{})
}

// dialUpstream dials the destination and waits for its first word.
func (c *conn) dialUpstream() {
	r := &c.race
	defer close(r.listened)
	up, err := c.dial(c.ctx)
	r.mu.Lock()
	r.up, r.err = up, err
	if r.closed && up != nil {
		up.Close()
	}
	decided := r.decided || r.closed
	r.mu.Unlock()
	if err != nil {
		c.dialFailed(err) // before an exchange that waits for the dial can answer
	}
	close(r.dialed)
	if err != nil {
		return
	}
	if decided {
		return
	}
	greeting, err := firstWord(up)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.greeting = greeting
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return // the caller spoke first
	}
	if err == nil && detect.SettingsFrame(greeting) == detect.Yes {
		return // an HTTP/2 server may say its settings first; its caller has to speak too
	}
	if err != nil && !errors.Is(err, io.EOF) && r.reset == "" {
		r.reset = OriginUpstream // the kernel tells of a reset only once
	}
	if !r.decided {
		r.decided, r.upFirst = true, true
		c.tcp.SetReadDeadline(past) // wakes sniff
	}
}

// past is a deadline that wakes whoever is reading.
var past = time.Unix(1, 0)

// dialFailed mirrors a destination that refused, at once, unless a route could
// answer in its place. Then the caller has HeadTimeout to begin to speak.
func (c *conn) dialFailed(err error) {
	if !c.p.Rules.Load().CanAnswer(c.Direction, c.port()) {
		c.abort(&Error{Origin: OriginUpstream, Reason: intercept.Classify(err), Err: err})
		return
	}
	c.race.mu.Lock()
	defer c.race.mu.Unlock()
	if !c.race.decided {
		c.tcp.SetReadDeadline(time.Now().Add(c.p.HeadTimeout))
	}
}

// untold is why a connection whose first bytes told nothing is closed.
func (c *conn) untold() error {
	c.race.mu.Lock()
	defer c.race.mu.Unlock()
	if err := c.race.err; err != nil && len(c.first) == 0 {
		return &Error{Origin: OriginUpstream, Reason: intercept.Classify(err), Err: err}
	}
	return &Error{Origin: OriginCaller, Reason: "head_timeout"}
}

// firstWord reads what the upstream says before its caller has said anything.
// Bytes that may become an HTTP/2 server's settings are completed.
func firstWord(up *net.TCPConn) ([]byte, error) {
	buf := make([]byte, 4<<10)
	for n := 0; ; {
		m, err := up.Read(buf[n:])
		n += m
		if err != nil || detect.SettingsFrame(buf[:n]) != detect.Maybe {
			return buf[:n], err
		}
	}
}

// sniff reads the caller's first bytes until they tell what it speaks, or the
// upstream speaks first. [detect.Unknown] means that they told nothing in time.
func (c *conn) sniff() detect.Kind {
	kind, first := c.listen()
	r := &c.race
	r.mu.Lock()
	if !r.decided {
		r.decided = true
		if r.up != nil {
			r.up.SetReadDeadline(past) // wakes dialUpstream
		}
	}
	if r.upFirst {
		kind = detect.Raw
	}
	up := r.up
	r.mu.Unlock()
	if up != nil {
		<-r.listened
		up.SetReadDeadline(time.Time{})
	}
	c.tcp.SetReadDeadline(time.Time{})
	c.first = first
	return kind
}

// listen reads the caller until its bytes decide or it ends.
func (c *conn) listen() (detect.Kind, []byte) {
	first := make([]byte, 0, 2<<10)
	for {
		if len(first) == cap(first) {
			first = append(make([]byte, 0, min(2*cap(first), maxFirst)), first...)
		}
		n, err := c.tcp.Read(first[len(first):cap(first)])
		c.spoke()
		if n > 0 && len(first) == 0 && !c.deadline(c.p.HeadTimeout) {
			return detect.Raw, first[:n] // the upstream spoke meanwhile
		}
		first = first[:len(first)+n]
		kind, more := detect.Detect(first)
		switch {
		case !more && kind == detect.TLS:
			if hello, waits, err := detect.ClientHello(first); waits && err == nil && len(first) < maxFirst {
				break
			} else if err == nil {
				c.sni, c.alpn = hello.SNI, hello.ALPN
			}
			return kind, first
		case !more:
			return kind, first
		}
		switch {
		case err == nil && len(first) < maxFirst:
		case errors.Is(err, os.ErrDeadlineExceeded) && !c.race.wonByUpstream():
			return detect.Unknown, first
		default: // it ended before it said anything that tells, or the upstream spoke
			if err != nil && isReset(err) {
				c.race.wasReset(OriginCaller)
			}
			return detect.Raw, first
		}
	}
}

// deadline bounds the wait for the rest of a first word that has begun. It
// reports false if the upstream has spoken, whose wake-up it must not undo.
func (c *conn) deadline(d time.Duration) bool {
	c.race.mu.Lock()
	defer c.race.mu.Unlock()
	if c.race.upFirst {
		return false
	}
	c.tcp.SetReadDeadline(time.Now().Add(d))
	return true
}

func (r *race) wonByUpstream() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.upFirst
}

// wasReset notes who reset the connection: the kernel tells of it only once.
func (r *race) wasReset(by Origin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reset == "" {
		r.reset = by
	}
}

func (r *race) resetBy() Origin {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reset
}

// putOff dials nothing until somebody takes the upstream's connection: nothing
// will be known of it before the caller has spoken.
func (c *conn) putOff() {
	c.race.put = true
	close(c.race.dialed)
	close(c.race.listened)
}

// take hands the connection dialled at accept to its one user, with what the
// upstream said already, and waits for the dial if it must. A second take
// finds nothing: nil and no error.
func (c *conn) take() (up *net.TCPConn, greeting []byte, err error) {
	<-c.race.dialed // bounded by ConnectTimeout
	r := &c.race
	r.mu.Lock()
	put := r.put
	r.put = false
	r.mu.Unlock()
	if put {
		up, err = c.dial(c.ctx)
		return up, nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	up, greeting, err = r.up, r.greeting, r.err
	r.up, r.greeting, r.err = nil, nil, nil
	return up, greeting, err
}

// close closes the dialled connection if nobody took it.
func (r *race) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.up != nil {
		r.up.Close()
		r.up = nil
	}
}

// enter notes the lane, and what to close when the connection is aborted.
func (r *race) enter(lane Lane, spliced closer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lane, r.spliced = lane, spliced
}

func (r *race) laneOf() Lane {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lane
}

func (r *race) pipe() closer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spliced
}
