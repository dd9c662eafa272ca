// Package sock reads TCP conns into buffers that are held only while there are
// bytes in them, so that an idle conn costs no buffer.
package sock

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Reader reads a conn. It is for one goroutine at a time; closing the conn and
// setting its deadlines are free to others, as with the conn itself.
//
// Its errors are those of [net.Conn]: io.EOF at the end, otherwise a
// *net.OpError for which errors.Is finds os.ErrDeadlineExceeded, net.ErrClosed
// or the syscall.Errno. An error does not lose what is buffered.
type Reader struct {
	conn    *net.TCPConn
	raw     syscall.RawConn
	buffers *Buffers

	buf      []byte // nil while nothing is unread
	lent     bool   // buf is from buffers
	from, to int    // buf[from:to] is unread
	quiet    bool
	streak   uint // reads since one found nothing
	large    bool // the next buffer is a large one: the last read filled its own

	wait, try func(fd uintptr) bool // r.receive and r.receiveNow, bound once
	n         int                   // of the last receive
	err       error                 // of the last receive
}

// NewReader returns a Reader of c. The bytes of first were read before and are
// delivered first; the Reader keeps the slice.
func NewReader(c *net.TCPConn, b *Buffers, first []byte) *Reader {
	r := &Reader{conn: c, buffers: b}
	r.raw, r.err = c.SyscallConn() // fails only for a conn that never was one
	r.wait, r.try = r.receive, r.receiveNow
	if len(first) > 0 {
		r.buf, r.to = first, len(first)
	}
	return r
}

// Quiet makes r read without telling the scheduler, as a system call that cannot
// block need not. At 4,000 requests a second on one processor that halves the
// CPU time of a relay: the runtime's monitor thread sleeps while all is idle,
// and every system call that is told of wakes it. The price is that it may stay
// asleep, so that nobody interrupts a goroutine that computes for long: it is
// for goroutines that do not, or make another system call before they do. A
// source that never runs dry is told of now and then, or it would keep the
// processor to itself.
func (r *Reader) Quiet() { r.quiet = true }

// loudEvery is how many reads of a quiet Reader that found something at once
// come to one that is told of.
const loudEvery = 16

func (r *Reader) read(fd uintptr, b []byte) (int, error) {
	if r.streak++; r.quiet && r.streak%loudEvery != 0 {
		return quietRead(fd, b)
	}
	return syscall.Read(int(fd), b)
}

// Buffered returns the unread bytes. They are valid until the next Fill,
// TryFill, Discard, Read or Take, and may be changed in place until then.
func (r *Reader) Buffered() []byte { return r.buf[r.from:r.to] }

// Discard drops the first n unread bytes. It panics if there are fewer.
func (r *Reader) Discard(n int) {
	if n < 0 || n > r.to-r.from {
		panic("sock: Discard of more than is buffered")
	}
	r.from += n
	r.giveBack()
}

// Fill waits for at least one more byte and appends what there is to Buffered.
// It returns how many bytes that were, and 0 only with an error:
// io.ErrShortBuffer when 64 KiB are unread, io.EOF at the conn's end. While it
// waits with nothing unread it holds no buffer.
func (r *Reader) Fill() (int, error) { return r.fill(r.wait) }

// TryFill is Fill without the waiting: 0 and nil mean that nothing is there yet.
func (r *Reader) TryFill() (int, error) { return r.fill(r.try) }

func (r *Reader) fill(receive func(uintptr) bool) (int, error) {
	if r.raw == nil {
		return 0, r.err
	}
	if r.buf != nil && !r.makeRoom() {
		return 0, io.ErrShortBuffer
	}
	r.n, r.err = 0, nil
	if err := r.raw.Read(receive); err != nil {
		r.giveBack() // receive was called before it had to wait, or not at all
		return 0, r.asRead(err)
	}
	switch {
	case r.err != nil:
		return 0, &net.OpError{
			Op: "read", Net: "tcp", Source: r.conn.LocalAddr(), Addr: r.conn.RemoteAddr(),
			Err: os.NewSyscallError("read", r.err),
		}
	case r.n < 0:
		return 0, io.EOF
	}
	return r.n, nil
}

