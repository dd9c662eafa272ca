package proxy_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// closedAs waits for the one connection of the test to end.
func closedAs(s *sidecar) *proxy.ConnClosed {
	s.t.Helper()
	return await(s, func(*proxy.ConnClosed) bool { return true })
}

func headTimeout(d time.Duration) option {
	return func(c *proxy.Config) { c.HeadTimeout = d }
}

func TestServerThatSpeaksFirstPassesAtOnce(t *testing.T) {
	for name, greeting := range map[string]string{
		"mysql": "\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00",
		"smtp":  "220 mail.example ESMTP\r\n",
		"nats":  "INFO {\"server_id\":\"x\"}\r\n",
		"one":   "S",
	} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			s := startSidecar(t, testbed.Greeting(t, testbed.Loopback(t), greeting), []string{anyRule})
			began := time.Now()
			testbed.Talk(t, s.addr,
				testbed.Expect(greeting),
				func(*net.TCPConn) error {
					if d := time.Since(began); d > time.Second {
						t.Errorf("the greeting took %v", d)
					}
					return nil
				},
				// What looks like HTTP now is the greeting protocol's own.
				testbed.Send("GET / HTTP/1.1\r\n\r\n"), testbed.Expect("GET / HTTP/1.1\r\n\r\n"),
				testbed.HalfClose(), testbed.ExpectEnd(),
			)
			if c := closedAs(s); c.Protocol != proxy.Raw || c.Lane != proxy.LaneSplice || c.Received != int64(len(greeting))+18 || c.Error != nil {
				t.Errorf("closed: %+v %v", c, c.Error)
			}
		})
	}
}

// anyRule touches every HTTP exchange, and may answer none of them.
const anyRule = `
route: any
response:
  - head: .headers["x-any"] = "1"
`

func TestBothSpeakAtOnce(t *testing.T) {
	testbed.Leaks(t)
	sent := make([]byte, 3<<20)
	rand.Read(sent)
	upstream := testbed.Loopback(t)
	got := make(chan []byte, 1)
	testbed.ServeConns(t, upstream, func(c *net.TCPConn) {
		var both sync.WaitGroup
		both.Go(func() { c.Write(sent); c.CloseWrite() })
		b, _ := io.ReadAll(c)
		both.Wait()
		got <- b
	})
	s := startSidecar(t, upstream.Addr().String(), nil)
	c := testbed.Dial(t, s.addr)
	var both sync.WaitGroup
	both.Go(func() { c.Write(sent); c.CloseWrite() })
	back, err := io.ReadAll(c)
	both.Wait()
	if err != nil || !bytes.Equal(back, sent) || !bytes.Equal(<-got, sent) {
		t.Errorf("what came is not what was sent: %d bytes, %v", len(back), err)
	}
}

func TestSilenceLastsUntilSomebodySpeaks(t *testing.T) {
	for name, first := range map[string]string{"caller": "caller", "upstream": "upstream"} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			speak := make(chan struct{})
			steps := []testbed.Step{testbed.EchoBytes()}
			if first == "upstream" {
				steps = []testbed.Step{testbed.Await(speak), testbed.Send("hello\n"), testbed.ExpectEnd()}
			}
			s := startSidecar(t, testbed.Script(t, testbed.Loopback(t), steps...), nil, headTimeout(20*time.Millisecond))
			c := testbed.Dial(t, s.addr)
			// Silence is not bounded: nothing arrives, and nothing ends, for many head timeouts.
			c.SetReadDeadline(time.Now().Add(150 * time.Millisecond))
			if n, err := c.Read(make([]byte, 1)); n > 0 || !isTimeout(err) {
				t.Fatalf("got %d bytes and %v, want silence", n, err)
			}
			if first == "upstream" {
				close(speak)
				if err := testbed.Play(c, testbed.Expect("hello\n"), testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
					t.Error(err)
				}
				return
			}
			if err := testbed.Play(c, testbed.Send("hello\n"), testbed.Expect("hello\n"), testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
				t.Error(err)
			}
		})
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func TestSlowFirstWordIsNeverRaw(t *testing.T) {
	hello := clientHello(t)
	for name, word := range map[string]string{
		"request line": "GET /slow/and/steady/past/every/rule HTTP/1.1\r\nHost: x\r\n\r\n",
		"method":       "OPTIONSOPTIONSOPTIONSOPTIONSOPTIONSOPTIONSOPTIONSOPTIONS",
		"preface":      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"ClientHello":  string(hello[:80]),
	} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			upstream := testbed.Record(t, testbed.Loopback(t))
			s := startSidecar(t, upstream.Addr, nil, headTimeout(100*time.Millisecond))
			c := testbed.Dial(t, s.addr)
			err := testbed.Play(c, testbed.Dribble(word, 20*time.Millisecond), testbed.ExpectReset())
			if err != nil && !testbed.IsReset(err) { // the dribble itself may meet it
				t.Error(err)
			}
			closed := closedAs(s)
			if closed.Error == nil || closed.Error.Reason != "head_timeout" || closed.Lane != proxy.LaneNone {
				t.Errorf("closed: %+v", closed)
			}
			for _, got := range upstream.Received() {
				if len(got) > 0 {
					t.Errorf("the upstream got %q", got)
				}
			}
		})
	}
}

// clientHello is what crypto/tls says first.
func clientHello(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	go func() {
		tls.Client(near, &tls.Config{ServerName: "shop.example", NextProtos: []string{"h2", "http/1.1"}}).Handshake()
		near.Close()
	}()
	buf := make([]byte, 4<<10)
	n, err := far.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	far.Close()
	return buf[:n]
}

