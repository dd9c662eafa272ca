package proxy_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

func TestTruncatedResponseIsNeverACleanEnd(t *testing.T) {
	for name, c := range map[string]struct {
		request, response string
		end               testbed.Step
	}{
		"length, end":      {getX, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive5", testbed.HalfClose()},
		"length, reset":    {getX, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive5", testbed.Abort()},
		"chunks, end":      {getX, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfive5\r\n", testbed.HalfClose()},
		"chunks, garbage":  {getX, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfive5\r\nzz\r\n", testbed.Hold()},
		"to a 1.0 caller":  {"GET /x HTTP/1.0\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfive5\r\n", testbed.HalfClose()},
		"delimited, reset": {getX, "HTTP/1.1 200 OK\r\n\r\nfive5", testbed.Abort()},
	} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			begun := make(chan struct{})
			upstream := testbed.Script(t, testbed.Loopback(t), sawHead(), testbed.Send(c.response), testbed.Await(begun), c.end)
			s := startSidecar(t, upstream, []string{breakerOnX})
			conn := testbed.Dial(t, s.addr)
			if err := testbed.Play(conn, testbed.Send(c.request), testbed.ExpectUntil("five5")); err != nil {
				t.Fatal(err)
			}
			close(begun)
			if err := testbed.Play(conn, testbed.ExpectReset()); err != nil {
				t.Error(err)
			}
			r := s.record("/x")
			if r.Error == nil || r.Error.Origin != proxy.OriginUpstream {
				t.Errorf("record: %+v %v", r, r.Error)
			}
			if b := s.Breakers(); len(b) != 1 || b[0].Counts.Failures != 1 {
				t.Errorf("breakers: %+v", b)
			}
		})
	}
}

const breakerOnX = `
route: x
match: {http: /x}
upstream:
  breaker: {trip: .failures > 100}
`

// mirrored is what a caller sees of an upstream that ended its side, or reset
// it. The exchange lane has but the reset.
func mirrored(ended bool) testbed.Step {
	if ended && os.Getenv("SLUICE_TEST_LANE") != string(proxy.LaneExchange) {
		return testbed.ExpectEnd()
	}
	return testbed.ExpectReset()
}

func TestUpstreamThatFailsBeforeItsAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		steps  []testbed.Step
		reason string
	}{
		"reset":            {[]testbed.Step{sawHead(), testbed.Abort()}, "reset"},
		"end":              {[]testbed.Step{sawHead()}, "reset"},
		"garbage":          {[]testbed.Step{sawHead(), testbed.Send("SSH-2.0-OpenSSH\r\n"), testbed.Hold()}, "protocol"},
		"two lengths":      {[]testbed.Step{sawHead(), testbed.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), testbed.Hold()}, "protocol"},
		"unasked 101":      {[]testbed.Step{sawHead(), testbed.Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), testbed.Hold()}, "protocol"},
		"half a head":      {[]testbed.Step{sawHead(), testbed.Send("HTTP/1.1 200 OK\r\nContent-"), testbed.HalfClose()}, "protocol"},
		"status 42":        {[]testbed.Step{sawHead(), testbed.Send("HTTP/1.1 042 Odd\r\n\r\n"), testbed.Hold()}, "protocol"},
		"a head too large": {[]testbed.Step{sawHead(), testbed.Send("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10) + "\r\n\r\n"), testbed.Hold()}, "protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			upstream := testbed.Script(t, testbed.Loopback(t), c.steps...)
			s := startSidecar(t, upstream, []string{breakerOnX})
			testbed.Talk(t, s.addr, testbed.Send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n"), mirrored(name == "end"))
			conn := testbed.Dial(t, s.addr)
			testbed.Play(conn, testbed.Send(getX))
			got := responseOf(t, conn)
			if !strings.HasPrefix(got, "HTTP/1.1 502 ") || !strings.Contains(got, "X-Sluice-Error: x/upstream; "+c.reason+"\r\n") {
				t.Errorf("got %q", got)
			}
			if b := s.Breakers(); len(b) != 1 || b[0].Counts.Failures != 1 {
				t.Errorf("breakers: %+v", b)
			}
		})
	}
}