// receive reads once into the buffer, which it takes before and gives back
// after if it is empty. It returns false while nothing is there, and RawConn
// waits then.
func (r *Reader) receive(fd uintptr) bool {
	if r.buf == nil {
		r.buf, r.lent = r.buffers.get(r.large), true
	} else if !r.lent {
		r.makeRoom() // little was kept while it waited
	}
	room := r.buf[r.to:]
	for {
		n, err := r.read(fd, room)
		if err == nil {
			if n == 0 {
				n = -1 // the end
			}
			r.n = n
			break
		}
		if errors.Is(err, syscall.EAGAIN) {
			r.streak = 0
			r.giveBack()
			r.keepLittle()
			return false
		}
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		r.err = err
		break
	}
	if r.n > 0 {
		r.to += r.n
		r.large = r.n == len(room) || r.large && r.n > smallSize
	}
	r.giveBack()
	return true
}

// receiveNow is receive for those who do not wait.
func (r *Reader) receiveNow(fd uintptr) bool {
	r.receive(fd)
	return true
}

// makeRoom makes room behind the unread bytes. It reports whether there is any.
func (r *Reader) makeRoom() bool {
	unread := r.to - r.from
	switch {
	case r.lent && len(r.buf)-r.to >= smallSize/8:
		return true
	case r.lent && unread <= len(r.buf)/2:
		copy(r.buf, r.buf[r.from:r.to])
		r.from, r.to = 0, unread
		return true
	case unread >= largeSize:
		return false
	case r.lent && len(r.buf) == largeSize:
		copy(r.buf, r.buf[r.from:r.to])
		r.from, r.to = 0, unread
		return true
	}
	old, lent := r.buf, r.lent // a small one that is half full, or the bytes read before
	r.buf, r.lent = r.buffers.get(unread > smallSize/2), true
	copy(r.buf, old[r.from:r.to])
	r.from, r.to = 0, unread
	if lent {
		r.buffers.put(old)
	}
	return true
}

// giveBack gives the buffer back if nothing in it is unread.
func (r *Reader) giveBack() {
	if r.buf == nil || r.from < r.to {
		return
	}
	if r.lent {
		r.buffers.put(r.buf)
	}
	r.buf, r.lent, r.from, r.to = nil, false, 0, 0
}

// keepLittle gives the buffer back also if little in it is unread, which waits
// elsewhere: whoever begins a head and stops holds no buffer with it.
func (r *Reader) keepLittle() {
	if unread := r.Buffered(); r.lent && len(unread) <= littleSize {
		kept := append(make([]byte, 0, len(unread)), unread...)
		r.buffers.put(r.buf)
		r.buf, r.lent, r.from, r.to = kept, false, 0, len(kept)
	}
}

// littleSize bounds what waits without a buffer.
const littleSize = 1 << 10

// Read reads the unread bytes first and then the conn, without a buffer.
func (r *Reader) Read(p []byte) (int, error) {
	if r.buf == nil {
		return r.conn.Read(p)
	}
	n := copy(p, r.Buffered())
	r.Discard(n)
	return n, nil
}

// Take returns a copy of the unread bytes, nil if there are none, and empties
// the Reader.
func (r *Reader) Take() []byte {
	if r.buf == nil {
		return nil
	}
	b := append([]byte(nil), r.Buffered()...)
	r.Discard(len(b))
	return b
}

// asRead turns an error of RawConn into what conns say.
func (r *Reader) asRead(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		op.Op, op.Source, op.Addr = "read", r.conn.LocalAddr(), r.conn.RemoteAddr()
	}
	return err
}
