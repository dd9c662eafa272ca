package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopback returns both ends of a connection.
func loopback(t testing.TB) (dialled, accepted *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		t.Fatal(err)
	}
	accepted, err = l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dialled.Close()
		accepted.Close()
	})
	deadline := time.Now().Add(20 * time.Second)
	dialled.SetDeadline(deadline)
	accepted.SetDeadline(deadline)
	return dialled, accepted
}

func send(t testing.TB, c *net.TCPConn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// fill fills r until n bytes are buffered.
func fill(t testing.TB, r *Reader, n int) {
	t.Helper()
	for len(r.Buffered()) < n {
		before := len(r.Buffered())
		got, err := r.Fill()
		if err != nil || got != len(r.Buffered())-before || got == 0 {
			t.Fatalf("Fill with %d bytes buffered: got %d and %v, and now %d", before, got, err, len(r.Buffered()))
		}
	}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8)
	}
	return b
}

func TestFillAppendsAndDiscardDrops(t *testing.T) {
	peer, conn := loopback(t)
	r := NewReader(conn, new(Buffers), nil)
	send(t, peer, []byte("one"))
	fill(t, r, 3)
	send(t, peer, []byte("two"))
	fill(t, r, 6)
	if got := string(r.Buffered()); got != "onetwo" {
		t.Errorf("got %q, want onetwo", got)
	}
	r.Discard(4)
	if got := string(r.Buffered()); got != "wo" {
		t.Errorf("after Discard: got %q, want wo", got)
	}
	r.Discard(2)
	if r.buf != nil {
		t.Error("an empty reader holds a buffer")
	}
}

func TestFirstBytesComeFirst(t *testing.T) {
	for _, size := range []int{1, smallSize / 2, smallSize, largeSize - 1} {
		peer, conn := loopback(t)
		all := pattern(size + 1)
		r := NewReader(conn, new(Buffers), bytes.Clone(all[:size]))
		if got := r.Buffered(); !bytes.Equal(got, all[:size]) {
			t.Fatalf("size %d: other bytes are buffered at first", size)
		}
		send(t, peer, all[size:])
		fill(t, r, size+1)
		if !bytes.Equal(r.Buffered(), all) {
			t.Errorf("size %d: other bytes are buffered", size)
		}
	}
}

func TestEveryByteArrivesWhateverIsLeftUnread(t *testing.T) {
	peer, conn := loopback(t)
	all := pattern(3 << 20)
	var wait sync.WaitGroup
	wait.Go(func() {
		peer.Write(all)
		peer.CloseWrite()
	})
	defer wait.Wait()
	r := NewReader(conn, new(Buffers), nil)
	var got []byte
	keep := 1
	for {
		_, err := r.Fill()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := len(r.Buffered()) - keep%largeSize; n > 0 { // leaves all kinds of rests
			got = append(got, r.Buffered()[:n]...)
			r.Discard(n)
		}
		keep = keep*5/4 + 1
	}
	got = append(got, r.Take()...)
	if !bytes.Equal(got, all) {
		t.Errorf("got %d bytes, want the %d that were sent", len(got), len(all))
	}
}

func TestBufferGrowsTo64KiBAndNoFurther(t *testing.T) {
	peer, conn := loopback(t)
	all := pattern(largeSize + 100)
	var wait sync.WaitGroup
	wait.Go(func() { peer.Write(all) })
	defer wait.Wait()
	r := NewReader(conn, new(Buffers), nil)
	fill(t, r, largeSize)
	if n, err := r.Fill(); n != 0 || !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("Fill of a full buffer: got %d and %v, want io.ErrShortBuffer", n, err)
	}
	if !bytes.Equal(r.Buffered(), all[:largeSize]) {
		t.Error("a full buffer holds other bytes")
	}
	r.Discard(100)
	fill(t, r, largeSize)
	if !bytes.Equal(r.Buffered(), all[100:]) {
		t.Error("a compacted buffer holds other bytes")
	}
}

func TestWaitingReaderHoldsNoBuffer(t *testing.T) {
	peer, conn := loopback(t)
	r := NewReader(conn, new(Buffers), nil)
	parked := make(chan bool, 1)
	receive := r.wait
	r.wait = func(fd uintptr) bool {
		done := receive(fd)
		if !done {
			parked <- r.buf == nil
		}
		return done
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		if !<-parked {
			t.Error("a reader that waits holds a buffer")
		}
		peer.Write([]byte("x"))
	})
	defer wait.Wait()
	fill(t, r, 1)
}

