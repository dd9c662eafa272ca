package proxy_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

const feedRule = `
route: feed
match: {http: /feed}
request:
  - jq: 'if .op == "drop" then empty elif .op == "two" then {n: 1}, {n: 2} else .seen = $message.index end'
  - when: .op == "bad"
    reject: {status: 403, message: not here}
response:
  - head: .headers["x-any"] = "1"
  - jq: '(.data? // .) |= (if type == "object" then del(.secret) else . end)'
`

// feed is a service that says what it was asked to say: in pieces, the type, and
// how it is framed. What it was sent it tells in a trailer-less echo.
func feed(contentType string, gate chan struct{}, pieces ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		if r.URL.Query().Has("sized") {
			w.Header().Set("Content-Length", fmt.Sprint(len(strings.Join(pieces, ""))))
		}
		for i, piece := range pieces {
			if i > 0 && gate != nil {
				<-gate
			}
			io.WriteString(w, piece)
			w.(http.Flusher).Flush()
		}
	})
}

func TestMessagesOfAResponseMeetTheStepsOfTheirRoute(t *testing.T) {
	for _, version := range []bool{false, true} {
		for _, test := range []struct {
			name, contentType string
			pieces            []string
			want              string
			messages          int
		}{
			{
				"sse", "text/event-stream", []string{": hello\n\n", "event: a\nid: 1\ndata: {\"a\": 1.10, \"sec", "ret\": 2}\n\ndata: text\n", "\nretry: 5\ndata: {}\n\n"},
				": hello\n\nevent: a\nid: 1\ndata: {\"a\": 1.10}\n\ndata: text\n\nretry: 5\ndata: {}\n\n", 3,
			},
			{
				"ndjson", "application/x-ndjson", []string{"{\"secret\":1,\"a\":1}\n\n", "  {\"b\" : 2}\r\n", "{\"secret\":3}"},
				"{\"a\":1}\n\n  {\"b\" : 2}\r\n{}", 3,
			},
			{"json sequence", "application/json-seq", []string{"\x1e{\"secret\":1}\n\x1e", "{\"b\":1}\n"}, "\x1e{}\n\x1e{\"b\":1}\n", 2},
		} {
			for _, query := range []string{"", "?sized"} {
				t.Run(fmt.Sprintf("%s h2 %v%s", test.name, version, query), func(t *testing.T) {
					testbed.Leaks(t)
					s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), feed(test.contentType, nil, test.pieces...)), []string{feedRule})
					got := testbed.Get(t, testbed.Client(t, version, s.addr), "http://x/feed"+query)
					if got.Text != test.want || got.Header.Get("X-Any") != "1" || got.Header.Get("Content-Length") != "" {
						t.Errorf("got %q, %v", got.Text, got.Header)
					}
					r := s.record("/feed")
					if r.Error != nil || r.Response.MessageCount != test.messages || string(r.Response.Body.Bytes) != strings.Join(test.pieces, "") {
						t.Errorf("record: %+v", r)
					}
					if m := await(s, func(m *proxy.Message) bool { return m.Index == 0 }); !m.Upstream || m.Route != "feed" {
						t.Errorf("message: %+v", m)
					}
				})
			}
		}
	}
}

// Each message leaves as soon as it is whole.
func TestMessagesPassLive(t *testing.T) {
	for _, version := range []bool{false, true} {
		testbed.Leaks(t)
		gate := make(chan struct{})
		s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), feed("text/event-stream", gate, "data: {\"secret\":1}\n\n", "data: {\"b\":1}\n\n", "data: {\"c\":1}\n\n")), []string{feedRule})
		resp, err := testbed.Client(t, version, s.addr).Do(testbed.Request(t, "GET", "http://x/feed", ""))
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"data: {}\n\n", "data: {\"b\":1}\n\n", "data: {\"c\":1}\n\n"} {
			if i > 0 {
				gate <- struct{}{}
			}
			b := make([]byte, len(want))
			if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != want {
				t.Fatalf("h2 %v: got %q, %v, want %q", version, b, err, want)
			}
		}
		resp.Body.Close()
	}
}

