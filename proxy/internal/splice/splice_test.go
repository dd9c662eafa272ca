package splice

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a caller and a server, joined by a running pipe.
type rig struct {
	caller, server *net.TCPConn
	pipe           *Pipe
	result         chan error // of Run
}

func newRig(t testing.TB, o Options) *rig {
	t.Helper()
	r := &rig{result: make(chan error, 1)}
	var a, b *net.TCPConn
	r.caller, a = loopback(t)
	b, r.server = loopback(t)
	r.pipe = New(a, b, o)
	var wait sync.WaitGroup
	wait.Go(func() { r.result <- r.pipe.Run() })
	t.Cleanup(func() {
		r.pipe.Close()
		wait.Wait()
	})
	deadline := time.Now().Add(20 * time.Second)
	r.caller.SetDeadline(deadline)
	r.server.SetDeadline(deadline)
	return r
}

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

func (r *rig) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.result:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("Run has not returned")
		return nil
	}
}

func send(t *testing.T, c *net.TCPConn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func expect(t *testing.T, c *net.TCPConn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read: got %q and %v, want %q", got, err, want)
	}
}

func expectEOF(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("read: got %d bytes and %v, want a clean end", n, err)
	}
}

func expectReset(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read: got %v, want a reset", err)
	}
}

// expectStats waits for want: bytes arrive a moment before they are counted.
func (r *rig) expectStats(t *testing.T, want Stats) {
	t.Helper()
	for begun := time.Now(); r.pipe.Stats() != want; runtime.Gosched() {
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("stats: got %+v, want %+v", r.pipe.Stats(), want)
		}
	}
}

// expectBroken is expectReset for a side that has read a clean end already: its
// reads go on to say so, but its first write fails.
func expectBroken(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("first write: got %v, want a broken connection", err)
	}
}

func TestBytesPassBothWaysAndEndCleanly(t *testing.T) {
	r := newRig(t, Options{})
	for range 100 {
		send(t, r.caller, "ping")
		expect(t, r.server, "ping")
		send(t, r.server, "pong!")
		expect(t, r.caller, "pong!")
	}
	r.expectStats(t, Stats{AtoB: 400, BtoA: 500})
	r.caller.CloseWrite()
	expectEOF(t, r.server)
	r.server.CloseWrite()
	expectEOF(t, r.caller)
	if err := r.end(t); err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
}

func TestFirstBytesComeFirstAndCount(t *testing.T) {
	r := newRig(t, Options{FirstAtoB: []byte("hello "), FirstBtoA: []byte("220 ready\r\n")})
	expect(t, r.caller, "220 ready\r\n")
	send(t, r.caller, "world")
	expect(t, r.server, "hello world")
	r.expectStats(t, Stats{AtoB: 11, BtoA: 11})
}

func TestHalfCloseLeavesTheOtherDirectionOpen(t *testing.T) {
	for _, who := range []string{"caller", "server"} {
		t.Run(who, func(t *testing.T) {
			r := newRig(t, Options{})
			first, second := r.caller, r.server
			if who == "server" {
				first, second = second, first
			}
			send(t, first, "question")
			first.CloseWrite()
			expect(t, second, "question")
			expectEOF(t, second)
			for range 50 {
				send(t, second, "answer")
				expect(t, first, "answer")
			}
			second.Close()
			expectEOF(t, first)
			if err := r.end(t); err != nil {
				t.Errorf("Run: got %v, want nil", err)
			}
		})
	}
}

func TestResetIsMirrored(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, r *rig)
	}{
		{"at once", func(*testing.T, *rig) {}},
		{"after bytes", func(t *testing.T, r *rig) {
			send(t, r.caller, "a")
			expect(t, r.server, "a")
		}},
		{"after the other side's half-close", func(t *testing.T, r *rig) {
			r.server.CloseWrite()
			expectEOF(t, r.caller)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, Options{})
			test.prepare(t, r)
			reset(r.caller)
			expectReset(t, r.server)
			if err := r.end(t); err == nil {
				t.Error("Run: got nil, want the reset")
			}
		})
	}
}

func TestResetAfterItsOwnHalfCloseIsMirroredWhileBothAreSilent(t *testing.T) {
	r := newRig(t, Options{})
	r.caller.CloseWrite()
	expectEOF(t, r.server)
	reset(r.caller)
	if err := r.end(t); err == nil {
		t.Error("Run: got nil, want the reset")
	}
	expectBroken(t, r.server)
}

func TestBytesBeforeAResetArrive(t *testing.T) {
	r := newRig(t, Options{})
	body := bytes.Repeat([]byte("x"), 200<<10)
	var wait sync.WaitGroup
	wait.Go(func() {
		r.server.Write(body)
		for begun := time.Now(); r.pipe.Stats().BtoA < int64(len(body)) && time.Since(begun) < 10*time.Second; {
			runtime.Gosched() // until the pipe has passed them all
		}
		reset(r.server)
	})
	defer wait.Wait()
	got, err := io.ReadAll(r.caller)
	if len(got) != len(body) || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %d bytes and %v, want %d and a reset", len(got), err, len(body))
	}
}

