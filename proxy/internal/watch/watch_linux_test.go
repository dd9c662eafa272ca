package watch

import (
	"errors"
	"io"
	"net"
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
	return dialled, accepted
}

func newWatch(t testing.TB) *Watch {
	t.Helper()
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// add watches c and returns where its ends are told.
func add(t testing.TB, w *Watch, c *net.TCPConn) (Token, chan bool) {
	t.Helper()
	ends := make(chan bool, 8)
	token, err := w.Add(c, func(reset bool) { ends <- reset })
	if err != nil {
		t.Fatal(err)
	}
	return token, ends
}

func expectEnd(t *testing.T, ends chan bool, reset bool) {
	t.Helper()
	select {
	case got := <-ends:
		if got != reset {
			t.Fatalf("told: reset %v, want %v", got, reset)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("no end was told, want reset %v", reset)
	}
}

// expectSilence is given another conn of the same watch: once the end of that
// is told, everything that came before has been told too.
func expectSilence(t *testing.T, w *Watch, ends chan bool) {
	t.Helper()
	peer, conn := loopback(t)
	_, after := add(t, w, conn)
	peer.Close()
	expectEnd(t, after, false)
	select {
	case reset := <-ends:
		t.Fatalf("told: reset %v, want nothing", reset)
	default:
	}
}

func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

func TestFINIsToldOnceAndLeftToTheReader(t *testing.T) {
	w := newWatch(t)
	peer, conn := loopback(t)
	_, ends := add(t, w, conn)
	peer.Write([]byte("unread"))
	peer.CloseWrite()
	expectEnd(t, ends, false)
	conn.Write([]byte("still open"))
	expectSilence(t, w, ends)
	if got, err := io.ReadAll(conn); string(got) != "unread" || err != nil {
		t.Errorf("read: got %q and %v, want what was sent and a clean end", got, err)
	}
	conn.CloseWrite() // an edge too
	expectSilence(t, w, ends)
}

func TestResetIsToldAndLeftToTheReader(t *testing.T) {
	w := newWatch(t)
	peer, conn := loopback(t)
	_, ends := add(t, w, conn)
	reset(peer)
	expectEnd(t, ends, true)
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: got %v, want a reset", err)
	}
	expectSilence(t, w, ends)
}

func TestResetAfterFINIsToldAsBoth(t *testing.T) {
	w := newWatch(t)
	peer, conn := loopback(t)
	_, ends := add(t, w, conn)
	peer.CloseWrite()
	expectEnd(t, ends, false)
	reset(peer)
	expectEnd(t, ends, true)
	if _, err := conn.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("write: got %v, want a broken conn", err)
	}
}

func TestDataIsNoEnd(t *testing.T) {
	w := newWatch(t)
	peer, conn := loopback(t)
	_, ends := add(t, w, conn)
	buf := make([]byte, 1<<10)
	for range 100 {
		peer.Write(buf)
		io.ReadFull(conn, buf[:512])
		conn.Write(buf)
	}
	expectSilence(t, w, ends)
}

func TestOurOwnHalfCloseIsNoEnd(t *testing.T) {
	w := newWatch(t)
	peer, conn := loopback(t)
	_, ends := add(t, w, conn)
	conn.CloseWrite()
	io.ReadAll(peer)
	expectSilence(t, w, ends)
	peer.Close()
	expectEnd(t, ends, false)
}

func TestEndBeforeAddIsTold(t *testing.T) {
	for _, byReset := range []bool{false, true} {
		w := newWatch(t)
		peer, conn := loopback(t)
		peer.Write([]byte("x"))
		if byReset {
			reset(peer)
		} else {
			peer.Close()
		}
		other := newWatch(t) // tells when it has arrived
		_, arrived := add(t, other, conn)
		expectEnd(t, arrived, byReset)
		_, ends := add(t, w, conn)
		expectEnd(t, ends, byReset)
	}
}

func TestRemovedConnsAreSilent(t *testing.T) {
	w := newWatch(t)
	peer, conn := loopback(t)
	token, ends := add(t, w, conn)
	w.Remove(token)
	w.Remove(token)
	w.Remove(Token{})
	peer.Close()
	expectSilence(t, w, ends)
	if _, again := add(t, w, conn); true { // the same conn may come back
		expectEnd(t, again, false)
	}
}