func TestCallerWhoHangsUp(t *testing.T) {
	for name, leave := range map[string]testbed.Step{"reset": testbed.Abort(), "close": (*net.TCPConn).Close} {
		for when, begun := range map[string]string{"before the answer": "", "amid the answer": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive5"} {
			t.Run(name+" "+when, func(t *testing.T) {
				testbed.Leaks(t)
				asked := make(chan struct{})
				seen := make(chan error, 1)
				upstream := testbed.Loopback(t)
				testbed.ServeConns(t, upstream, func(c *net.TCPConn) {
					testbed.Play(c, sawHead(), testbed.Send(begun))
					close(asked)
					c.SetReadDeadline(time.Now().Add(5 * time.Second))
					_, err := c.Read(make([]byte, 1))
					seen <- err
				})
				s := startSidecar(t, upstream.Addr().String(), []string{breakerOnX})
				c := testbed.Dial(t, s.addr)
				testbed.Play(c, testbed.Send(getX))
				<-asked
				if begun != "" {
					testbed.Play(c, testbed.ExpectUntil("five5"))
				}
				leave(c)
				// As without us: a close is an end at first, which a server takes as it likes.
				if err := <-seen; err == nil || isTimeout(err) {
					t.Errorf("the upstream saw %v", err)
				}
				r := s.record("/x")
				if r.Error == nil || r.Error.Origin != proxy.OriginCaller {
					t.Errorf("record: %v", r.Error)
				}
				if b := s.Breakers(); len(b) != 1 || b[0].Counts.Requests != 0 {
					t.Errorf("breakers: %+v", b)
				}
			})
		}
	}
}

func TestHalfCloseAfterTheRequestStillGetsTheResponse(t *testing.T) {
	for name, request := range map[string]string{
		"no body": getX,
		"length":  "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		"chunks":  "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"large":   "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200000),
		"1.0":     "GET /x HTTP/1.0\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			upstream := testbed.Loopback(t)
			ended := make(chan error, 1)
			testbed.ServeConns(t, upstream, func(c *net.TCPConn) {
				if _, err := testbed.ReadRawRequest(c); err != nil {
					t.Errorf("upstream: %v", err)
				}
				ended <- testbed.Play(c, testbed.ExpectEnd()) // the half-close arrives, and only then is answered
				io.WriteString(c, okX)
			})
			s := startSidecar(t, upstream.Addr().String(), nil)
			c := testbed.Dial(t, s.addr)
			go testbed.Play(c, testbed.Send(request), testbed.HalfClose())
			if got := responseOf(t, c); !strings.HasSuffix(got, "ok") {
				t.Errorf("got %q", got)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUpstreamThatEndsWhileTheUploadPauses(t *testing.T) {
	for name, end := range map[string]testbed.Step{"reset": testbed.Abort(), "close": func(*net.TCPConn) error { return nil }} {
		for framing, part := range map[string]string{"Content-Length: 10": "five5", "Transfer-Encoding: chunked": "5\r\nfive5\r\n"} {
			t.Run(name+" "+framing, func(t *testing.T) {
				testbed.Leaks(t)
				upstream := testbed.Script(t, testbed.Loopback(t), testbed.ExpectUntil("five5"), end)
				s := startSidecar(t, upstream, []string{breakerOnX})
				testbed.Talk(t, s.addr, testbed.Send("POST /other HTTP/1.1\r\nHost: x\r\n"+framing+"\r\n\r\n"+part), mirrored(name == "close" && part == "five5"))
				c := testbed.Dial(t, s.addr)
				testbed.Play(c, testbed.Send("POST /x HTTP/1.1\r\nHost: x\r\n"+framing+"\r\n\r\n"+part))
				if got := responseOf(t, c); !strings.HasPrefix(got, "HTTP/1.1 502 ") {
					t.Errorf("got %q", got)
				}
			})
		}
	}
}

func TestCutRequestBodyIsNoRequest(t *testing.T) {
	testbed.Leaks(t)
	upstream := testbed.Loopback(t)
	whole := make(chan error, 1)
	testbed.ServeConns(t, upstream, func(c *net.TCPConn) {
		_, err := testbed.ReadRawRequest(c)
		whole <- err
	})
	s := startSidecar(t, upstream.Addr().String(), nil)
	c := testbed.Dial(t, s.addr)
	testbed.Play(c, testbed.Send("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), testbed.HalfClose())
	if err := <-whole; err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the upstream took a cut body for a whole one: %v", err)
	}
	if r := s.record("/x"); r.Error == nil || r.Error.Origin != proxy.OriginCaller {
		t.Errorf("record: %v", r.Error)
	}
}
