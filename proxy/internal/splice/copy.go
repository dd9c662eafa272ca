package splice

import (
	"errors"
	"io"
	"net"
)

// Side is one end of a [Copy].
type Side uint8

// The sides of a [Copy].
const (
	Src Side = iota + 1
	Dst
)

func (s Side) String() string {
	if s == Dst {
		return "destination"
	}
	return "source"
}

// CopyError is what ended a [Copy] early. Its Err is that of the conn on its
// side, or io.ErrUnexpectedEOF when the source ended before its time.
type CopyError struct {
	Side Side
	Err  error
}

func (e *CopyError) Error() string { return "copy, " + e.Side.String() + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *CopyError) Unwrap() error { return e.Err }

// Copy moves exactly n bytes from src to dst, or with n < 0 all until src's
// end. On Linux they move inside the kernel, through a pipe that is lent by
// pipes and held only while bytes are in it. A nil pipes makes one.
//
// It moves in the calling goroutine, which waits while nothing is there; the
// deadlines of src and dst hold, and moved may renew them. moved is called with
// what dst has taken, after each time that it took some; it may be nil. Copy
// returns how many bytes dst took, and a *CopyError unless all did. After an
// error bytes of src may be lost, so neither conn is of further use.
func Copy(dst, src *net.TCPConn, n int64, pipes *Pipes, moved func(int)) (int64, error) {
	if n == 0 {
		return 0, nil
	}
	if moved == nil {
		moved = func(int) {}
	}
	c := copier{dst: dst, src: src, left: n, moved: moved}
	return c.move(pipes)
}

// copier is one Copy.
type copier struct {
	dst, src *net.TCPConn
	left     int64 // to move; negative without a bound
	done     int64
	moved    func(int)
}

// took counts what dst took.
func (c *copier) took(n int) {
	if c.left > 0 {
		c.left -= int64(n)
	}
	c.done += int64(n)
	c.moved(n)
}

// ended is what src's end means.
func (c *copier) ended() error {
	if c.left < 0 {
		return nil
	}
	return &CopyError{Src, io.ErrUnexpectedEOF}
}

// next is how much to take of src at once, at most size.
func (c *copier) next(size int) int {
	if c.left < 0 {
		return size
	}
	return int(min(c.left, int64(size)))
}

// byBuffer moves the rest by way of user space.
func (c *copier) byBuffer() (int64, error) {
	buf := make([]byte, 32<<10)
	for c.left != 0 {
		n, err := c.src.Read(buf[:c.next(len(buf))])
		if n > 0 {
			wrote, err := c.dst.Write(buf[:n])
			if wrote > 0 {
				c.took(wrote)
			}
			if err != nil {
				return c.done, &CopyError{Dst, err}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return c.done, c.ended()
		case err != nil:
			return c.done, &CopyError{Src, err}
		}
	}
	return c.done, nil
}