func TestCompressedMessagesMeetTheSteps(t *testing.T) {
	testbed.Leaks(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, "data: {\"secret\":1}\n\n")
	z.Flush()
	first := packed.String()
	packed.Reset()
	io.WriteString(z, "data: {\"b\":1}\n\n")
	z.Close()
	gate := make(chan struct{})
	upstream := feed("text/event-stream", gate, first, packed.String())
	s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("ETag", `"x"`)
		upstream.ServeHTTP(w, r)
	})), []string{feedRule})
	resp, err := testbed.Client(t, false, s.addr).Do(testbed.Request(t, "GET", "http://x/feed", "", "Accept-Encoding", "gzip"))
	if err != nil || resp.Header.Get("Content-Encoding") != "gzip" || resp.Header.Get("ETag") != `W/"x"` {
		t.Fatalf("got %v, %v", resp, err)
	}
	defer resp.Body.Close()
	unzip, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len("data: {}\n\n"))
	if _, err := io.ReadFull(unzip, b); err != nil || string(b) != "data: {}\n\n" {
		t.Fatalf("got %q, %v", b, err)
	}
	gate <- struct{}{}
	if rest, err := io.ReadAll(unzip); err != nil || string(rest) != "data: {\"b\":1}\n\n" {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestMessagesOfARequestMeetTheStepsOfTheirRoute(t *testing.T) {
	for _, version := range []bool{false, true} {
		for _, sized := range []bool{true, false} {
			t.Run(fmt.Sprintf("h2 %v sized %v", version, sized), func(t *testing.T) {
				testbed.Leaks(t)
				s := startSidecar(t, testbed.Echo(t, testbed.Loopback(t)), []string{feedRule})
				r := testbed.Request(t, "POST", "http://x/feed", "{\"op\":\"hi\"}\n{\"op\":\"drop\"}\n\n{\"op\":\"two\"}\n", "Content-Type", "application/x-ndjson")
				if !sized {
					r.ContentLength = -1
				}
				seen := testbed.Echoed(t, testbed.Do(t, testbed.Client(t, version, s.addr), r))
				if want := "{\"op\":\"hi\",\"seen\":0}\n\n{\"n\":1}\n{\"n\":2}\n"; string(seen.Body) != want {
					t.Errorf("got %q, want %q", seen.Body, want)
				}
				if r := s.record("/feed"); r.Error != nil || r.Request.MessageCount != 3 {
					t.Errorf("record: %+v", r)
				}
			})
		}
	}
}

func TestARefusedMessageOfARequestIsAnswered(t *testing.T) {
	for _, version := range []bool{false, true} {
		for _, test := range []struct {
			name, body string
			status     int
			is         func(r *proxy.Record) bool
		}{
			{"rejected at once", "{\"op\":\"bad\"}\n", 403, func(r *proxy.Record) bool { return r.Answered == "reject" }},
			{"rejected later", "{\"op\":\"hi\"}\n{\"op\":\"bad\"}\n", 403, func(r *proxy.Record) bool { return r.Answered == "reject" }},
			{"no json", "{\"op\":\n", 400, func(r *proxy.Record) bool { return r.Error.Reason == string(rules.ReasonDecode) }},
			{"fails", "[]\n", 502, func(r *proxy.Record) bool { return r.Error.Reason == string(rules.ReasonRuntime) }},
		} {
			t.Run(fmt.Sprintf("%s h2 %v", test.name, version), func(t *testing.T) {
				testbed.Leaks(t)
				s := startSidecar(t, testbed.Echo(t, testbed.Loopback(t)), []string{feedRule})
				got := testbed.Do(t, testbed.Client(t, version, s.addr), testbed.Request(t, "POST", "http://x/feed", test.body, "Content-Type", "application/x-ndjson"))
				if got.StatusCode != test.status {
					t.Errorf("got %d %q", got.StatusCode, got.Text)
				}
				if r := s.record("/feed"); !test.is(r) {
					t.Errorf("record: %+v, %v", r, r.Error)
				}
			})
		}
	}
}

// A response that has begun can only be aborted.
func TestARefusedMessageOfAResponseAbortsIt(t *testing.T) {
	rule := "route: feed\nmatch: {http: /feed}\nlimits: {message: 1KiB}\nresponse: [{jq: .a.b = 1}]\n"
	for _, version := range []bool{false, true} {
		for name, bad := range map[string]string{"a step fails": "data: {\"a\":1}\n\n", "too large": "data: " + strings.Repeat("x", 5000)} {
			for _, onError := range []string{"reject", "pass"} {
				t.Run(fmt.Sprintf("%s h2 %v %s", name, version, onError), func(t *testing.T) {
					testbed.Leaks(t)
					gate := make(chan struct{}, 1)
					s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), feed("text/event-stream", gate, ": hello\n\n", bad)), []string{rule + "on_error: " + onError + "\n"})
					resp, err := testbed.Client(t, version, s.addr).Do(testbed.Request(t, "GET", "http://x/feed", ""))
					if err != nil {
						t.Fatal(err)
					}
					gate <- struct{}{}
					got, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if onError == "reject" && (err == nil || string(got) != ": hello\n\n") || onError == "pass" && (err != nil || string(got) != ": hello\n\n"+bad) {
						t.Errorf("got %.60q, %v", got, err)
					}
					if r := s.record("/feed"); r.Error == nil || r.Error.Origin != proxy.OriginRule {
						t.Errorf("record: %+v, %v", r, r.Error)
					}
				})
			}
		}
	}
}

// A head step that names $body waits for the first message.
func TestAHeadOfMessagesWaitsForTheFirst(t *testing.T) {
	rule := "route: feed\nmatch: {http: /feed}\nresponse: [{head: '.headers[\"x-a\"] = $body.data.a'}, {jq: .data.b = 1}]\n"
	for _, version := range []bool{false, true} {
		testbed.Leaks(t)
		s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), feed("text/event-stream", nil, ": hello\n\n", "data: {\"a\":\"x\"}\n\n", "data: {}\n\n")), []string{rule})
		got := testbed.Get(t, testbed.Client(t, version, s.addr), "http://x/feed")
		if want := ": hello\n\ndata: {\"a\":\"x\",\"b\":1}\n\ndata: {\"b\":1}\n\n"; got.Header.Get("X-A") != "x" || got.Text != want {
			t.Errorf("h2 %v: got %q, %v", version, got.Text, got.Header)
		}
	}
}
