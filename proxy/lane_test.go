package proxy_test

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// Routes that need the exchange lane are those whose name begins with net.
func byName(c *proxy.Config) {
	c.Lane = ""
	c.LaneOf = func(r *rules.Route) proxy.Lane {
		if strings.HasPrefix(r.Name(), "net") {
			return proxy.LaneExchange
		}
		return proxy.LaneRelay
	}
}

const (
	netRoute   = "route: net\nmatch: {http: /net}\nresponse:\n  - head: .headers[\"x-by\"] = \"rule\"\n"
	relayRoute = "route: relay\nmatch: {http: /relay}\nresponse:\n  - head: .headers[\"x-by\"] = \"rule\"\n"
)

func TestHTTP1ChoosesItsLaneForEachRequest(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, startHTTP(t, echoBody), []string{netRoute, relayRoute}, byName)
	c := testbed.Dial(t, s.addr)
	asked := map[string]int{}
	ask := func(path string, want proxy.Lane, ruled bool) {
		t.Helper()
		asked[path]++
		testbed.Play(c, testbed.Send("POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"))
		got := responseOf(t, c)
		if !strings.HasSuffix(got, "hi") || ruled != strings.Contains(got, "X-By: rule\r\n") {
			t.Errorf("%s: got %q", path, got)
		}
		n := 0
		r := await(s, func(r *proxy.Record) bool {
			if r.Call.Head.Path == path {
				n++
			}
			return n == asked[path]
		})
		if r.Lane != want || r.Error != nil {
			t.Errorf("%s: lane %s, error %v, want %s", path, r.Lane, r.Error, want)
		}
	}
	for range 3 {
		ask("/plain", proxy.LaneRelay, false)
		ask("/net", proxy.LaneExchange, true)
		ask("/relay", proxy.LaneRelay, true)
	}
	// A reload changes the lane between two requests of one connection.
	s.use(strings.ReplaceAll(relayRoute, "route: relay", "route: net2"))
	ask("/relay", proxy.LaneExchange, true)
	s.use(relayRoute)
	ask("/relay", proxy.LaneRelay, true)
}

func TestHTTP2ChangesItsLaneByGoAway(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, startHTTP(t, echoBody), nil, byName)
	one := func(c *http.Client) error { return post(c, "http://"+s.addr+"/relay") }
	stop := load(4, one, t, true)
	sets := [][]string{nil, {relayRoute}, {netRoute, relayRoute}}
	for i := range 60 {
		s.use(sets[i%len(sets)]...)
		time.Sleep(10 * time.Millisecond) // the pace of reloads
	}
	s.use(netRoute)
	for _, lane := range []proxy.Lane{proxy.LaneRelay, proxy.LaneExchange} {
		await(s, func(r *proxy.Record) bool { return r.Lane == lane })
	}
	t.Logf("%d calls, none failed", stop())
}

func TestOpenBreakerSparesADestinationThatSpeaksHTTP(t *testing.T) {
	testbed.Leaks(t)
	var conns atomic.Int64
	upstream := testbed.Loopback(t)
	testbed.ServeConns(t, upstream, func(c *net.TCPConn) {
		conns.Add(1)
		testbed.Play(c, sawHead(), testbed.Send("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), testbed.ExpectEnd())
	})
	s := startSidecar(t, upstream.Addr().String(), []string{breakerRule})
	get := func(path, want string) {
		t.Helper()
		c := testbed.Dial(t, s.addr)
		testbed.Play(c, testbed.Send("GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"))
		if got := responseOf(t, c); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
		testbed.Play(c, testbed.HalfClose(), testbed.ExpectEnd())
	}
	get("/fragile", "HTTP/1.1 500 ")
	get("/fragile", "HTTP/1.1 500 ")
	before := conns.Load()
	for range 3 {
		get("/fragile", "HTTP/1.1 200 ")
	}
	if n := conns.Load(); n != before {
		t.Errorf("the destination was dialled %d times although its breaker is open", n-before)
	}
	get("/other", "HTTP/1.1 500 ") // another route asks it all the same
	if n := conns.Load(); n != before+1 {
		t.Errorf("%d connections for a request that its breaker has no say in, want 1", n-before)
	}
}
