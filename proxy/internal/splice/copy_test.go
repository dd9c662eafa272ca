package splice

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// copyRig is a sender and a receiver with the two conns of a Copy between them.
type copyRig struct{ sender, src, dst, receiver *net.TCPConn }

func newCopyRig(t testing.TB) copyRig {
	t.Helper()
	var r copyRig
	r.sender, r.src = loopback(t)
	r.dst, r.receiver = loopback(t)
	deadline := time.Now().Add(20 * time.Second)
	for _, c := range []*net.TCPConn{r.sender, r.src, r.dst, r.receiver} {
		c.SetDeadline(deadline)
	}
	return r
}

func expectSide(t *testing.T, err error, side Side, want ...error) {
	t.Helper()
	var failed *CopyError
	if !errors.As(err, &failed) || failed.Side != side {
		t.Errorf("got %v, want an error of the %v", err, side)
		return
	}
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	t.Errorf("got %v, want one of %v", err, want)
}

func TestCopyMovesExactlyWhatItIsTold(t *testing.T) {
	const rest = 777 // for the next message: stays in the source
	pipes := new(Pipes)
	defer pipes.Close()
	for _, lent := range []*Pipes{pipes, nil} {
		for _, size := range []int{0, 1, 4 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1, 256<<10 - 1, 256 << 10, 256<<10 + 1, 5<<20 + 3} {
			r := newCopyRig(t)
			body := make([]byte, size+rest)
			random := rand.New(rand.NewPCG(uint64(size), 1))
			for i := range body {
				body[i] = byte(random.Uint32())
			}
			var wait sync.WaitGroup
			wait.Go(func() { r.sender.Write(body) })
			got := make([]byte, size)
			wait.Go(func() { io.ReadFull(r.receiver, got) })
			told := 0
			n, err := Copy(r.dst, r.src, int64(size), lent, func(n int) { told += n })
			if n != int64(size) || err != nil || told != size {
				t.Errorf("size %d: got %d and %v, told %d", size, n, err, told)
			}
			left := make([]byte, rest)
			if _, err := io.ReadFull(r.src, left); err != nil || !bytes.Equal(left, body[size:]) {
				t.Errorf("size %d: what follows in the source is not as sent (%v)", size, err)
			}
			wait.Wait()
			if !bytes.Equal(got, body[:size]) {
				t.Errorf("size %d: other bytes arrived", size)
			}
		}
	}
}

func TestCopyWithoutALengthEndsWithItsSource(t *testing.T) {
	r := newCopyRig(t)
	var wait sync.WaitGroup
	const size = 3<<20 + 1
	wait.Go(func() {
		r.sender.Write(make([]byte, size))
		r.sender.CloseWrite()
	})
	wait.Go(func() { io.Copy(io.Discard, r.receiver) })
	n, err := Copy(r.dst, r.src, -1, new(Pipes), nil)
	if n != size || err != nil {
		t.Errorf("got %d and %v, want %d", n, err, size)
	}
	r.dst.Close()
	wait.Wait()
}

func TestCopyOfAShortSourceIsAnError(t *testing.T) {
	r := newCopyRig(t)
	send(t, r.sender, "short")
	r.sender.CloseWrite()
	n, err := Copy(r.dst, r.src, 6, nil, nil)
	if n != 5 {
		t.Errorf("got %d bytes, want 5", n)
	}
	expectSide(t, err, Src, io.ErrUnexpectedEOF)
	expect(t, r.receiver, "short")
}

func TestCopyWaitsForASlowSourceWithoutAPipe(t *testing.T) {
	r := newCopyRig(t)
	pipes := new(Pipes)
	defer pipes.Close()
	var wait sync.WaitGroup
	wait.Go(func() {
		if n, err := Copy(r.dst, r.src, 30, pipes, nil); n != 30 || err != nil {
			t.Errorf("got %d and %v", n, err)
		}
	})
	for range 10 {
		send(t, r.sender, "abc")
		expect(t, r.receiver, "abc")
	}
	wait.Wait()
}