func TestOtherTextProtocolsPassRaw(t *testing.T) {
	for name, word := range map[string]string{
		"NATS":      "CONNECT {\"verbose\":false}\r\nPING\r\n",
		"STOMP":     "CONNECT\naccept-version:1.2\n\n\x00",
		"RTSP":      "OPTIONS rtsp://cam/stream RTSP/1.0\r\nCSeq: 1\r\n\r\n",
		"memcached": "get key\r\n",
		"redis":     "*1\r\n$4\r\nPING\r\n",
		"pgsql":     "\x00\x00\x00\x08\x04\xd2\x16\x2f",
	} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			s := startSidecar(t, testbed.EchoTCP(t, testbed.Loopback(t)), []string{anyRule})
			testbed.Talk(t, s.addr, testbed.Send(word), testbed.Expect(word), testbed.HalfClose(), testbed.ExpectEnd())
			if c := closedAs(s); c.Protocol != proxy.Raw || c.Sent != int64(len(word)) {
				t.Errorf("closed: %+v", c)
			}
		})
	}
}

func TestTLSPassesAndTellsItsNames(t *testing.T) {
	testbed.Leaks(t)
	upstream, pool := testbed.TLSEcho(t, testbed.Loopback(t), []string{"shop.example"}, "h2", "http/1.1")
	s := startSidecar(t, upstream, []string{anyRule})
	c := tls.Client(testbed.Dial(t, s.addr), &tls.Config{RootCAs: pool, ServerName: "shop.example", NextProtos: []string{"h2", "http/1.1"}})
	text := strings.Repeat("secret ", 5000)
	go c.Write([]byte(text))
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("echo: %v", err)
	}
	c.Close()
	closed := closedAs(s)
	if closed.Protocol != proxy.TLS || closed.SNI != "shop.example" || !has(closed.ALPN, "h2") || !has(closed.ALPN, "http/1.1") {
		t.Errorf("closed: %+v", closed)
	}
}

func TestHalfCloseIsMirrored(t *testing.T) {
	for name, word := range map[string]string{"before any byte": "", "after a word": "hello", "after a line": "hello\n"} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			upstream := testbed.Script(t, testbed.Loopback(t),
				testbed.Expect(word), testbed.ExpectEnd(), testbed.Send("all of it"))
			s := startSidecar(t, upstream, nil)
			testbed.Talk(t, s.addr, testbed.Send(word), testbed.HalfClose(), testbed.Expect("all of it"), testbed.ExpectEnd())
		})
	}
	t.Run("upstream first", func(t *testing.T) {
		testbed.Leaks(t)
		upstream := testbed.Script(t, testbed.Loopback(t), testbed.HalfClose(), testbed.Expect("still here\n"), testbed.ExpectEnd())
		s := startSidecar(t, upstream, nil)
		testbed.Talk(t, s.addr, testbed.ExpectEnd(), testbed.Send("still here\n"))
		if c := closedAs(s); c.Error != nil {
			t.Errorf("closed: %v", c.Error)
		}
	})
}

func TestResetsAreMirrored(t *testing.T) {
	for name, word := range map[string]string{"before any byte": "", "undecided": "GE", "raw": "hello\n"} {
		t.Run("by the caller "+name, func(t *testing.T) {
			testbed.Leaks(t)
			reached := make(chan struct{}, 1)
			seen := make(chan error, 1)
			upstream := testbed.Loopback(t)
			testbed.ServeConns(t, upstream, func(c *net.TCPConn) {
				reached <- struct{}{}
				seen <- testbed.Play(c, testbed.ExpectReset())
			})
			s := startSidecar(t, upstream.Addr().String(), nil)
			c := testbed.Dial(t, s.addr)
			<-reached
			if err := testbed.Play(c, testbed.Send(word), testbed.Abort()); err != nil {
				t.Fatal(err)
			}
			if err := <-seen; err != nil {
				t.Error(err)
			}
		})
		t.Run("by the upstream "+name, func(t *testing.T) {
			testbed.Leaks(t)
			reset := make(chan struct{})
			steps := []testbed.Step{testbed.Await(reset), testbed.Abort()}
			if name == "raw" {
				steps = append([]testbed.Step{testbed.Expect(word)}, steps...)
			}
			s := startSidecar(t, testbed.Script(t, testbed.Loopback(t), steps...), nil)
			c := testbed.Dial(t, s.addr)
			if err := testbed.Play(c, testbed.Send(word)); err != nil {
				t.Fatal(err)
			}
			close(reset)
			if err := testbed.Play(c, testbed.ExpectReset()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Behind an explicit listener the port of its upstream is match.port.
func TestAPortMatchesWhereTheUpstreamIsGiven(t *testing.T) {
	upstream := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	_, port, _ := strings.Cut(upstream, ":")
	s := startSidecar(t, upstream, []string{"route: r\nmatch: {port: " + port + "}\nresponse: [{head: .status = 201}]\n"})
	for _, h2 := range []bool{false, true} {
		resp, err := client(t, h2).Get("http://" + s.addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			t.Errorf("h2 %t: got %d, want 201", h2, resp.StatusCode)
		}
	}
	e, err := s.Explain(t.Context(), proxy.Question{Direction: rules.Inbound, Head: &rules.Head{Method: "GET", Path: "/"}})
	if err != nil || e.Record.Route != "r" {
		t.Errorf("explained: %v, %v", e, err)
	}
}