func TestBulkIsExactAndStaysInTheKernel(t *testing.T) {
	const size = 64 << 20
	for _, test := range []struct {
		name  string
		pipes *Pipes
	}{{"shared pipes", new(Pipes)}, {"own pipes", nil}} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, Options{Pipes: test.pipes})
			sums := make(chan [sha256.Size]byte, 4)
			var wait sync.WaitGroup
			transfer := func(from, to *net.TCPConn, seed uint64) {
				wait.Go(func() {
					random := rand.New(rand.NewPCG(seed, 0))
					sum := sha256.New()
					buf := make([]byte, 1<<20)
					for left := size; left > 0; {
						n := min(left, 1+random.IntN(len(buf)))
						for i := 0; i < n; i += 64 {
							buf[i] = byte(random.Uint32())
						}
						sum.Write(buf[:n])
						from.Write(buf[:n])
						left -= n
					}
					from.CloseWrite()
					sums <- [sha256.Size]byte(sum.Sum(nil))
				})
				wait.Go(func() {
					sum := sha256.New()
					io.Copy(sum, to)
					sums <- [sha256.Size]byte(sum.Sum(nil))
				})
			}
			transfer(r.caller, r.server, 1)
			transfer(r.server, r.caller, 2)
			wait.Wait()
			if err := r.end(t); err != nil {
				t.Fatalf("Run: %v", err)
			}
			if got, want := r.pipe.Stats(), (Stats{size, size}); got != want {
				t.Errorf("stats: got %+v, want %+v", got, want)
			}
			count := map[[sha256.Size]byte]int{}
			for range 4 {
				count[<-sums]++
			}
			for sum, n := range count {
				if n != 2 {
					t.Errorf("checksum %x seen %d times, want 2", sum[:4], n)
				}
			}
			if runtime.GOOS == "linux" {
				if kernel := r.pipe.aToB.kernel + r.pipe.bToA.kernel; kernel < size {
					t.Errorf("through splice(2): got %d bytes of %d, want most", kernel, 2*size)
				}
			}
			if test.pipes != nil {
				test.pipes.Close()
			}
		})
	}
}

func TestSlowReaderHoldsTheSender(t *testing.T) {
	r := newRig(t, Options{})
	var wait sync.WaitGroup
	const size = 32 << 20
	wait.Go(func() {
		r.caller.Write(make([]byte, size))
		r.caller.CloseWrite()
	})
	defer wait.Wait()
	for begun := time.Now(); r.pipe.Stats().AtoB < 1<<20 && time.Since(begun) < 10*time.Second; { // buffers begin to fill
		runtime.Gosched()
	}
	if n, err := io.Copy(io.Discard, r.server); n != size || err != nil {
		t.Errorf("got %d bytes and %v, want %d", n, err, size)
	}
}

func TestCloseResetsBothSides(t *testing.T) {
	r := newRig(t, Options{})
	send(t, r.caller, "a")
	expect(t, r.server, "a")
	r.pipe.Close()
	r.pipe.Close()
	expectReset(t, r.caller)
	expectReset(t, r.server)
	if err := r.end(t); !errors.Is(err, ErrClosed) {
		t.Errorf("Run: got %v, want ErrClosed", err)
	}
}

func TestCloseBeforeRun(t *testing.T) {
	caller, a := loopback(t)
	b, server := loopback(t)
	p := New(a, b, Options{FirstAtoB: []byte("never sent")})
	p.Close()
	if err := p.Run(); !errors.Is(err, ErrClosed) {
		t.Errorf("Run: got %v, want ErrClosed", err)
	}
	expectReset(t, caller)
	expectReset(t, server)
}

func TestOldDeadlinesAreLifted(t *testing.T) {
	caller, a := loopback(t)
	b, server := loopback(t)
	a.SetDeadline(time.Unix(1, 0))
	b.SetDeadline(time.Unix(1, 0))
	p := New(a, b, Options{})
	var wait sync.WaitGroup
	wait.Go(func() { p.Run() })
	defer wait.Wait()
	defer p.Close()
	send(t, caller, "still here")
	expect(t, server, "still here")
}

func TestSilenceAfterHalfCloseIsBounded(t *testing.T) {
	r := newRig(t, Options{HalfClose: 50 * time.Millisecond})
	r.caller.CloseWrite()
	expectEOF(t, r.server)
	expectReset(t, r.caller)
	if err := r.end(t); !errors.Is(err, ErrHalfClosed) {
		t.Errorf("Run: got %v, want ErrHalfClosed", err)
	}
	expectBroken(t, r.server)
}

func TestOneWayStreamOutlivesTheBoundOnSilence(t *testing.T) {
	const bound = 300 * time.Millisecond
	r := newRig(t, Options{HalfClose: bound})
	r.caller.CloseWrite()
	expectEOF(t, r.server)
	tick := time.NewTicker(bound / 10)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < 4*bound; <-tick.C {
		send(t, r.server, "tick")
		expect(t, r.caller, "tick")
	}
	r.server.CloseWrite()
	expectEOF(t, r.caller)
	if err := r.end(t); err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
}

func TestReaderThatStallsAfterHalfCloseIsBounded(t *testing.T) {
	r := newRig(t, Options{HalfClose: 100 * time.Millisecond})
	r.caller.CloseWrite()
	expectEOF(t, r.server)
	var wait sync.WaitGroup
	wait.Go(func() { r.server.Write(make([]byte, 64<<20)) }) // nobody reads
	defer wait.Wait()
	if err := r.end(t); !errors.Is(err, ErrHalfClosed) {
		t.Errorf("Run: got %v, want ErrHalfClosed", err)
	}
}

func BenchmarkPingPong(b *testing.B) {
	r := newRig(b, Options{Pipes: new(Pipes)})
	var wait sync.WaitGroup
	wait.Go(func() { io.Copy(r.server, r.server) })
	defer wait.Wait()
	defer r.pipe.Close()
	buf := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		r.caller.Write(buf)
		io.ReadFull(r.caller, buf)
	}
}

func BenchmarkBulk(b *testing.B) {
	pipes := new(Pipes)
	defer pipes.Close()
	r := newRig(b, Options{Pipes: pipes})
	var wait sync.WaitGroup
	wait.Go(func() { io.Copy(io.Discard, r.server) })
	defer wait.Wait()
	defer r.pipe.Close()
	buf := make([]byte, 1<<20)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		r.caller.Write(buf)
	}
}
