// Package splice joins two TCP connections so that each side sees what it
// would see if it spoke to the other directly: the same bytes, the same
// half-closes, and a reset where the other side was reset or broke off.
//
// On Linux bulk moves inside the kernel with splice(2). Given a [Pipes], a
// kernel pipe is held only while bulk moves, so an idle connection costs its two
// sockets, two parked goroutines and 8 KiB.
package splice

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/sock"
)

// DefaultHalfClose is Options.HalfClose's default: what HAProxy users give a
// tunnel. A peer that vanished is found by keep-alive in minutes; this bounds
// only a live one that is silent and never ends.
const DefaultHalfClose = time.Hour

// resetDrain bounds the wait for delivered bytes before a reset: a reset
// discards what the kernel still holds, and the other side sent it before.
const resetDrain = time.Second

// Options are the choices of a [Pipe]. The zero value works.
type Options struct {
	// FirstAtoB and FirstBtoA were read from a and b before; they are sent
	// before anything else, and counted.
	FirstAtoB, FirstBtoA []byte

	// Pipes lends kernel pipes. With nil each direction keeps one of its own
	// from its first bulk to its end.
	Pipes *Pipes

	// HalfClose is how long the open direction may be silent after the other
	// one has ended; the true bound lies between it and its double. Every byte
	// begins it anew. Zero means DefaultHalfClose, negative no bound.
	HalfClose time.Duration
}

// Stats counts the bytes that were passed on.
type Stats struct{ AtoB, BtoA int64 }

// ErrHalfClosed is the end of a pipe whose second direction was silent for too
// long after the first had ended.
var ErrHalfClosed = errors.New("silent for too long after half-close")

// ErrClosed is the end of a pipe that was closed with [Pipe.Close].
var ErrClosed = errors.New("splice closed")

// Pipe joins two connections and owns them from New on. Its methods may be
// called from any goroutine, Run once.
type Pipe struct {
	a, b       *net.TCPConn
	halfClose  time.Duration
	pipes      *Pipes
	aToB, bToA direction

	ends   atomic.Int32 // directions that came to their end of file
	shuts  atomic.Bool  // a side was half-closed, or is about to be
	closed atomic.Bool  // by Close
	once   sync.Once    // guards err and the end of both connections
	err    error
}

// direction is one way through a Pipe. Its name is that of its source and
// destination in errors.
type direction struct {
	pipe     *Pipe
	name     string
	src, dst *net.TCPConn
	first    []byte
	passed   atomic.Int64
	kernel   int64 // of them, through splice(2); for the direction's goroutine
	atLast   int64 // passed at the last deadline; for the direction's goroutine
}

// New joins a and b. Nothing moves before Run.
func New(a, b *net.TCPConn, o Options) *Pipe {
	if o.HalfClose == 0 {
		o.HalfClose = DefaultHalfClose
	}
	p := &Pipe{a: a, b: b, halfClose: o.HalfClose, pipes: o.Pipes}
	p.aToB = direction{pipe: p, name: "a to b", src: a, dst: b, first: o.FirstAtoB}
	p.bToA = direction{pipe: p, name: "b to a", src: b, dst: a, first: o.FirstBtoA}
	return p
}

// Run passes bytes until both directions have ended, and closes both
// connections. It returns nil if both ended cleanly; after any error both
// connections were reset.
func (p *Pipe) Run() error {
	p.a.SetDeadline(time.Time{})
	p.b.SetDeadline(time.Time{})
	var back sync.WaitGroup
	back.Go(p.bToA.run)
	p.aToB.run()
	back.Wait()
	p.end(nil)
	return p.err
}

// Stats may be called while the pipe runs; it lags by one read at most.
func (p *Pipe) Stats() Stats {
	return Stats{AtoB: p.aToB.passed.Load(), BtoA: p.bToA.passed.Load()}
}

// Close resets both connections at once; Run then returns ErrClosed. It may be
// called before Run and more than once.
func (p *Pipe) Close() {
	p.closed.Store(true)
	reset(p.a)
	reset(p.b)
}

// run passes the direction's bytes and ends it.
func (d *direction) run() {
	p := d.pipe
	err := d.pass()
	if err == nil && !p.shuts.Load() && sock.Broken(d.src) {
		err = syscall.ECONNRESET // told to whoever wrote, and to the reader as an end
	}
	if err != nil {
		p.end(fmt.Errorf("pass bytes %s: %w", d.name, err))
		return
	}
	p.shuts.Store(true)
	if err := d.dst.CloseWrite(); err != nil {
		p.end(fmt.Errorf("half-close %s: %w", d.name, err))
		return
	}
	if p.ends.Add(1) == 2 {
		p.end(nil) // wakes the other direction's watch
		return
	}
	p.boundSilence(d.dst, d.src)
	// Nobody reads src any more. A reset of it has to reach dst all the same.
	if err := watch(d.src); err != nil {
		p.end(fmt.Errorf("after half-close %s: %w", d.name, err))
	}
}

// pass moves bytes from src to dst until src's end.
func (d *direction) pass() error {
	first := d.first
	d.first = nil
	if err := d.write(first); err != nil {
		return err
	}
	return d.move()
}

// write writes the whole of b to dst.
func (d *direction) write(b []byte) error {
	for len(b) > 0 {
		n, err := d.dst.Write(b)
		b = b[n:]
		d.passed.Add(int64(n))
		if err != nil && !d.goesOn(err) {
			return err
		}
	}
	return nil
}

// copyBytes is move by way of user space.
func (d *direction) copyBytes() error {
	buf := make([]byte, 32<<10)
	for {
		n, err := d.src.Read(buf)
		if werr := d.write(buf[:n]); werr != nil {
			return werr
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !d.goesOn(err):
			return err
		}
	}
}

// boundSilence sets the deadlines of the direction from src to dst, the only
// one left.
func (p *Pipe) boundSilence(src, dst *net.TCPConn) {
	if p.halfClose > 0 {
		t := time.Now().Add(p.halfClose)
		src.SetReadDeadline(t)
		dst.SetWriteDeadline(t)
	}
}

// goesOn reports whether err is only a deadline before which bytes moved, and
// sets the next one.
func (d *direction) goesOn(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	passed := d.passed.Load()
	if passed == d.atLast {
		return false
	}
	d.atLast = passed
	d.pipe.boundSilence(d.src, d.dst)
	return true
}

// end closes both connections, the first time it is called. With an error both
// sides see a reset: an end that only looks clean would pass off what was cut
// short as whole.
func (p *Pipe) end(err error) {
	p.once.Do(func() {
		switch {
		case p.closed.Load():
			err = ErrClosed
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = ErrHalfClosed
		}
		p.err = err
		if err == nil {
			p.a.Close()
			p.b.Close()
			return
		}
		// A reset discards what the kernel has yet to deliver, and that was sent
		// before whatever happened here.
		wait := time.Millisecond
		for spent := time.Duration(0); spent < resetDrain && !p.closed.Load() && sock.Unsent(p.a)+sock.Unsent(p.b) > 0; {
			time.Sleep(wait)
			spent += wait
			wait = min(2*wait, 20*time.Millisecond)
		}
		reset(p.a)
		reset(p.b)
	})
}

func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}
