package sock

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// Writer writes a conn quietly, as [Reader.Quiet] has it. It is for one goroutine
// at a time; closing the conn and setting its deadlines are free to others.
type Writer struct {
	conn *net.TCPConn
	raw  syscall.RawConn

	send func(fd uintptr) bool // w.sendSome, bound once
	rest []byte
	n    int
	err  error
}

// NewWriter returns a Writer of c.
func NewWriter(c *net.TCPConn) *Writer {
	w := &Writer{conn: c}
	w.raw, _ = c.SyscallConn() // fails only for a conn that never was one
	w.send = w.sendSome
	return w
}

// Write writes the whole of b, as [net.Conn] has it.
func (w *Writer) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	w.rest, w.n, w.err = b, 0, nil
	err := w.raw.Write(w.send)
	w.rest = nil
	if err == nil && w.err == nil {
		return w.n, nil
	}
	return w.n, w.asWrite(err)
}

// asWrite turns an error of RawConn or of a system call into what conns say.
func (w *Writer) asWrite(err error) error {
	if err == nil {
		return &net.OpError{
			Op: "write", Net: "tcp", Source: w.conn.LocalAddr(), Addr: w.conn.RemoteAddr(),
			Err: os.NewSyscallError("write", w.err),
		}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		op.Op, op.Source, op.Addr = "write", w.conn.LocalAddr(), w.conn.RemoteAddr()
	}
	return err
}

// sendSome writes what the conn takes. It returns false while there is more, and
// RawConn waits then.
func (w *Writer) sendSome(fd uintptr) bool {
	for len(w.rest) > 0 {
		n, err := quietWrite(fd, w.rest)
		switch {
		case err == nil:
			w.n += n
			w.rest = w.rest[n:]
		case errors.Is(err, syscall.EAGAIN):
			return false
		case !errors.Is(err, syscall.EINTR):
			w.err = err
			return true
		}
	}
	return true
}
