package splice

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// kernelCopy is a copier with what splice(2) needs. Its functions run inside
// RawConn.Read and Write, which park the goroutine when they return false.
type kernelCopy struct {
	*copier
	pipes  *Pipes
	pipe   *kernelPipe // nil while nothing moves
	n      int         // moved by the last call
	err    error       // of the last call
	noPipe bool        // out of descriptors
}

func (c *copier) move(pipes *Pipes) (int64, error) {
	src, err := c.src.SyscallConn()
	if err != nil {
		return 0, &CopyError{Src, err}
	}
	dst, err := c.dst.SyscallConn()
	if err != nil {
		return 0, &CopyError{Dst, err}
	}
	k := kernelCopy{copier: c, pipes: pipes}
	if pipes == nil {
		k.pipes = new(Pipes) // keeps the pipe for this copy
		defer k.pipes.Close()
	}
	defer k.giveBack()
	fill, drain := k.fill, k.drain // bound once, not per call
	for c.left != 0 {
		if err := k.do(src.Read, fill); err != nil {
			return c.done, k.failed(Src, err)
		}
		if k.noPipe {
			return c.byBuffer()
		}
		if k.n == 0 {
			return c.done, c.ended()
		}
		for k.pipe.held = k.n; k.pipe.held > 0; {
			if err := k.do(dst.Write, drain); err != nil {
				return c.done, k.failed(Dst, err)
			}
			k.pipe.held -= k.n
			c.took(k.n)
		}
	}
	return c.done, nil
}

// do runs call with one of the functions below.
func (k *kernelCopy) do(call func(func(uintptr) bool) error, f func(uintptr) bool) error {
	k.n, k.err = 0, nil
	if err := call(f); err != nil {
		return err
	}
	return k.err
}

// fill moves what src has into the pipe. It parks while nothing is there, and
// holds no pipe then.
func (k *kernelCopy) fill(fd uintptr) bool {
	if k.pipe == nil {
		var err error
		if k.pipe, err = k.pipes.get(); err != nil {
			k.noPipe = true
			return true
		}
	}
	k.n, k.err = ignoreEINTR(func() (int, error) {
		n, err := unix.Splice(int(fd), nil, k.pipe.in, nil, k.next(pipeSize), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		return int(n), err
	})
	if errors.Is(k.err, unix.EAGAIN) {
		k.err = nil
		k.giveBack()
		return false
	}
	return true
}

// drain moves the pipe's bytes to dst. It parks while dst takes none.
func (k *kernelCopy) drain(fd uintptr) bool {
	k.n, k.err = ignoreEINTR(func() (int, error) {
		n, err := unix.Splice(k.pipe.out, nil, int(fd), nil, k.pipe.held, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		return int(n), err
	})
	if errors.Is(k.err, unix.EAGAIN) {
		k.err = nil
		return false
	}
	if k.n == 0 && k.err == nil {
		k.err = io.ErrUnexpectedEOF
	}
	return true
}

// giveBack gives the pipe back.
func (k *kernelCopy) giveBack() {
	if k.pipe != nil {
		k.pipes.put(k.pipe)
		k.pipe = nil
	}
}

// failed words an error as reads and writes do.
func (k *kernelCopy) failed(side Side, err error) error {
	op, on := "read", k.src
	if side == Dst {
		op, on = "write", k.dst
	}
	var errno syscall.Errno
	var asConn *net.OpError
	switch {
	case errors.As(err, &errno):
		err = &net.OpError{
			Op: op, Net: "tcp", Source: on.LocalAddr(), Addr: on.RemoteAddr(), Err: os.NewSyscallError("splice", errno),
		}
	case errors.As(err, &asConn):
		asConn.Op, asConn.Source, asConn.Addr = op, on.LocalAddr(), on.RemoteAddr()
	}
	return &CopyError{side, err}
}