func TestTryFillDoesNotWait(t *testing.T) {
	peer, conn := loopback(t)
	r := NewReader(conn, new(Buffers), nil)
	if n, err := r.TryFill(); n != 0 || err != nil {
		t.Errorf("nothing there: got %d and %v", n, err)
	}
	send(t, peer, []byte("abc"))
	peer.CloseWrite()
	for len(r.Buffered()) == 0 {
		if _, err := r.TryFill(); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	for begun := time.Now(); err == nil && time.Since(begun) < 10*time.Second; {
		_, err = r.TryFill()
	}
	if !errors.Is(err, io.EOF) || string(r.Buffered()) != "abc" {
		t.Errorf("at the end: got %v and %q, want io.EOF and abc still there", err, r.Buffered())
	}
}

func TestReadAndTakeGiveTheUnreadBytesFirst(t *testing.T) {
	peer, conn := loopback(t)
	r := NewReader(conn, new(Buffers), []byte("abcdef"))
	p := make([]byte, 4)
	if n, err := r.Read(p); n != 4 || err != nil || string(p) != "abcd" {
		t.Errorf("Read: got %q and %v, want abcd", p[:n], err)
	}
	if got := string(r.Take()); got != "ef" || len(r.Buffered()) != 0 {
		t.Errorf("Take: got %q and left %q, want ef and nothing", got, r.Buffered())
	}
	if got := r.Take(); got != nil {
		t.Errorf("Take of nothing: got %q", got)
	}
	send(t, peer, []byte("gh"))
	if n, err := io.ReadFull(r, p[:2]); err != nil || string(p[:n]) != "gh" {
		t.Errorf("Read: got %q and %v, want gh", p[:n], err)
	}
}

func TestErrorsAreThoseOfConns(t *testing.T) {
	tests := []struct {
		name string
		end  func(peer, conn *net.TCPConn)
		want error
	}{
		{"end", func(peer, _ *net.TCPConn) { peer.CloseWrite() }, io.EOF},
		{"reset", func(peer, _ *net.TCPConn) { peer.SetLinger(0); peer.Close() }, syscall.ECONNRESET},
		{"deadline before", func(_, conn *net.TCPConn) { conn.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"deadline", func(_, conn *net.TCPConn) { conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) }, os.ErrDeadlineExceeded},
		{"closed", func(_, conn *net.TCPConn) { conn.Close() }, net.ErrClosed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			peer, conn := loopback(t)
			r := NewReader(conn, new(Buffers), []byte("kept"))
			test.end(peer, conn)
			n, err := r.Fill()
			if n != 0 || !errors.Is(err, test.want) || string(r.Buffered()) != "kept" {
				t.Errorf("got %d, %v and %q, want %v", n, err, r.Buffered(), test.want)
			}
			if errors.Is(test.want, io.EOF) {
				return
			}
			var op *net.OpError
			if !errors.As(err, &op) || op.Op != "read" || op.Addr == nil {
				t.Errorf("got %#v, want a *net.OpError of a read", err)
			}
		})
	}
}

func TestADeadlineEndsAWaitAndNothingIsLost(t *testing.T) {
	peer, conn := loopback(t)
	r := NewReader(conn, new(Buffers), nil)
	var wait sync.WaitGroup
	parked := make(chan struct{}, 2)
	receive := r.wait
	r.wait = func(fd uintptr) bool {
		done := receive(fd)
		if !done {
			parked <- struct{}{}
		}
		return done
	}
	wait.Go(func() {
		<-parked
		conn.SetReadDeadline(time.Unix(1, 0))
	})
	if _, err := r.Fill(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want os.ErrDeadlineExceeded", err)
	}
	wait.Wait()
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	send(t, peer, []byte("later"))
	fill(t, r, 5)
	wait.Go(func() {
		<-parked
		conn.Close()
	})
	if _, err := r.Fill(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
	wait.Wait()
}

func TestDiscardOfTooMuchPanics(t *testing.T) {
	_, conn := loopback(t)
	r := NewReader(conn, new(Buffers), []byte("ab"))
	defer func() {
		if recover() == nil {
			t.Error("Discard of 3 of 2 bytes went through")
		}
	}()
	r.Discard(3)
}
