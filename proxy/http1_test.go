package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

const (
	getX    = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
	okX     = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	endHead = "\r\n\r\n"
)

// sawHead reads a request's head.
func sawHead() testbed.Step { return testbed.ExpectUntil(endHead) }

// responseOf reads the next response off c.
func responseOf(t *testing.T, c net.Conn) string {
	t.Helper()
	got, err := readRawResponse(c, false)
	if err != nil {
		t.Fatalf("response: got %q, %v", got, err)
	}
	return got
}

// counting serves each connection with steps and counts connections.
func counting(t *testing.T, conns *atomic.Int64, steps ...testbed.Step) string {
	t.Helper()
	count := func(*net.TCPConn) error { conns.Add(1); return nil }
	return testbed.Script(t, testbed.Loopback(t), append([]testbed.Step{count}, steps...)...)
}

func TestKeepAliveUsesOneUpstreamConnection(t *testing.T) {
	testbed.Leaks(t)
	var conns atomic.Int64
	upstream := counting(t, &conns,
		testbed.Expect(getX), testbed.Send(okX), testbed.Expect(getX), testbed.Send(okX), testbed.Expect(getX), testbed.Send(okX), testbed.ExpectEnd())
	s := startSidecar(t, upstream, nil)
	c := testbed.Dial(t, s.addr)
	for range 3 {
		if err := testbed.Play(c, testbed.Send(getX), testbed.Expect(okX)); err != nil {
			t.Fatal(err)
		}
	}
	if err := testbed.Play(c, testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
		t.Error(err)
	}
	closedAs(s)
	if n := conns.Load(); n != 1 {
		t.Errorf("%d upstream connections, want 1", n)
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	testbed.Leaks(t)
	var asked atomic.Int64
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header()["Date"] = nil
		io.WriteString(w, r.URL.Path)
	})
	s := startSidecar(t, upstream, nil)
	c := testbed.Dial(t, s.addr)
	testbed.Play(c, testbed.Send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: x\r\n\r\n"), testbed.HalfClose())
	for i := range 3 {
		if got := responseOf(t, c); !strings.HasSuffix(got, fmt.Sprintf("\r\n\r\n/%d", i+1)) {
			t.Errorf("answer %d: %q", i+1, got)
		}
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

func TestNoRequestIsRepeated(t *testing.T) {
	for name, last := range map[string]testbed.Step{"reset": testbed.Abort(), "close": func(*net.TCPConn) error { return nil }} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			var conns atomic.Int64
			upstream := counting(t, &conns, testbed.Expect(getX), testbed.Send(okX), testbed.Expect(getX), last)
			s := startSidecar(t, upstream, nil)
			c := testbed.Dial(t, s.addr)
			if err := testbed.Play(c, testbed.Send(getX), testbed.Expect(okX), testbed.Send(getX), mirrored(name == "close")); err != nil {
				t.Error(err)
			}
			closedAs(s)
			if n := conns.Load(); n != 1 {
				t.Errorf("the GET was sent on %d connections, want exactly one copy", n)
			}
		})
	}
}

// In the relay lane the caller sees the end of its upstream connection itself.
func TestKeptConnectionThatTheUpstreamClosedIsReplaced(t *testing.T) {
	testbed.Leaks(t)
	var conns atomic.Int64
	s := startSidecar(t, counting(t, &conns, testbed.Expect(getX), testbed.Send(okX)), nil, inLane(proxy.LaneExchange))
	c := testbed.Dial(t, s.addr)
	for i := range 3 {
		if err := testbed.Play(c, testbed.Send(getX), testbed.Expect(okX)); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		// The end of an idle connection has to have arrived, or the next request races with it.
		time.Sleep(20 * time.Millisecond)
	}
	if n := conns.Load(); n != 3 {
		t.Errorf("%d upstream connections, want 3", n)
	}
}