func TestADescriptorUsedAgainIsAnotherConn(t *testing.T) {
	w := newWatch(t)
	peer, conn := loopback(t)
	token, ends := add(t, w, conn)
	number := func(c *net.TCPConn) (fd uintptr) {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(n uintptr) { fd = n })
		return fd
	}
	was := number(conn)
	conn.Close()
	peer.Close()
	for range 100 { // until the descriptor is used again
		peer, conn = loopback(t)
		if number(conn) == was || number(peer) == was {
			break
		}
	}
	if number(peer) == was {
		peer, conn = conn, peer
	}
	if number(conn) != was {
		t.Skip("the descriptor was not used again")
	}
	_, again := add(t, w, conn)
	w.Remove(token) // late, and must not touch the new conn
	peer.Close()
	expectEnd(t, again, false)
	expectSilence(t, w, ends)
}

func TestManyConns(t *testing.T) {
	w := newWatch(t)
	const conns = 500
	told := make(chan int, 2*conns)
	var tokens []Token
	var peers []*net.TCPConn
	for i := range conns {
		peer, conn := loopback(t)
		token, err := w.Add(conn, func(bool) { told <- i })
		if err != nil {
			t.Fatal(err)
		}
		peers, tokens = append(peers, peer), append(tokens, token)
	}
	var wait sync.WaitGroup
	for i, peer := range peers {
		wait.Go(func() {
			if i%2 == 0 {
				peer.Close()
			} else {
				reset(peer)
			}
		})
	}
	wait.Wait()
	seen := map[int]bool{}
	for len(seen) < conns {
		select {
		case i := <-told:
			if seen[i] {
				t.Fatalf("conn %d was told twice", i)
			}
			seen[i] = true
		case <-time.After(10 * time.Second):
			t.Fatalf("%d of %d ends were told", len(seen), conns)
		}
	}
	for _, token := range tokens {
		w.Remove(token)
	}
	if n := len(w.entries); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// Run with -race: what a callback uses may be freed once Remove returned.
func TestNoCallbackRunsAfterRemove(t *testing.T) {
	w := newWatch(t)
	for range 200 {
		peer, conn := loopback(t)
		state := 0
		token, err := w.Add(conn, func(bool) { state++ })
		if err != nil {
			t.Fatal(err)
		}
		peer.Close()
		w.Remove(token)
		state += 10
		conn.Close()
	}
}

func TestCloseEndsTheWatch(t *testing.T) {
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	peer, conn := loopback(t)
	token, ends := add(t, w, conn)
	w.Close()
	w.Close()
	peer.Close()
	w.Remove(token)
	if _, err := w.Add(conn, func(bool) {}); err == nil {
		t.Error("Add to a closed watch: got no error")
	}
	if len(ends) != 0 {
		t.Error("a closed watch told an end")
	}
}

func TestAClosedConnIsNotAdded(t *testing.T) {
	w := newWatch(t)
	_, conn := loopback(t)
	conn.Close()
	if _, err := w.Add(conn, func(bool) {}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
	if n := len(w.entries); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func BenchmarkAddRemove(b *testing.B) {
	w := newWatch(b)
	_, conn := loopback(b)
	b.ReportAllocs()
	for b.Loop() {
		token, err := w.Add(conn, func(bool) {})
		if err != nil {
			b.Fatal(err)
		}
		w.Remove(token)
	}
}

func BenchmarkPingPong(b *testing.B) {
	for _, watched := range []bool{false, true} {
		name := map[bool]string{false: "alone", true: "watched"}[watched]
		b.Run(name, func(b *testing.B) {
			w := newWatch(b)
			peer, conn := loopback(b)
			if watched {
				for _, c := range []*net.TCPConn{peer, conn} {
					if _, err := w.Add(c, func(bool) {}); err != nil {
						b.Fatal(err)
					}
				}
			}
			buf := make([]byte, 100)
			for b.Loop() {
				peer.Write(buf)
				conn.Read(buf)
			}
		})
	}
}
