package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

func TestUpgradePassesBytesThatCameWithIt(t *testing.T) {
	for name, size := range map[string]int{"none": 0, "few": 10, "more than a buffer": 12000, "many": 300000} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			early := strings.Repeat("e", size)
			upstream := testbed.Script(t, testbed.Loopback(t), sawHead(), testbed.Send(switching+"hi"), testbed.EchoBytes())
			s := startSidecar(t, upstream, []string{anyRule})
			c := testbed.Dial(t, s.addr)
			request := "GET /up HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, upgrade\r\nUpgrade: echo\r\n\r\n" + early
			go io.WriteString(c, request) // in one write
			answer, err := testbed.ReadUntil(c, endHead)
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 101 Switching Protocols\r\n") ||
				!strings.Contains(string(answer), "\r\nUpgrade: echo\r\n") || !strings.Contains(string(answer), "\r\nX-Any: 1\r\n") {
				t.Fatalf("got %q, %v", answer, err)
			}
			if err := testbed.Play(c, testbed.Expect("hi"+early), testbed.Send("more"), testbed.Expect("more"), testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
				t.Error(err)
			}
			if r := s.record("/up"); r.Status != 101 || r.Error != nil || r.Attempts != 1 {
				t.Errorf("record: %+v", r)
			}
			if c := closedAs(s); c.Error != nil || c.Sent != int64(size+4) {
				t.Errorf("closed: %+v", c)
			}
		})
	}
}

func TestWebSocketHandshake(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), testbed.Shapes()), nil)
	testbed.Talk(t, s.addr,
		testbed.Send("GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
		testbed.ExpectUntil("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), testbed.ExpectUntil("\r\n\r\n"),
		testbed.Send("\x81\x85abcd\x09\x07\x0f\x08\x0e"), testbed.Expect("\x81\x85abcd\x09\x07\x0f\x08\x0e"),
		testbed.HalfClose(), testbed.ExpectEnd())
}

func TestRefusedUpgradeIsAnOrdinaryAnswer(t *testing.T) {
	testbed.Leaks(t)
	answer := "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno"
	upstream := testbed.Script(t, testbed.Loopback(t), sawHead(), testbed.Send(answer), testbed.ExpectEnd())
	s := startSidecar(t, upstream, nil)
	c := testbed.Dial(t, s.addr)
	testbed.Play(c, testbed.Send("GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"))
	if got := responseOf(t, c); !strings.HasPrefix(got, "HTTP/1.1 426 ") || !strings.HasSuffix(got, "no") {
		t.Errorf("got %q", got)
	}
	if err := testbed.Play(c, testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
		t.Error(err)
	}
}

func TestUpgradeOfARoute(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, testbed.Refused(t), []string{breakerRule})
	c := testbed.Dial(t, s.addr)
	testbed.Play(c, testbed.Send("GET /fragile HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"))
	if got := responseOf(t, c); !strings.HasPrefix(got, "HTTP/1.1 502 ") {
		t.Errorf("got %q", got)
	}
	if b := s.Breakers(); len(b) != 1 || b[0].Counts.Failures != 1 {
		t.Errorf("breakers: %+v", b)
	}
}

