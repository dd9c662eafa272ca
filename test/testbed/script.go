package testbed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Step is one thing that a peer does with a connection: [Expect], [Send] and
// so on. A step that fails ends its script and fails the test.
type Step func(*net.TCPConn) error

// Expect reads exactly as many bytes as want has and compares them.
func Expect(want string) Step {
	return func(conn *net.TCPConn) error {
		got := make([]byte, len(want))
		n, err := io.ReadFull(conn, got)
		if err != nil {
			return fmt.Errorf("expect %q: got %q: %w", want, got[:n], err)
		}
		if string(got) != want {
			return fmt.Errorf("expect %q: got %q", want, got)
		}
		return nil
	}
}

// ExpectUntil reads, a byte at a time, until the bytes end with mark, such as
// the empty line after a head.
func ExpectUntil(mark string) Step {
	return func(conn *net.TCPConn) error {
		_, err := ReadUntil(conn, mark)
		return err
	}
}

// ExpectEnd reads the clean end of the peer's stream, and nothing before it.
func ExpectEnd() Step {
	return func(conn *net.TCPConn) error {
		got, err := io.ReadAll(io.LimitReader(conn, 64))
		if err != nil || len(got) > 0 {
			return fmt.Errorf("expect the end: got %q, %w", got, orNil(err))
		}
		return nil
	}
}

// ExpectReset reads a reset; bytes before it are dropped.
func ExpectReset() Step {
	return func(conn *net.TCPConn) error {
		n, err := io.Copy(io.Discard, conn)
		if !IsReset(err) {
			return fmt.Errorf("expect a reset: got %d bytes and %w", n, orNil(err))
		}
		return nil
	}
}

// errNone stands for no error where a message needs one.
var errNone = errors.New("no error")

func orNil(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

// IsReset tells whether err is what reading or writing a connection says that
// the peer has reset.
func IsReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// Send writes all of text in one write.
func Send(text string) Step {
	return func(conn *net.TCPConn) error {
		_, err := io.WriteString(conn, text)
		return wrap(fmt.Sprintf("send %.40q", text), err)
	}
}

// Dribble writes text one byte a write with pause in between.
func Dribble(text string, pause time.Duration) Step {
	return func(conn *net.TCPConn) error {
		for i := range len(text) {
			if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
				return fmt.Errorf("dribble byte %d of %.40q: %w", i, text, err)
			}
			time.Sleep(pause)
		}
		return nil
	}
}

// Await waits until signal is closed or has a value, at most [Patience].
func Await[T any](signal <-chan T) Step {
	return func(*net.TCPConn) error {
		select {
		case <-signal:
			return nil
		case <-time.After(Patience):
			return fmt.Errorf("await: nothing after %v", Patience)
		}
	}
}

// HalfClose ends the own stream and leaves the peer's open. A peer that has reset
// the connection meanwhile has left nothing to end.
func HalfClose() Step {
	return func(conn *net.TCPConn) error {
		if err := conn.CloseWrite(); !errors.Is(err, syscall.ENOTCONN) {
			return wrap("half-close", err)
		}
		return nil
	}
}

// Abort resets the connection.
func Abort() Step { return Reset }

// Hold leaves the connection open and silent until the peer or the end of the
// test closes it.
func Hold() Step {
	return func(conn *net.TCPConn) error {
		_ = conn.SetDeadline(time.Time{})
		_, _ = io.Copy(io.Discard, conn)
		return nil
	}
}

// EchoBytes sends back what it reads until the peer's end, then ends too.
func EchoBytes() Step {
	return func(conn *net.TCPConn) error {
		_ = conn.SetDeadline(time.Time{})
		_, err := io.Copy(conn, conn)
		if err != nil && !IsReset(err) && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("echo: %w", err)
		}
		return wrap("half-close", ignoreGone(conn.CloseWrite()))
	}
}

func ignoreGone(err error) error {
	if errors.Is(err, syscall.ENOTCONN) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Script serves every connection of listener by the same steps, and then
// closes it. It returns the server's address. A failing step fails the test,
// unless it is the test's end that interrupts it.
func Script(t testing.TB, listener *net.TCPListener, steps ...Step) string {
	t.Helper()
	var failures failureList
	t.Cleanup(func() { failures.report(t) })
	ServeConns(t, listener, func(conn *net.TCPConn) {
		if err := Play(conn, steps...); err != nil && !errors.Is(err, net.ErrClosed) {
			failures.add(err)
		}
	})
	return listener.Addr().String()
}

// Play runs steps over conn and returns the first failure. It gives the whole
// of them [Patience].
func Play(conn *net.TCPConn, steps ...Step) error {
	_ = conn.SetDeadline(time.Now().Add(Patience))
	for i, step := range steps {
		if err := step(conn); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// Talk dials addr, runs steps as the client and closes. A failing step fails
// the test.
func Talk(t testing.TB, addr string, steps ...Step) {
	t.Helper()
	conn := Dial(t, addr)
	if err := Play(conn, steps...); err != nil {
		t.Errorf("testbed: client: %v", err)
	}
	_ = conn.Close()
}

// Dial connects to addr. The test's end closes the connection.
func Dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, Patience)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

// ReadUntil reads a byte at a time, so that nothing after mark is consumed,
// until what it read ends with mark.
func ReadUntil(r io.Reader, mark string) ([]byte, error) {
	var got []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(got, []byte(mark)) {
		if _, err := io.ReadFull(r, one); err != nil {
			return got, fmt.Errorf("read until %q: got %q: %w", mark, got, err)
		}
		got = append(got, one[0])
	}
	return got, nil
}

// failureList collects what goes wrong in a server's goroutines, where a test
// may have ended already.
type failureList struct {
	mu   sync.Mutex
	list []error
}

func (f *failureList) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, err)
}

func (f *failureList) report(t testing.TB) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, err := range slices.Clone(f.list) {
		t.Errorf("testbed: server: %v", err)
	}
}