func TestCopyWaitsForASlowReader(t *testing.T) {
	r := newCopyRig(t)
	const size = 32 << 20
	var wait sync.WaitGroup
	wait.Go(func() { r.sender.Write(make([]byte, size)) })
	stalled := make(chan struct{})
	wait.Go(func() {
		<-stalled
		if n, err := io.CopyN(io.Discard, r.receiver, size); err != nil {
			t.Errorf("received %d and %v", n, err)
		}
	})
	var once sync.Once
	n, err := Copy(r.dst, r.src, size, new(Pipes), func(int) { once.Do(func() { close(stalled) }) })
	if n != size || err != nil {
		t.Errorf("got %d and %v", n, err)
	}
	wait.Wait()
}

func TestCopySaysWhichSideFailed(t *testing.T) {
	t.Run("reset of the source", func(t *testing.T) {
		r := newCopyRig(t)
		reset(r.sender)
		_, err := Copy(r.dst, r.src, 10, nil, nil)
		expectSide(t, err, Src, syscall.ECONNRESET)
	})
	t.Run("reset of the destination", func(t *testing.T) {
		r := newCopyRig(t)
		var wait sync.WaitGroup
		wait.Go(func() { r.sender.Write(make([]byte, 64<<20)) })
		wait.Go(func() {
			r.receiver.Read(make([]byte, 1))
			reset(r.receiver)
		})
		_, err := Copy(r.dst, r.src, -1, nil, nil)
		expectSide(t, err, Dst, syscall.ECONNRESET, syscall.EPIPE)
		reset(r.src)
		wait.Wait()
	})
	t.Run("deadline of the source", func(t *testing.T) {
		r := newCopyRig(t)
		r.src.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := Copy(r.dst, r.src, 10, nil, nil)
		expectSide(t, err, Src, os.ErrDeadlineExceeded)
	})
	t.Run("deadline of the destination", func(t *testing.T) {
		r := newCopyRig(t)
		var wait sync.WaitGroup
		wait.Go(func() { r.sender.Write(make([]byte, 64<<20)) }) // and nobody reads
		n, err := Copy(r.dst, r.src, -1, nil, func(int) { r.dst.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) })
		expectSide(t, err, Dst, os.ErrDeadlineExceeded)
		if n == 0 {
			t.Error("nothing was moved before the deadline")
		}
		reset(r.src)
		wait.Wait()
	})
	t.Run("closed", func(t *testing.T) {
		r := newCopyRig(t)
		var wait sync.WaitGroup
		wait.Go(func() {
			_, err := Copy(r.dst, r.src, 10, nil, nil)
			expectSide(t, err, Src, net.ErrClosed)
		})
		r.src.Close()
		wait.Wait()
	})
}

func TestCopyByBuffer(t *testing.T) {
	r := newCopyRig(t)
	body := bytes.Repeat([]byte("0123456789"), 20<<10)
	var wait sync.WaitGroup
	wait.Go(func() { r.sender.Write(body) })
	got := make([]byte, len(body)-10)
	wait.Go(func() { io.ReadFull(r.receiver, got) })
	c := copier{dst: r.dst, src: r.src, left: int64(len(got)), moved: func(int) {}}
	if n, err := c.byBuffer(); n != int64(len(got)) || err != nil {
		t.Errorf("got %d and %v", n, err)
	}
	wait.Wait()
	if !bytes.Equal(got, body[:len(got)]) {
		t.Error("other bytes arrived")
	}
	expect(t, r.src, "0123456789")
}

func BenchmarkCopy1MiB(b *testing.B) {
	for _, how := range []string{"splice", "buffer"} {
		b.Run(how, func(b *testing.B) {
			r := newCopyRig(b)
			for _, c := range []*net.TCPConn{r.sender, r.src, r.dst, r.receiver} {
				c.SetDeadline(time.Time{})
			}
			var wait sync.WaitGroup
			wait.Go(func() {
				body := make([]byte, 1<<20)
				for {
					if _, err := r.sender.Write(body); err != nil {
						return
					}
				}
			})
			wait.Go(func() { io.Copy(io.Discard, r.receiver) })
			pipes := new(Pipes)
			b.SetBytes(1 << 20)
			for b.Loop() {
				c := copier{dst: r.dst, src: r.src, left: 1 << 20, moved: func(int) {}}
				var err error
				if how == "splice" {
					_, err = c.move(pipes)
				} else {
					_, err = c.byBuffer()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			reset(r.src)
			reset(r.dst)
			wait.Wait()
			pipes.Close()
		})
	}
}
