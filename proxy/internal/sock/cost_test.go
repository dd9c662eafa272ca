package sock

import (
	"io"
	"net"
	"testing"
)

func TestFillAndDiscardAllocateNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector's pools forget at random")
	}
	peer, conn := loopback(t)
	r := NewReader(conn, new(Buffers), nil)
	message := make([]byte, 100)
	cycle := func() {
		peer.Write(message)
		for len(r.Buffered()) < len(message) {
			r.Fill()
		}
		r.Discard(len(message))
		r.TryFill() // nothing there: a buffer is taken and given back
	}
	cycle()
	if got := testing.AllocsPerRun(200, cycle); got != 0 {
		t.Errorf("got %v allocations, want none", got)
	}
}

// pingPong benchmarks b.N round trips with a side that reads with read.
func pingPong(b *testing.B, read func(c *net.TCPConn) func(n int) error) {
	peer, conn := loopback(b)
	done := make(chan struct{})
	go echo(peer, done)
	message := make([]byte, 100)
	receive := read(conn)
	b.ReportAllocs()
	for b.Loop() {
		conn.Write(message)
		if err := receive(len(message)); err != nil {
			b.Fatal(err)
		}
	}
	conn.Close()
	<-done
}

func echo(c *net.TCPConn, done chan struct{}) {
	defer close(done)
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		c.Write(buf[:n])
	}
}

func BenchmarkReader(b *testing.B) {
	pingPong(b, func(c *net.TCPConn) func(int) error {
		r := NewReader(c, new(Buffers), nil)
		return func(n int) error {
			for len(r.Buffered()) < n {
				if _, err := r.Fill(); err != nil {
					return err
				}
			}
			r.Discard(n)
			return nil
		}
	})
}

func BenchmarkConnRead(b *testing.B) {
	pingPong(b, func(c *net.TCPConn) func(int) error {
		buf := make([]byte, 32<<10)
		return func(n int) error {
			_, err := io.ReadAtLeast(c, buf, n)
			return err
		}
	})
}
