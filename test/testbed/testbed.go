// Package testbed holds what the tests of the whole project share: servers and
// clients that behave well or badly on purpose, over real sockets, and checks
// that nothing is left behind.
//
// A server is started by a function that takes the test and a listener, most
// often one of [Loopback], and lives until the test ends. Servers keep no
// record but what their doc says, and answer the same thing each time.
package testbed

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Patience is how long the testbed's own clients and servers wait for anything
// before they give up: long enough for a busy machine, short enough for a
// person.
const Patience = 10 * time.Second

// Loopback returns a listener on a free port of 127.0.0.1 that the test's end
// closes.
func Loopback(t testing.TB) *net.TCPListener {
	t.Helper()
	return ListenTCP(t, "127.0.0.1:0")
}

// ListenTCP returns a listener on addr that the test's end closes.
func ListenTCP(t testing.TB, addr string) *net.TCPListener {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.(*net.TCPListener)
}

// FreePort returns a port of 127.0.0.1 that nothing listened on a moment ago.
// Prefer [Loopback]: another process may take the port first.
func FreePort(t testing.TB) int {
	t.Helper()
	listener := Loopback(t)
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// Refused returns an address that refuses connections.
func Refused(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}

// Eventually calls cond until it returns nil, and fails the test with cond's
// last error if that takes longer than bound. It polls: for a condition that
// can be waited for, wait for it instead.
func Eventually(t testing.TB, bound time.Duration, cond func() error) {
	t.Helper()
	deadline := time.Now().Add(bound)
	pause := time.Millisecond
	for {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not so after %v: %v", bound, err)
		}
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// ServeConns accepts connections from listener and runs serve for each in a
// goroutine of its own. The test's end closes the listener and every open
// connection and waits for the goroutines. A connection is closed when serve
// returns.
func ServeConns(t testing.TB, listener *net.TCPListener, serve func(*net.TCPConn)) {
	t.Helper()
	server := &connServer{listener: listener, serve: serve, open: map[*net.TCPConn]bool{}}
	server.running.Add(1)
	go server.accept()
	t.Cleanup(server.close)
}

// connServer is a bare TCP server.
type connServer struct {
	listener *net.TCPListener
	serve    func(*net.TCPConn)
	running  sync.WaitGroup // accept and every serveConn

	mu     sync.Mutex // guards what follows
	open   map[*net.TCPConn]bool
	closed bool
}

func (s *connServer) accept() {
	defer s.running.Done()
	for {
		conn, err := s.listener.AcceptTCP()
		if err != nil {
			return
		}
		if !s.add(conn) {
			_ = conn.Close()
			return
		}
		go s.serveConn(conn)
	}
}

func (s *connServer) add(conn *net.TCPConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.open[conn] = true
	s.running.Add(1)
	return true
}

func (s *connServer) serveConn(conn *net.TCPConn) {
	defer s.running.Done()
	s.serve(conn)
	s.mu.Lock()
	delete(s.open, conn)
	s.mu.Unlock()
	_ = conn.Close()
}

func (s *connServer) close() {
	s.mu.Lock()
	s.closed = true
	for conn := range s.open {
		_ = conn.Close()
	}
	s.mu.Unlock()
	_ = s.listener.Close()
	s.running.Wait()
}

// Reset closes conn so that its peer sees a reset instead of a clean end.
func Reset(conn *net.TCPConn) error {
	return errors.Join(wrap("linger", conn.SetLinger(0)), wrap("reset", conn.Close()))
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
