package traffic

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// loop is one thread's events. All of its sources are called by run alone.
type loop struct {
	epoll   int
	sources []source // by descriptor
	events  [256]unix.EpollEvent
	buf     []byte // where every read lands
	began   time.Time
}

// source is what waits for a descriptor.
type source interface {
	ready(events uint32)
}

func newLoop() (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	return &loop{epoll: epoll, buf: make([]byte, 256<<10), began: time.Now()}, nil
}

// now is the time since the loop was made.
func (l *loop) now() time.Duration { return time.Since(l.began) }

// add waits for fd to be readable, for the time being.
func (l *loop) add(fd int, s source) error {
	for len(l.sources) <= fd {
		l.sources = append(l.sources, nil)
	}
	l.sources[fd] = s
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (l *loop) change(fd int, events uint32) error {
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// remove closes fd, which takes it out of the epoll too.
func (l *loop) remove(fd int) {
	l.sources[fd] = nil
	unix.Close(fd)
}

// run serves events until done holds or the time is up; 0 is never. It looks
// at done after each batch.
func (l *loop) run(until time.Duration, done func() bool) error {
	for !done() {
		timeout := -1
		if until > 0 {
			left := until - l.now()
			if left <= 0 {
				return nil
			}
			timeout = int(left/time.Millisecond) + 1
		}
		n, err := unix.EpollWait(l.epoll, l.events[:], timeout)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for events: %w", err)
		}
		for _, event := range l.events[:max(n, 0)] {
			// An earlier event of the batch may have closed this one's.
			if s := l.sources[event.Fd]; s != nil {
				s.ready(event.Events)
			}
		}
	}
	return nil
}

// protocol is what one end of a connection speaks.
type protocol interface {
	// receive takes from what came and returns how much it took; the rest is
	// shown again with what comes next. b is valid during the call.
	receive(b []byte) (int, error)
	// skipped tells of n bytes dropped unread, as conn.skip asked for.
	skipped(n int) error
	// drained tells that all has been written.
	drained()
	// ended tells of the end of the connection, which is closed already.
	ended(err error)
}

// conn is one end of a connection. What a protocol puts into out and tail is
// written when it returns.
type conn struct {
	loop     *loop
	protocol protocol
	fd       int
	in       []byte // came and was not taken
	out      []byte // to be written
	tail     []byte // to be written after out; never changed, so it may be shared
	skip     int    // so many of the next bytes are dropped by the kernel, uncopied
	blocked  bool   // the last write did not take all
	closed   bool
}

// attach makes f, a connected socket, part of the loop.
func (l *loop) attach(c net.Conn, p func(*conn) protocol) error {
	file, err := c.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	defer file.Close()
	c.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return l.adopt(fd, p)
}

// adopt makes fd, a connected socket, part of the loop.
func (l *loop) adopt(fd int, p func(*conn) protocol) error {
	err := errors.Join(unix.SetNonblock(fd, true), unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("prepare a connection: %w", err)
	}
	c := &conn{loop: l, fd: fd}
	c.protocol = p(c)
	if err := l.add(fd, c); err != nil {
		return fmt.Errorf("add a connection: %w", err)
	}
	c.flush()
	return nil
}

func (c *conn) ready(events uint32) {
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		if err := c.read(); err != nil {
			c.end(err)
			return
		}
	}
	if events&unix.EPOLLOUT != 0 || !c.blocked {
		c.flush()
	}
}

func (c *conn) read() error {
	if c.skip > 0 {
		n, err := discard(c.fd, c.loop.buf, c.skip)
		if err != nil || n == 0 {
			return ended(n, err)
		}
		c.skip -= n
		return c.protocol.skipped(n)
	}
	kept := copy(c.loop.buf, c.in)
	n, err := unix.Read(c.fd, c.loop.buf[kept:])
	if err != nil || n == 0 {
		return ended(n, err)
	}
	all := c.loop.buf[:kept+n]
	taken, err := c.protocol.receive(all)
	c.in = append(c.in[:0], all[taken:]...)
	return err
}

// ended is the error of a read that brought nothing.
func ended(_ int, err error) error {
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return os.NewSyscallError("read", err)
	}
	return io.EOF
}

// flush writes what there is to write, as far as it goes.
func (c *conn) flush() {
	if c.closed {
		return
	}
	for writes := 0; len(c.out)+len(c.tail) > 0; writes++ {
		if writes == 4 { // what never ends shares the thread with the others
			c.block(true)
			return
		}
		from := &c.out
		if len(c.out) == 0 {
			from = &c.tail
		}
		n, err := unix.Write(c.fd, *from)
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			c.end(os.NewSyscallError("write", err))
			return
		}
		if n = max(n, 0); n < len(*from) {
			if from == &c.out {
				c.out = append(c.out[:0], c.out[n:]...)
			} else {
				c.tail = c.tail[n:]
			}
			c.block(true)
			return
		}
		if from == &c.out {
			c.out = c.out[:0] // its memory serves again
		} else {
			c.tail = nil
		}
		if len(c.out)+len(c.tail) == 0 {
			c.protocol.drained()
		}
	}
	c.block(false)
}

// block waits for room to write, or no longer.
func (c *conn) block(on bool) {
	if c.blocked == on {
		return
	}
	c.blocked = on
	events := uint32(unix.EPOLLIN)
	if on {
		events |= unix.EPOLLOUT
	}
	if err := c.loop.change(c.fd, events); err != nil {
		c.end(os.NewSyscallError("epoll_ctl", err))
	}
}

func (c *conn) end(err error) {
	if c.closed {
		return
	}
	c.closed = true
	c.loop.remove(c.fd)
	c.protocol.ended(err)
}
