package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

const breakerRule = `
route: fragile
match: {http: /fragile}
upstream:
  breaker:
    trip: .failures >= 2
    open: 1h
    fallback: {status: 200, body: {stale: true}}
`

// meetReset connects, says word and wants a reset. It may come so early that
// connecting itself meets it.
func meetReset(s *sidecar, word string) {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err == nil {
		defer c.Close()
		if _, err = io.WriteString(c, word); err == nil { // the kernel tells of a reset only once
			err = testbed.Play(c.(*net.TCPConn), testbed.ExpectReset())
		}
	}
	if err != nil && !testbed.IsReset(err) {
		s.t.Error(err)
	}
}

func TestRefusedStaysRefusedAtOnce(t *testing.T) {
	// A route that only touches heads answers nothing, so it waits for nothing.
	for name, files := range map[string][]string{"no rules": nil, "a rule that cannot answer": {anyRule}} {
		for _, word := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "raw\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"} {
			t.Run(fmt.Sprintf("%s %.3q", name, word), func(t *testing.T) {
				testbed.Leaks(t)
				s := startSidecar(t, testbed.Refused(t), files)
				began := time.Now()
				meetReset(s, word)
				if d := time.Since(began); d > 50*time.Millisecond {
					t.Errorf("the reset took %v, want it within 50 ms", d)
				}
				closed := closedAs(s)
				if e := closed.Error; e == nil || e.Origin != proxy.OriginUpstream || e.Reason != "refused" {
					t.Errorf("closed: %+v", closed)
				}
			})
		}
	}
}

func TestRefusedWaitsForTheHeadWhereARouteCouldAnswer(t *testing.T) {
	get := func(path string) testbed.Step {
		return testbed.Send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	t.Run("no route matches", func(t *testing.T) {
		testbed.Leaks(t)
		s := startSidecar(t, testbed.Refused(t), []string{breakerRule})
		testbed.Talk(t, s.addr, get("/other"), testbed.ExpectReset())
		if r := s.record("/other"); r.Error == nil || r.Error.Reason != "refused" || r.Status != 0 {
			t.Errorf("record: %+v", r)
		}
	})
	t.Run("not HTTP", func(t *testing.T) {
		testbed.Leaks(t)
		s := startSidecar(t, testbed.Refused(t), []string{breakerRule})
		meetReset(s, "EHLO x\r\n")
	})
	t.Run("silence is bounded", func(t *testing.T) {
		testbed.Leaks(t)
		s := startSidecar(t, testbed.Refused(t), []string{breakerRule}, headTimeout(50*time.Millisecond))
		meetReset(s, "")
		if c := closedAs(s); c.Error == nil || c.Error.Reason != "refused" {
			t.Errorf("closed: %+v", c)
		}
	})
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("a route matches h2=%v", h2), func(t *testing.T) {
			testbed.Leaks(t)
			s := startSidecar(t, testbed.Refused(t), []string{breakerRule})
			c := testbed.Client(t, h2, s.addr)
			for i := range 2 {
				r := testbed.Get(t, c, "http://x/fragile")
				if r.StatusCode != 502 || r.Header.Get("X-Sluice-Error") != "fragile/upstream; refused" || !strings.Contains(r.Text, `"reason":"refused"`) {
					t.Errorf("answer %d: %d %q %s", i, r.StatusCode, r.Header, r.Text)
				}
			}
			r := testbed.Get(t, c, "http://x/fragile")
			if r.StatusCode != 200 || r.Text != `{"stale":true}` || r.Header.Get("X-Sluice-Error") != "" {
				t.Errorf("fallback: %d %q %s", r.StatusCode, r.Header, r.Text)
			}
			if b := s.Breakers(); len(b) != 1 || b[0].State != "open" {
				t.Errorf("breakers: %+v", b)
			}
		})
	}
}

// blackHole dials nowhere until its context ends, as a dropped SYN does.
func blackHole(c *proxy.Config) {
	c.ConnectTimeout = 100 * time.Millisecond
	c.Listeners[0].Dial = func(ctx context.Context, address string) (*net.TCPConn, error) {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}
}

func TestBlackHoleEndsAtTheConnectTimeout(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, "192.0.2.1:9", []string{breakerRule}, blackHole)
	meetReset(s, "raw\n")
	if c := closedAs(s); c.Error == nil || c.Error.Reason != "connect_timeout" {
		t.Errorf("closed: %+v", c)
	}
	r := testbed.Get(t, testbed.Client(t, false, s.addr), "http://x/fragile")
	if r.StatusCode != 504 || r.Header.Get("X-Sluice-Error") != "fragile/upstream; connect_timeout" {
		t.Errorf("answer: %d %q", r.StatusCode, r.Header)
	}
}

func TestOwnConnectionComingBackIsRefused(t *testing.T) {
	testbed.Leaks(t)
	var dials atomic.Int64
	s := startSidecar(t, "", nil, func(c *proxy.Config) {
		own := c.Listeners[0].Net.Addr().(*net.TCPAddr).AddrPort()
		c.Listeners[0].Destination = func(*net.TCPConn) (netip.AddrPort, error) {
			dials.Add(1)
			return own, nil
		}
	})
	meetReset(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if c := closedAs(s); c.Error == nil || c.Error.Origin != proxy.OriginSluice || c.Error.Reason != "loop" {
		t.Errorf("closed: %+v", c)
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("accepted %d connections, want 1: it dialled itself", n)
	}
}

func TestUpstreamThatIsTheListenerIsRefused(t *testing.T) {
	testbed.Leaks(t)
	var address string
	s := startSidecar(t, "placeholder:1", nil, func(c *proxy.Config) {
		address = c.Listeners[0].Net.Addr().String()
		c.Listeners[0].Upstream = address
	})
	meetReset(s, "raw\n")
	testbed.Eventually(t, 5*time.Second, func() error {
		if n := s.Conns(); n != 0 {
			return fmt.Errorf("%d connections are open", n)
		}
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	loops := 0
	for _, e := range s.events {
		if c, ok := e.(*proxy.ConnClosed); ok && c.Error != nil && c.Error.Reason == "loop" {
			loops++
		}
	}
	if loops == 0 || len(s.events) > 20 { // a connection may be accepted before its dial has returned
		t.Errorf("%d loops among %d events, want it found at one of the first turns", loops, len(s.events))
	}
}

// exhausted is a listener whose accepts fail for a while.
type exhausted struct {
	net.Listener
	failures atomic.Int64
}

func (l *exhausted) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestAcceptSurvivesRunningOutOfDescriptors(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, testbed.EchoTCP(t, testbed.Loopback(t)), nil, func(c *proxy.Config) {
		l := &exhausted{Listener: c.Listeners[0].Net}
		l.failures.Store(5)
		c.Listeners[0].Net = l
	})
	testbed.Talk(t, s.addr, testbed.Send("hello\n"), testbed.Expect("hello\n"), testbed.HalfClose(), testbed.ExpectEnd())
}

func TestNoDestinationIsRefused(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, "", nil, func(c *proxy.Config) {
		c.Listeners[0].Destination = func(*net.TCPConn) (netip.AddrPort, error) {
			return netip.AddrPort{}, http.ErrNotSupported
		}
	})
	meetReset(s, "")
	if c := closedAs(s); c.Error == nil || c.Error.Reason != "no_destination" {
		t.Errorf("closed: %+v", c)
	}
}
