package hostile

import (
	"io"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// TestAmbiguousRequestsReachNobody: what two readers could read in two ways, or
// one as two, is refused; not one byte of it is passed on.
func TestAmbiguousRequestsReachNobody(t *testing.T) {
	const post, get = "POST /x/ HTTP/1.1\r\nHost: x\r\n", "GET /x/ HTTP/1.1\r\nHost: x\r\n"
	const chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	cases := []struct{ name, request string }{
		// Two lengths.
		{"chunked and a length", post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"},
		{"a length and chunked", post + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n" + smuggled},
		{"two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"},
		{"two equal lengths", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"},
		{"two lengths in one field", post + "Content-Length: 5, 6\r\n\r\nhello!"},
		{"equal lengths in one field", post + "Content-Length: 5, 5\r\n\r\nhello"},
		{"a length with a sign", post + "Content-Length: +5\r\n\r\nhello"},
		{"a negative length", post + "Content-Length: -1\r\n\r\n" + smuggled},
		{"a length in hex", post + "Content-Length: 0x5\r\n\r\nhello"},
		{"a length with a space in it", post + "Content-Length: 1 0\r\n\r\nhello"},
		{"an empty length", post + "Content-Length:\r\n\r\n" + smuggled},
		{"a length that overflows", post + "Content-Length: 18446744073709551621\r\n\r\nhello"},
		{"a length with a comma", post + "Content-Length: 5,\r\n\r\nhello"},
		{"a length with an underscore", post + "Content-Length: 1_0\r\n\r\nhello"},
		{"lengths in other spellings", post + "content-length: 5\r\nCONTENT-LENGTH: 50\r\n\r\nhello"},
		// Transfer encodings.
		{"xchunked", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
		{"chunked twice", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
		{"chunked twice in two fields", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"chunked and identity", post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"},
		{"identity alone", post + "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello"},
		{"chunked and identity in two fields", post + "Transfer-Encoding: chunked\r\nTransfer-encoding: identity\r\n\r\n0\r\n\r\n"},
		{"chunked that is not last", post + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"},
		{"an empty transfer encoding", post + "Transfer-Encoding:\r\n\r\n0\r\n\r\n"},
		{"chunked with a parameter", post + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"},
		{"chunked in quotes", post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"},
		{"chunked after a vertical tab", post + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"},
		{"chunked in HTTP/1.0", "POST /x/ HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		// Fields that end or begin elsewhere for another reader.
		{"a space before the colon", post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
		{"a tab before the colon", post + "Content-Length\t: 5\r\n\r\nhello"},
		{"a folded field", post + "X-A: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"a folded transfer encoding", post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"},
		{"a first field that is folded", "GET /x/ HTTP/1.1\r\n Host: x\r\n\r\n"},
		{"a bare LF in a head", "GET /x/ HTTP/1.1\nHost: x\r\n\r\n"},
		{"LF alone everywhere", "GET /x/ HTTP/1.1\nHost: x\n\n"},
		{"a bare LF between fields", post + "X-A: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"a bare CR in a value", post + "X-A: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"a bare CR before the end", get + "\r\r\n"},
		{"CR in a name", get + "X\rA: a\r\n\r\n"},
		{"a NUL in a value", get + "X-A: a\x00b\r\n\r\n"},
		{"a NUL in a name", get + "X\x00A: a\r\n\r\n"},
		{"a control character in a value", get + "X-A: a\x01b\r\n\r\n"},
		{"DEL in a value", get + "X-A: a\x7fb\r\n\r\n"},
		{"a field without a name", get + ": a\r\n\r\n"},
		{"a field without a colon", get + "X-A\r\n\r\n"},
		{"a space in a name", get + "X A: a\r\n\r\n"},
		{"bytes over 127 in a name", get + "X-\xe9: a\r\n\r\n"},
		{"two hosts", get + "Host: y\r\n\r\n"},
		{"two equal hosts", get + "Host: x\r\n\r\n"},
		{"no host", "GET /x/ HTTP/1.1\r\n\r\n"},
		{"a host with a path", "GET /x/ HTTP/1.1\r\nHost: x/y\r\n\r\n"},
		{"a host with a space", "GET /x/ HTTP/1.1\r\nHost: x y\r\n\r\n"},
		{"a host with a user", "GET /x/ HTTP/1.1\r\nHost: u@x\r\n\r\n"},
		// Request lines.
		{"PRI", "PRI * HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"a host and port for a target", "GET h:80 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"a fragment", "GET /x/#fragment HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"a space in the target", "GET /x/ y HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"two spaces", "GET  /x/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"a tab for a space", "GET\t/x/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"a space at the line's end", "GET /x/ HTTP/1.1 \r\nHost: x\r\n\r\n"},
		{"a control character in the target", "GET /x/\x01 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"a NUL in the target", "GET /x/\x00 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"a target that is no path", "GET x HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"an asterisk for GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"another scheme's target", "GET ftp:///x HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"an absolute target for another host", "GET http://a/x/ HTTP/1.1\r\nHost: b\r\n\r\n"},
		{"a user in the target", "GET http://u:p@x/x/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"CONNECT with a path", "CONNECT /x/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"CONNECT with a body", "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		// Bodies.
		{"a chunk size that is none", chunked + "zz\r\nhello\r\n0\r\n\r\n"},
		{"a chunk size with a sign", chunked + "+5\r\nhello\r\n0\r\n\r\n"},
		{"a chunk size with 0x", chunked + "0x5\r\nhello\r\n0\r\n\r\n"},
		{"a chunk size after a space", chunked + " 5\r\nhello\r\n0\r\n\r\n"},
		{"a chunk size before a space", chunked + "5 \r\nhello\r\n0\r\n\r\n"},
		{"no chunk size", chunked + "\r\nhello\r\n0\r\n\r\n"},
		{"a chunk size with an underscore", chunked + "1_0\r\nhello\r\n0\r\n\r\n"},
		{"a chunk size that overflows", chunked + "10000000000000005\r\nhello\r\n0\r\n\r\n"},
		{"a chunk that is longer than it says", chunked + "4\r\nhello\r\n0\r\n\r\n"},
		{"a chunk size with LF", chunked + "5\nhello\r\n0\r\n\r\n"},
		{"a chunk with LF", chunked + "5\r\nhello\n0\r\n\r\n"},
		{"a NUL in an extension", chunked + "5;a=\x00\r\nhello\r\n0\r\n\r\n"},
		{"LF in an extension", chunked + "5;a=b\nGET /\r\nhello\r\n0\r\n\r\n"},
		{"CR in an extension", chunked + "5;a=\rb\r\nhello\r\n0\r\n\r\n"},
		{"LF after the last chunk", chunked + "5\r\nhello\r\n0\n\r\n"},
		{"LF after a trailer", chunked + "5\r\nhello\r\n0\r\nX-T: 1\n\r\n"},
		{"LF for the end of trailers", chunked + "5\r\nhello\r\n0\r\nX-T: 1\r\n\n"},
		{"a folded trailer", chunked + "5\r\nhello\r\n0\r\nX-T: 1\r\n 2\r\n\r\n"},
		{"a length for a trailer", chunked + "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n"},
		{"a space before a trailer's colon", chunked + "5\r\nhello\r\n0\r\nX-T : 1\r\n\r\n"},
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					upstream := testbed.Record(t, testbed.Loopback(t))
					s := start(t, w, upstream.Addr)
					answer, end := exchange(t, s.addr, c.request)
					if err := refused(answer, end, 400, 501, 505); err != nil {
						t.Error(err)
					}
					if w.lane == proxy.LaneExchange && strings.HasPrefix(c.request, chunked) {
						unfinished(t, upstream) // the body is on its way when it turns out bad
						return
					}
					nothing(t, upstream)
				})
			}
		})
	}
}

// unfinished fails if a request came to a good end at the upstream.
func unfinished(t *testing.T, upstream *testbed.Recorder) {
	t.Helper()
	for _, got := range upstream.Received() {
		if _, body, _ := strings.Cut(string(got), "\r\n\r\n"); strings.Contains("\r\n"+body, "\r\n0\r\n") {
			t.Errorf("the upstream received %.200q", got)
		}
	}
}

// TestRefusalEndsTheConnection: what was pipelined behind a refused request is
// not read, whatever it is.
func TestRefusalEndsTheConnection(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			upstream := testbed.Record(t, testbed.Loopback(t))
			s := start(t, w, upstream.Addr)
			answer, end := exchange(t, s.addr, "GET /x/ HTTP/1.1\r\nHost: x\r\nX : 1\r\n\r\nGET /x/ HTTP/1.1\r\nHost: x\r\n\r\n"+strings.Repeat("x", 100_000))
			if err := refused(answer, end, 400); err != nil {
				t.Error(err)
			}
			if end != nil && !strings.Contains(answer, "\r\n\r\n") {
				t.Errorf("the answer was cut: %q, %v", answer, end)
			}
			if !strings.Contains(strings.ToLower(answer), "\r\nconnection: close\r\n") {
				t.Errorf("the answer does not say that it closes: %q", answer)
			}
			nothing(t, upstream)
		})
	}
}

// TestBodyThatTurnsBadIsAnAbort: what is found wrong after the head has gone
// ends both sides, and no answer is taken for a good one.
func TestBodyThatTurnsBadIsAnAbort(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			begun := make(chan struct{})
			got := make(chan string, 1)
			upstream := testbed.Script(t, testbed.Loopback(t), testbed.ExpectUntil("hello\r\n"),
				closing(begun), reading(got))
			s := start(t, w, upstream)
			conn := testbed.Dial(t, s.addr)
			err := testbed.Play(conn, testbed.Send("POST /x/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
				testbed.Await(begun), testbed.Send("zz\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"))
			if err != nil {
				t.Fatal(err)
			}
			answer, end := io.ReadAll(conn)
			if len(answer) > 0 {
				if err := refused(string(answer), end, 400); err != nil {
					t.Error(err)
				}
			}
			if rest := <-got; strings.Contains(rest, "smuggled") || strings.Contains(rest, "zz") || strings.HasSuffix(rest, "0\r\n\r\n") {
				t.Errorf("the upstream received %q", rest)
			}
		})
	}
}
