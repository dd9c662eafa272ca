package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// This file holds what the exchange lane may change in an HTTP/1.1 message that
// no rule touches. It is the list that the README gives; whatever is not named
// here arrives as it was sent.

// relayed sends request through a sidecar without rules, answers it with
// response, and returns the bytes that arrived at either end. The request is
// read by its framing; the response until the connection ends.
func relayed(t *testing.T, request, response string) (atUpstream, atCaller string) {
	t.Helper()
	testbed.Leaks(t)
	received := make(chan string, 1)
	upstream := testbed.Loopback(t)
	testbed.ServeConns(t, upstream, func(c *net.TCPConn) {
		got, err := testbed.ReadRawRequest(c)
		if err != nil {
			t.Errorf("upstream: %v", err)
		}
		received <- string(got)
		io.WriteString(c, response)
		if strings.Contains(response, "to the end") {
			return // close-delimited
		}
		io.Copy(io.Discard, c)
	})
	s := startSidecar(t, upstream.Addr().String(), nil, inLane(proxy.LaneExchange))
	c := testbed.Dial(t, s.addr)
	if err := testbed.Play(c, testbed.Send(request)); err != nil {
		t.Fatal(err)
	}
	atUpstream = <-received
	got, err := readRawResponse(c, strings.HasPrefix(request, "HEAD"))
	if err != nil {
		t.Errorf("caller: %v", err)
	}
	c.Close()
	return atUpstream, got
}

// inLane takes all HTTP through one lane.
func inLane(lane proxy.Lane) option { return func(c *proxy.Config) { c.Lane = lane } }

// readRawResponse returns the next response's bytes, interim ones included.
func readRawResponse(c net.Conn, head bool) (string, error) {
	var raw bytes.Buffer
	r := bufio.NewReaderSize(io.TeeReader(oneByte{c}, &raw), 16)
	for {
		req := &http.Request{Method: "GET"}
		if head {
			req.Method = "HEAD"
		}
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			return raw.String(), err
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return raw.String(), err
	}
}

type oneByte struct{ io.Reader }

func (r oneByte) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(1, len(b))]) }

// lines turns \n into the wire's line ends.
func lines(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

// sorted is a head with its fields by canonical name, as net/http writes them
// but for those that frame: Host, Content-Length, Transfer-Encoding, Trailer
// and Connection.
func sorted(head string) string {
	parts := strings.SplitAfterN(head, "\r\n", 2)
	fieldLines, rest, _ := strings.Cut(parts[1], "\r\n\r\n")
	fields := strings.Split(fieldLines, "\r\n")
	for i, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		fields[i] = textproto.CanonicalMIMEHeaderKey(name) + ": " + strings.TrimSpace(value)
	}
	slices.SortStableFunc(fields, func(a, b string) int {
		an, _, _ := strings.Cut(a, ":")
		bn, _, _ := strings.Cut(b, ":")
		return strings.Compare(an, bn)
	})
	return parts[0] + strings.Join(fields, "\r\n") + "\r\n\r\n" + rest
}

