package hostile

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

const (
	getX = "GET /x/ HTTP/1.1\r\nHost: x\r\n\r\n"
	okX  = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	end  = "\r\n\r\n"

	getXOnce = "GET /x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
)

// TestGarbageForAnswers: what is no answer, or could be read as two, is a 502 or
// a broken connection; it is never passed on as a good answer.
func TestGarbageForAnswers(t *testing.T) {
	cases := []struct{ name, answer string }{
		{"no HTTP", "hello\r\n\r\n"},
		{"nothing but line ends", strings.Repeat("\r\n", 100)},
		{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n"},
		{"another version", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"a status that is none", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"},
		{"a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"},
		{"a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"},
		{"a negative status", "HTTP/1.1 -20 OK\r\nContent-Length: 0\r\n\r\n"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\noks"},
		{"two lengths in one field", "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\noks"},
		{"a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok"},
		{"a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"},
		{"chunked and a length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
		{"chunked twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
		{"xchunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
		{"a space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok"},
		{"a folded field", "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok"},
		{"a bare CR", "HTTP/1.1 200 OK\r\nX-A: 1\rX-B: 2\r\nContent-Length: 2\r\n\r\nok"},
		{"a NUL", "HTTP/1.1 200 OK\r\nX-A: 1\x002\r\nContent-Length: 2\r\n\r\nok"},
		{"a field without a colon", "HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 2\r\n\r\nok"},
		{"an unasked 101", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello"},
		{"a head of 100 KiB", "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 100<<10) + "\r\nContent-Length: 2\r\n\r\nok"},
		{"1,000 fields", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: a\r\n", 1000) + "Content-Length: 2\r\n\r\nok"},
		{"a bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n"},
		{"a chunk size that overflows", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n"},
		{"a chunk longer than it says", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n"},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-Le"},
	}
	// net/http, which reads the answers of the exchange lane, takes these. What
	// leaves is framed anew, and so is none of them.
	lenient := []string{"another version", "chunked and a length", "a space before the colon", "a folded field", "1,000 fields"}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			for _, c := range cases {
				if w.lane == proxy.LaneExchange && slices.Contains(lenient, c.name) {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					upstream := testbed.Script(t, testbed.Loopback(t), testbed.ExpectUntil(end), answering(c.answer), testbed.HalfClose(), testbed.Hold())
					s := start(t, w, upstream)
					answer, err := exchange(t, s.addr, getXOnce)
					if refused(answer, err, 502) == nil {
						return
					}
					// Else an abort: what has gone of a body that turned bad is no whole answer.
					_, body, _ := strings.Cut(answer, end)
					if strings.Contains("\r\n"+body, "\r\n0\r\n") || strings.Contains(body, "ok") || answer != "" && !strings.Contains(answer, "chunked") {
						t.Errorf("got %.300q, %v, want a 502 or an abort", answer, err)
					}
				})
			}
		})
	}
}

// TestOwnAnswersEndWhatTheCallerSaysIsTheLast: an answer of Sluice's own ends
// the connection of a caller that waits for its end.
func TestOwnAnswersEndWhatTheCallerSaysIsTheLast(t *testing.T) {
	for name, request := range map[string]string{
		"connection: close": getXOnce,
		"HTTP/1.0":          "GET /x/ HTTP/1.0\r\n\r\n",
	} {
		for _, w := range []way{{"relay lane", "", matching}, {"exchange lane", proxy.LaneExchange, matching}} {
			t.Run(w.name+" "+name, func(t *testing.T) {
				testbed.Leaks(t)
				s := start(t, w, testbed.Script(t, testbed.Loopback(t), testbed.ExpectUntil(end), answering("garbage\r\n\r\n"), testbed.Hold()))
				answer, err := exchange(t, s.addr, request)
				if err := refused(answer, err, 502); err != nil {
					t.Error(err)
				}
				if strings.HasPrefix(answer, "HTTP/1.1") && !strings.Contains(strings.ToLower(answer), "\r\nconnection: close\r\n") {
					t.Errorf("got %q, want it to say that it is the last", answer)
				}
			})
		}
	}
}

// answering sends text, as far as the other side takes it.
func answering(text string) testbed.Step {
	return func(conn *net.TCPConn) error {
		_, _ = io.WriteString(conn, text)
		return nil
	}
}

// TestASecondAnswerIsNobodys: what an upstream says together with its answer,
// unasked, is not the answer to the next request.
func TestASecondAnswerIsNobodys(t *testing.T) {
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for _, w := range ways {
		for name, c := range map[string]struct{ ask, answer, last string }{
			"with a length": {getX, okX, "ok"},
			"of chunks":     {getX, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "0\r\n\r\n"},
			"204":           {getX, "HTTP/1.1 204 No Content\r\n\r\n", end},
			"of a HEAD":     {strings.Replace(getX, "GET", "HEAD", 1), "HTTP/1.1 200 OK\r\nContent-Length: 46\r\n\r\n", end},
		} {
			t.Run(w.name+" "+name, func(t *testing.T) {
				testbed.Leaks(t)
				var first atomic.Bool
				listener := testbed.Loopback(t)
				testbed.ServeConns(t, listener, func(conn *net.TCPConn) {
					if first.CompareAndSwap(false, true) {
						_ = testbed.Play(conn, testbed.ExpectUntil(end), testbed.Send(c.answer+poison), testbed.Hold())
						return
					}
					_ = testbed.Play(conn, testbed.ExpectUntil(end), testbed.Send(okX), testbed.Hold())
				})
				s := start(t, w, listener.Addr().String())
				conn := testbed.Dial(t, s.addr)
				if err := testbed.Play(conn, testbed.Send(c.ask), testbed.ExpectUntil(c.last)); err != nil {
					t.Fatal(err)
				}
				_ = testbed.Play(conn, testbed.Send(getXOnce)) // it may be closed already
				got, err := io.ReadAll(conn)
				if strings.Contains(string(got), "poison") || isTimeout(err) && len(got) == 0 {
					t.Errorf("the next request was answered %q, %v", got, err)
				}
			})
		}
	}
}

// TestTheNextConnectionIsFine: garbage poisons nothing but its own connection.
func TestTheNextConnectionIsFine(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			good := hello(t)
			bad := testbed.Script(t, testbed.Loopback(t), testbed.ExpectUntil(end), answering(strings.Repeat("garbage\r\n", 1000)), testbed.Hold())
			// One upstream that is good for every other connection.
			var turns atomic.Int64
			front := testbed.Loopback(t)
			testbed.ServeConns(t, front, func(conn *net.TCPConn) {
				address := good
				if turns.Add(1)%2 == 1 {
					address = bad
				}
				join(conn, address)
			})
			s := start(t, w, front.Addr().String())
			for range 20 {
				_, _ = exchange(t, s.addr, getXOnce)
				got, err := exchange(t, s.addr, getXOnce)
				if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\nhello") {
					t.Fatalf("got %q, %v, want hello", got, err)
				}
			}
		})
	}
}

// join copies between conn and address until either side ends.
func join(conn *net.TCPConn, address string) {
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	done := make(chan struct{})
	go copyTo(conn, to, done)
	_, _ = io.Copy(to, conn)
	to.Close()
	<-done
}

func copyTo(to, from net.Conn, done chan<- struct{}) {
	defer close(done)
	_, _ = io.Copy(to, from)
	to.Close()
}
