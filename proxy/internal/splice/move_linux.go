package splice

import (
	"errors"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// smallRead is up to how many waiting bytes are copied: for those a read and a
// write cost no more than two splices, and need no pipe.
const smallRead = 4 << 10

// mover moves one direction's bytes. Its functions run inside RawConn.Read and
// Write, which park the goroutine when they return false.
type mover struct {
	d        *direction
	src, dst syscall.RawConn
	buf      [smallRead]byte
	pipe     *kernelPipe // nil while no bulk moves
	n        int         // moved by the last call
	bulk     bool        // more than smallRead waits
	err      error       // of the last call
}

// move passes bytes from src to dst until src's end.
func (d *direction) move() error {
	m := mover{d: d}
	var err error
	if m.src, err = d.src.SyscallConn(); err != nil {
		return err
	}
	if m.dst, err = d.dst.SyscallConn(); err != nil {
		return err
	}
	defer m.release()
	receive, fill, drain := m.receive, m.fill, m.drain // bound once, not per call
	for {
		if err := m.do(m.src.Read, receive); err != nil {
			return err
		}
		if !m.bulk {
			if m.n == 0 {
				return nil
			}
			if err := d.write(m.buf[:m.n]); err != nil {
				return err
			}
			continue
		}
		if !m.acquire() {
			return d.copyBytes() // out of descriptors
		}
		if err := m.do(m.src.Read, fill); err != nil {
			return err
		}
		if errors.Is(m.err, unix.EAGAIN) { // nothing left: wait without a pipe
			m.lend()
			continue
		}
		if m.n == 0 {
			return nil
		}
		for m.pipe.held = m.n; m.pipe.held > 0; {
			if err := m.do(m.dst.Write, drain); err != nil {
				return err
			}
			m.pipe.held -= m.n
			d.kernel += int64(m.n)
			d.passed.Add(int64(m.n))
		}
	}
}

// do runs call with one of the functions below until neither a deadline that is
// to go on nor an interruption stands in its way.
func (m *mover) do(call func(func(uintptr) bool) error, f func(uintptr) bool) error {
	for {
		m.n, m.err = 0, nil
		err := call(f)
		if err == nil && m.err != nil && !errors.Is(m.err, unix.EAGAIN) {
			err = m.err
		}
		if err == nil || !m.d.goesOn(err) {
			return err
		}
	}
}

// receive reads what waits if it is little. It parks while nothing waits.
func (m *mover) receive(fd uintptr) bool {
	waits, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ)
	m.bulk = err == nil && waits > smallRead
	if m.bulk {
		return true
	}
	m.n, m.err = ignoreEINTR(func() (int, error) { return unix.Read(int(fd), m.buf[:]) })
	return !errors.Is(m.err, unix.EAGAIN)
}

// fill moves what waits into the pipe. It does not park: a pipe is not held
// while nothing moves.
func (m *mover) fill(fd uintptr) bool {
	m.n, m.err = ignoreEINTR(func() (int, error) {
		n, err := unix.Splice(int(fd), nil, m.pipe.in, nil, pipeSize, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		return int(n), err
	})
	return true
}

// drain moves the pipe's bytes out. It parks while dst takes none.
func (m *mover) drain(fd uintptr) bool {
	m.n, m.err = ignoreEINTR(func() (int, error) {
		n, err := unix.Splice(m.pipe.out, nil, int(fd), nil, m.pipe.held, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		return int(n), err
	})
	if m.n == 0 && m.err == nil {
		m.err = io.ErrUnexpectedEOF
	}
	return !errors.Is(m.err, unix.EAGAIN)
}

func (m *mover) acquire() bool {
	if m.pipe != nil {
		return true
	}
	pipe, err := m.d.pipe.pipes.get()
	m.pipe = pipe
	return err == nil
}

// lend gives the pipe back for the time that nothing moves.
func (m *mover) lend() {
	if m.d.pipe.pipes != nil {
		m.release()
	}
}

func (m *mover) release() {
	if m.pipe != nil {
		m.d.pipe.pipes.put(m.pipe)
		m.pipe = nil
	}
}

// watch waits until c, which has come to its end of file, is reset or closed.
func watch(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		failed = socketError(int(fd))
		return failed != nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// socketError is what reached the socket since it was asked last. Reading would
// not tell: after the end of file it goes on to say just that.
func socketError(fd int) error {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && n != 0 {
		err = unix.Errno(n)
	}
	return err
}

func ignoreEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}