// TestOnlyAllowedDifferences gives messages as they are sent and as they
// arrive. Both sides are compared after their field names were made canonical
// and sorted, which is the first allowed difference. Each case shows one more;
// without arrives the message has none.
func TestOnlyAllowedDifferences(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"
	const get = "GET / HTTP/1.1\nHost: x\n\n"
	cases := []struct {
		name                   string
		request, arrives       string // at the upstream
		response, answerArrive string // at the caller
	}{
		{name: "none: names, repeats, empty values, cookies", request: "GET /a HTTP/1.1\nhost: Example.COM:99\nX-B: 1\nx-a: 2\nX-B: 3\nX-Empty:\ncookie: a=1; b=2\ncookie: c=3\naccept: */*\nuser-agent: u/1\naccept-encoding: br\n\n",
			response: "HTTP/1.1 200 OK\nset-cookie: a=1\nSet-Cookie: b=2\nX-Empty:\nserver: s\nvary: a\nvary: b\ncontent-length: 0\n\n"},
		{name: "none: no user agent, no accept, no date, no type are made up", request: get, response: ok},
		{name: "none: date and type as they came", request: get, response: "HTTP/1.1 200 OK\nDate: yesterday\nContent-Type: \nContent-Length: 2\n\nok"},
		{name: "none: forwarded fields", request: "GET / HTTP/1.1\nHost: x\nVia: 1.1 a\nX-Forwarded-For: 1.2.3.4\nForwarded: for=x\nTE: trailers\nProxy-Authorization: Basic eA==\n\n", response: ok},
		{name: "none: targets", request: "GET /a%2fb/%41//../c?a=1;b=2&c=%20+&d HTTP/1.1\nHost: x\n\n", response: ok},
		{name: "none: empty query", request: "GET /a? HTTP/1.1\nHost: x\n\n", response: ok},
		{name: "none: double slash", request: "GET //a//b?x HTTP/1.1\nHost: x\n\n", response: ok},
		{name: "none: unusual characters", request: "GET /a|b^c`d\"e<f>{g} HTTP/1.1\nHost: x\n\n", response: ok},
		{name: "none: absolute form", request: "GET http://x.example:80/a?b HTTP/1.1\nHost: x.example:80\n\n", response: ok},
		{name: "none: absolute form without path", request: "GET HTTPS://x.example HTTP/1.1\nHost: x.example\n\n", response: ok,
			arrives: "GET https://x.example HTTP/1.1\nHost: x.example\n\n"}, // scheme in lower case
		{name: "none: asterisk form", request: "OPTIONS * HTTP/1.1\nHost: x\n\n", response: "HTTP/1.1 200 OK\nAllow: GET\nContent-Length: 0\n\n"},
		{name: "none: unknown method", request: "BREW /pot HTTP/1.1\nHost: x\nContent-Length: 3\n\nmug", response: "HTTP/1.1 418 I'm a teapot\nContent-Length: 0\n\n"},
		{name: "none: request body", request: "POST / HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello", response: ok},
		{name: "none: empty request body", request: "POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n", response: ok},
		{name: "none: empty body of DELETE", request: "DELETE / HTTP/1.1\nHost: x\nContent-Length: 0\n\n", response: ok},
		{name: "none: body of GET", request: "GET / HTTP/1.1\nHost: x\nContent-Length: 2\n\nhi", response: ok},
		{name: "none: chunks", request: "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n",
			response: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"},
		{name: "none: declared trailers", request: "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nTrailer: X-T\n\n5\nhello\n0\nX-T: 1\n\n",
			response: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-T\n\n5\nhello\n0\nX-T: 1\n\n"},
		{name: "none: undeclared trailers", request: "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n5\nhello\n0\nX-T: 1\n\n",
			response: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\nX-T: 1\n\n"},
		{name: "none: trailers without data", request: "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nTrailer: X-T\n\n0\nX-T: 1\n\n",
			response: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-T\n\n0\nX-T: 1\n\n"},
		{name: "none: undeclared trailers without data", request: get,
			response: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\nX-T: 1\n\n"},
		{name: "none: HEAD", request: "HEAD / HTTP/1.1\nHost: x\n\n", response: "HTTP/1.1 200 OK\nContent-Length: 1234\nContent-Type: text/plain\n\n"},
		{name: "none: HEAD without a length", request: "HEAD / HTTP/1.1\nHost: x\n\n", response: "HTTP/1.1 200 OK\nX: 1\n\n"},
		{name: "none: 204", request: get, response: "HTTP/1.1 204 No Content\nX: 1\n\n"},
		{name: "none: 304", request: get, response: "HTTP/1.1 304 Not Modified\nEtag: \"a\"\n\n"},
		{name: "none: an empty chunked response", request: get, response: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n"},
		{name: "none: interim responses", request: get, response: "HTTP/1.1 103 Early Hints\nLink: </a>\nLink: </b>\n\nHTTP/1.1 102 Processing\n\n" + ok},
		{name: "none: connection close by the upstream", request: get, response: "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok"},
		{name: "none: range", request: "GET / HTTP/1.1\nHost: x\nRange: bytes=0-1\n\n", response: "HTTP/1.1 206 Partial Content\nContent-Range: bytes 0-1/9\nContent-Length: 2\n\nok"},

		{name: "white space around values", request: "GET / HTTP/1.1\nHost: x\nX-A:   1 \t\n\n", arrives: "GET / HTTP/1.1\nHost: x\nX-A: 1\n\n", response: ok},
		{name: "chunk borders and extensions", request: "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n05;x=y\nhello\n0\n\n",
			arrives:  "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n",
			response: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n005;x\nhello\n0\n\n", answerArrive: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"},
		{name: "POST without a body says so", request: "POST / HTTP/1.1\nHost: x\n\n", arrives: "POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n", response: ok},
		{name: "GET with an empty body says nothing", request: "GET / HTTP/1.1\nHost: x\nContent-Length: 0\n\n", arrives: get, response: ok},
		{name: "fields of this hop", request: "GET / HTTP/1.1\nHost: x\nConnection: keep-alive, x-hop\nKeep-Alive: timeout=5\nX-Hop: 1\nProxy-Connection: keep-alive\n\n", arrives: get,
			response: "HTTP/1.1 200 OK\nConnection: keep-alive\nKeep-Alive: timeout=5\nContent-Length: 2\n\nok", answerArrive: ok},
		{name: "connection close of the caller is answered here", request: "GET / HTTP/1.1\nHost: x\nConnection: close\n\n", arrives: get,
			response: ok, answerArrive: "HTTP/1.1 200 OK\nContent-Length: 2\nConnection: close\n\nok"},
		{name: "reason phrase", request: get, response: "HTTP/1.1 200 Splendid\nContent-Length: 0\n\n", answerArrive: "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
		{name: "a close-delimited response is chunked", request: get, response: "HTTP/1.1 200 OK\n\nto the end",
			answerArrive: "HTTP/1.1 200 OK\nConnection: close\nTransfer-Encoding: chunked\n\na\nto the end\n0\n\n"},
		{name: "HTTP/1.0 goes on as 1.1 and says so", request: "GET / HTTP/1.0\nHost: x\n\n", arrives: get, response: ok,
			answerArrive: "HTTP/1.0 200 OK\nContent-Length: 2\n\nok"},
		{name: "a response of HTTP/1.0 too", request: get, response: "HTTP/1.0 200 OK\nContent-Length: 2\n\nok", answerArrive: "HTTP/1.1 200 OK\nContent-Length: 2\nConnection: close\n\nok"},
		{name: "a 204 has no length", request: get, response: "HTTP/1.1 204 No Content\nContent-Length: 0\n\n", answerArrive: "HTTP/1.1 204 No Content\n\n"},
		{name: "a 304 has no length and no type", request: get, response: "HTTP/1.1 304 Not Modified\nContent-Length: 1234\nContent-Type: text/plain\nEtag: \"a\"\n\n",
			answerArrive: "HTTP/1.1 304 Not Modified\nEtag: \"a\"\n\n"},
		{name: "a double slash with unusual characters is escaped", request: "GET //a|b HTTP/1.1\nHost: x\n\n", arrives: "GET //a%7Cb HTTP/1.1\nHost: x\n\n", response: ok},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.arrives == "" {
				c.arrives = c.request
			}
			if c.answerArrive == "" {
				c.answerArrive = c.response
			}
			up, down := relayed(t, lines(c.request), lines(c.response))
			if got, want := sorted(up), sorted(lines(c.arrives)); got != want {
				t.Errorf("at the upstream: got %q\nwant %q", got, want)
			}
			if got, want := sortedAll(down), sortedAll(lines(c.answerArrive)); got != want {
				t.Errorf("at the caller: got %q\nwant %q", got, want)
			}
		})
	}
}

// sortedAll sorts each head of a run of responses.
func sortedAll(responses string) string {
	head, rest, ok := strings.Cut(responses, "\r\n\r\n")
	if !ok {
		return responses
	}
	out := head + "\r\n\r\n"
	if strings.Contains(head, "\r\n") {
		out = sorted(out)
	}
	if strings.HasPrefix(rest, "HTTP/1.1 ") {
		return out + sortedAll(rest)
	}
	return out + rest
}

func TestRefusedByTheFrontBeforeAnyRule(t *testing.T) {
	many := strings.Repeat("X-A: 1\r\n", 101)
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"over 100 fields":           {"GET / HTTP/1.1\r\nHost: x\r\n" + many + "\r\n", 431},
		"over 60 KiB":               {"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 65<<10) + "\r\n\r\n", 431},
		"a line over 8 KiB":         {"GET /" + strings.Repeat("a", 9<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
		"two lengths":               {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
		"a space before the colon":  {"GET / HTTP/1.1\r\nHost: x\r\nX-A : 1\r\n\r\n", 400},
		"another transfer encoding": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
	} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			upstream := testbed.Record(t, testbed.Loopback(t))
			s := startSidecar(t, upstream.Addr, nil)
			conn := testbed.Dial(t, s.addr)
			go io.WriteString(conn, c.request)
			got, _ := readRawResponse(conn, false)
			if want := fmt.Sprintf("HTTP/1.1 %d ", c.status); !strings.HasPrefix(got, want) {
				t.Errorf("got %.80q, want %s", got, want)
			}
			for _, b := range upstream.Received() {
				if len(b) > 0 {
					t.Errorf("the upstream got %.80q", b)
				}
			}
		})
	}
}