func TestUpgradeToHTTP2(t *testing.T) {
	const ask = "GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: %s\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
	for _, to := range []string{"h2c", "H2C", "foo, h2c", "h2c,foo"} {
		t.Run("is taken out where rules can touch "+to, func(t *testing.T) {
			testbed.Leaks(t)
			s := startSidecar(t, testbed.RawEcho(t, testbed.Loopback(t)), []string{anyRule})
			c := testbed.Dial(t, s.addr)
			testbed.Play(c, testbed.Send(fmt.Sprintf(ask, to)))
			got := strings.ToLower(responseOf(t, c))
			if strings.Contains(got, "h2c") || strings.Contains(got, "http2-settings") || strings.Contains(got, "upgrade:") {
				t.Errorf("the upstream got %q", got)
			}
		})
	}
	t.Run("passes as it came where none can", func(t *testing.T) {
		testbed.Leaks(t)
		upstream := testbed.Script(t, testbed.Loopback(t), testbed.Expect(fmt.Sprintf(ask, "h2c")),
			testbed.Send(strings.ReplaceAll(switching, "echo", "h2c")), testbed.EchoBytes())
		s := startSidecar(t, upstream, nil, inLane(proxy.LaneRelay))
		testbed.Talk(t, s.addr, testbed.Send(fmt.Sprintf(ask, "h2c")), sawHead(), testbed.Send("PRI"), testbed.Expect("PRI"), testbed.HalfClose(), testbed.ExpectEnd())
	})
	t.Run("passes in the exchange lane where none can", func(t *testing.T) {
		testbed.Leaks(t)
		upstream := testbed.Script(t, testbed.Loopback(t),
			testbed.ExpectUntil("\r\nConnection: Upgrade, HTTP2-Settings\r\n"), testbed.ExpectUntil("Http2-Settings: AAMAAABkAAQAAP__\r\n"), testbed.ExpectUntil("Upgrade: h2c\r\n\r\n"),
			testbed.Send(strings.ReplaceAll(switching, "echo", "h2c")), testbed.EchoBytes())
		s := startSidecar(t, upstream, nil, inLane(proxy.LaneExchange))
		testbed.Talk(t, s.addr, testbed.Send(fmt.Sprintf(ask, "h2c")), sawHead(), testbed.Send("PRI"), testbed.Expect("PRI"), testbed.HalfClose(), testbed.ExpectEnd())
	})
}

func TestConnect(t *testing.T) {
	const ask = "CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\nProxy-Authorization: Basic eA==\r\n\r\n"
	t.Run("opens both ways", func(t *testing.T) {
		testbed.Leaks(t)
		upstream := testbed.Script(t, testbed.Loopback(t),
			testbed.Expect("CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\nProxy-Authorization: Basic eA==\r\n\r\n"),
			testbed.Send("HTTP/1.1 200 Connection established\r\n\r\nhi"), testbed.EchoBytes())
		s := startSidecar(t, upstream, []string{anyRule})
		testbed.Talk(t, s.addr, testbed.Send(ask+"early"), testbed.Expect("HTTP/1.1 200 Connection established\r\nX-Any: 1\r\n\r\nhiearly"),
			testbed.Send("late"), testbed.Expect("late"), testbed.HalfClose(), testbed.ExpectEnd())
	})
	t.Run("refused", func(t *testing.T) {
		testbed.Leaks(t)
		upstream := testbed.Script(t, testbed.Loopback(t), sawHead(), testbed.Send("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno"), testbed.ExpectEnd())
		s := startSidecar(t, upstream, nil)
		c := testbed.Dial(t, s.addr)
		testbed.Play(c, testbed.Send(ask))
		if got := responseOf(t, c); !strings.HasPrefix(got, "HTTP/1.1 407 ") {
			t.Errorf("got %q", got)
		}
		if err := testbed.Play(c, testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a later request on the connection", func(t *testing.T) {
		testbed.Leaks(t)
		upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodConnect {
				return
			}
			nc, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer nc.Close()
			io.WriteString(nc, "HTTP/1.1 200 OK\r\n\r\n")
			io.Copy(nc, rw)
			nc.(*net.TCPConn).CloseWrite()
		})
		s := startSidecar(t, upstream, nil)
		c := testbed.Dial(t, s.addr)
		testbed.Play(c, testbed.Send(getX))
		responseOf(t, c)
		if err := testbed.Play(c, testbed.Send(ask), sawHead(), testbed.Send("hello"), testbed.Expect("hello"), testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
			t.Error(err)
		}
	})
}

func TestTunnelMirrorsResets(t *testing.T) {
	testbed.Leaks(t)
	opened := make(chan struct{})
	upstream := testbed.Script(t, testbed.Loopback(t), sawHead(), testbed.Send(switching), testbed.Await(opened), testbed.Abort())
	s := startSidecar(t, upstream, nil)
	testbed.Talk(t, s.addr, testbed.Send("GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"), sawHead(),
		func(*net.TCPConn) error { close(opened); return nil }, testbed.ExpectReset())
	if c := closedAs(s); c.Protocol != proxy.HTTP1 {
		t.Errorf("closed: %+v", c)
	}
}