func TestContinueIsTheUpstreams(t *testing.T) {
	const head = "POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
	t.Run("granted", func(t *testing.T) {
		testbed.Leaks(t)
		upstream := testbed.Script(t, testbed.Loopback(t), sawHead(), testbed.Send("HTTP/1.1 100 Continue\r\n\r\n"), testbed.Expect("hello"), testbed.Send(okX), testbed.Hold())
		s := startSidecar(t, upstream, nil)
		testbed.Talk(t, s.addr, testbed.Send(head), testbed.Expect("HTTP/1.1 100 Continue\r\n\r\n"), testbed.Send("hello"), testbed.Expect(okX))
	})
	for _, status := range []string{"417 Expectation Failed", "413 Request Entity Too Large", "401 Unauthorized"} {
		t.Run(status, func(t *testing.T) {
			testbed.Leaks(t)
			upstream := testbed.Script(t, testbed.Loopback(t), sawHead(), testbed.Send("HTTP/1.1 "+status+"\r\nContent-Length: 2\r\n\r\nno"), testbed.Hold())
			s := startSidecar(t, upstream, nil)
			c := testbed.Dial(t, s.addr)
			testbed.Play(c, testbed.Send(head))
			if got := responseOf(t, c); !strings.HasPrefix(got, "HTTP/1.1 "+status) || !strings.HasSuffix(got, "\r\n\r\nno") {
				t.Errorf("got %q", got)
			}
		})
	}
	t.Run("of no body", func(t *testing.T) {
		testbed.Leaks(t)
		ask := strings.ReplaceAll(head, "Length: 5", "Length: 0")
		upstream := testbed.Script(t, testbed.Loopback(t), sawHead(), testbed.Send(okX), sawHead(), testbed.Send(okX), testbed.Hold())
		s := startSidecar(t, upstream, nil)
		testbed.Talk(t, s.addr, testbed.Send(ask), testbed.Expect(okX), testbed.Send(ask), testbed.Expect(okX))
	})
	t.Run("for a rule that reads the body", func(t *testing.T) {
		testbed.Leaks(t)
		upstream := testbed.Script(t, testbed.Loopback(t), sawHead(), testbed.Send("HTTP/1.1 100 Continue\r\n\r\n"), testbed.Expect(`{"b":2}`), testbed.Send(okX), testbed.Hold())
		s := startSidecar(t, upstream, []string{"route: c\nrequest:\n  - jq: del(.a)\n"})
		testbed.Talk(t, s.addr,
			testbed.Send("POST /c HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 13\r\nExpect: 100-continue\r\n\r\n"),
			testbed.Expect("HTTP/1.1 100 Continue\r\n\r\n"), testbed.Send(`{"a":1,"b":2}`), testbed.Expect(okX)) // one 100, not two
	})
}

func TestEventsAreFlushedOneByOne(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		for _, framing := range []string{"sse", "length", "head alone"} {
			t.Run(fmt.Sprintf("%s h2=%v", framing, h2), func(t *testing.T) {
				testbed.Leaks(t)
				next := make(chan struct{})
				upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					if framing != "sse" {
						w.Header().Set("Content-Length", "18")
					}
					w.WriteHeader(200)
					http.NewResponseController(w).Flush()
					for i := range 3 {
						select {
						case <-next:
						case <-r.Context().Done():
							return
						}
						fmt.Fprintf(w, "data%d\n", i)
						http.NewResponseController(w).Flush()
					}
				})
				s := startSidecar(t, upstream, nil)
				resp, err := client(t, h2).Get("http://" + s.addr + "/") // the head comes before any event
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if framing == "head alone" {
					return
				}
				got := make([]byte, 6)
				for i := range 3 {
					next <- struct{}{}
					if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != fmt.Sprintf("data%d\n", i) {
						t.Fatalf("event %d: got %q, %v", i, got, err)
					}
				}
			})
		}
	}
}

func TestEarlyResponseWhileTheUploadGoesOn(t *testing.T) {
	for name, framing := range map[string]string{"length": "Content-Length: 20000000\r\n", "chunked": "Transfer-Encoding: chunked\r\n"} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			upstream := testbed.Script(t, testbed.Loopback(t), sawHead(),
				testbed.Send("HTTP/1.1 413 Request Entity Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig"), testbed.HalfClose(), testbed.Hold())
			s := startSidecar(t, upstream, nil)
			c := testbed.Dial(t, s.addr)
			testbed.Play(c, testbed.Send("POST /up HTTP/1.1\r\nHost: x\r\n"+framing+"\r\n"))
			if name == "chunked" {
				testbed.Play(c, testbed.Send("ffffff\r\n"))
			}
			uploaded := make(chan struct{})
			go func() {
				defer close(uploaded)
				c.Write(bytes.Repeat([]byte("x"), 8<<20)) // more than all buffers hold; ends when the connection does
			}()
			if got := responseOf(t, c); !strings.HasPrefix(got, "HTTP/1.1 413 ") || !strings.HasSuffix(got, "big") {
				t.Errorf("got %q", got)
			}
			c.Close()
			<-uploaded
			if r := s.record("/up"); r.Status != 413 || r.Error != nil {
				t.Errorf("record: %d %v", r.Status, r.Error)
			}
		})
	}
}

func TestFullDuplexBody(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			testbed.Leaks(t)
			upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				rc := http.NewResponseController(w)
				rc.EnableFullDuplex()
				w.WriteHeader(200)
				rc.Flush()
				buf := make([]byte, 64)
				for {
					n, err := r.Body.Read(buf)
					w.Write(buf[:n])
					rc.Flush()
					if err != nil {
						return
					}
				}
			})
			s := startSidecar(t, upstream, nil)
			r, w := io.Pipe()
			resp, err := client(t, h2).Post("http://"+s.addr+"/", "text/plain", r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			for i := range 3 {
				text := fmt.Sprintf("part %d", i)
				io.WriteString(w, text)
				got := make([]byte, len(text))
				if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != text {
					t.Fatalf("got %q, %v", got, err)
				}
			}
			w.Close()
			if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
				t.Errorf("rest: %q, %v", rest, err)
			}
		})
	}
}
