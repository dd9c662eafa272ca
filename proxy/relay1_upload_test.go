package proxy_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// A body whose last piece cannot leave any more, because the upstream has just
// reset, is no request of its own, even if it looks like one.
func TestTheRestOfABodyIsNoRequest(t *testing.T) {
	testbed.Leaks(t)
	const hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
	upstream := testbed.Loopback(t)
	broken := make(chan struct{})
	testbed.ServeConns(t, upstream, func(c *net.TCPConn) {
		testbed.Play(c, testbed.ExpectUntil("first"), testbed.Abort())
		broken <- struct{}{}
	})
	s := startSidecar(t, upstream.Addr().String(), []string{breakerOnX}, inLane(proxy.LaneRelay))
	for range 90 { // fewer than trip the breaker
		c := testbed.Dial(t, s.addr)
		go func() {
			io.WriteString(c, fmt.Sprintf("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nfirst", len("first")+len(hidden)))
			<-broken
			io.WriteString(c, hidden)
			c.CloseWrite()
		}()
		got, _ := io.ReadAll(c) // a reset may cut it short
		if strings.Count(string(got), "HTTP/1.1 ") > 1 || !strings.HasPrefix(string(got), "HTTP/1.1 502 ") && len(got) > 0 {
			t.Fatalf("got %q", got)
		}
		c.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if r, ok := e.(*proxy.Record); ok && r.Call.Head.Path == "/hidden" {
			t.Fatal("a part of a body was taken for a request")
		}
	}
}
