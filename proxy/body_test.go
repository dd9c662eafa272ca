package proxy_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/xml"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// answering serves one response with these fields and that body, and counts
// nothing. The request's body is sent back where body is nil.
func answering(t *testing.T, body []byte, fields ...string) string {
	t.Helper()
	return startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		status := 200
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == "status" {
				fmt.Sscan(fields[i+1], &status)
				continue
			}
			w.Header().Add(fields[i], fields[i+1])
		}
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		w.Header().Set("X-Encoding", r.Header.Get("Content-Encoding"))
		sent := body
		if sent == nil {
			sent, _ = io.ReadAll(r.Body)
		}
		w.WriteHeader(status)
		w.Write(sent)
	})
}

func encoded(t *testing.T, coding string, plain string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	if first, last, ok := strings.Cut(coding, ", "); ok {
		return encoded(t, last, string(encoded(t, first, plain)))
	}
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, _ = zstd.NewWriter(&b)
	default:
		return []byte(plain)
	}
	io.WriteString(w, plain)
	w.Close()
	return b.Bytes()
}

func decoded(t *testing.T, coding string, data []byte) string {
	t.Helper()
	var r io.Reader = bytes.NewReader(data)
	var err error
	if first, last, ok := strings.Cut(coding, ", "); ok {
		return decoded(t, first, []byte(decoded(t, last, data)))
	}
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "deflate":
		r, err = zlib.NewReader(r)
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		r, err = zstd.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", coding, err)
	}
	return string(plain)
}

const dropSecret = `
route: r
request:
  - jq: if type == "object" then del(.secret) else . end
response:
  - jq: if type == "object" then del(.secret) else . end
`

func TestContentCodingsAreUndoneAndRedone(t *testing.T) {
	for _, coding := range []string{"identity", "gzip", "deflate", "br", "zstd", "gzip, br"} {
		t.Run(coding, func(t *testing.T) {
			testbed.Leaks(t)
			s := startSidecar(t, answering(t, nil, "Content-Type", "application/json", "Content-Encoding", coding), []string{dropSecret})
			c := testbed.Client(t, false, s.addr)
			plain := `{"a":1,"secret":"` + strings.Repeat("s", 3000) + `"}`
			r := testbed.Do(t, c, testbed.Request(t, "POST", "http://x/", string(encoded(t, coding, plain)), "Content-Type", "application/json", "Content-Encoding", coding))
			if got := decoded(t, coding, []byte(r.Text)); got != `{"a":1}` || r.Header.Get("Content-Encoding") != coding || r.Header.Get("X-Encoding") != coding {
				t.Errorf("got %q, %q", got, r.Header)
			}
			if want := fmt.Sprint(len(r.Text)); r.Header.Get("X-Length") != want {
				t.Errorf("the upstream was told %s bytes, want %s", r.Header.Get("X-Length"), want)
			}
			// Equal: the very bytes, with their own compression.
			same := encoded(t, coding, `{"b": [1.50, 2]}`)
			if r := testbed.Do(t, c, testbed.Request(t, "POST", "http://x/", string(same), "Content-Type", "application/json", "Content-Encoding", coding)); r.Text != string(same) {
				t.Errorf("an equal message changed: %q", r.Text)
			}
		})
	}
}

func TestHeadFollowsTheBody(t *testing.T) {
	testbed.Leaks(t)
	upstream := answering(t, []byte(`{"a":1,"secret":2}`), "Content-Type", "application/json", "ETag", `"strong"`, "Digest", "x", "Content-MD5", "x", "Content-Digest", "x", "Repr-Digest", "x", "X-Other", "x")
	s := startSidecar(t, upstream, []string{dropSecret})
	c := testbed.Client(t, false, s.addr)
	r := testbed.Get(t, c, "http://x/")
	h := r.Header
	if r.Text != `{"a":1}` || h.Get("Content-Length") != "7" || h.Get("ETag") != `W/"strong"` || h.Get("X-Other") != "x" {
		t.Errorf("got %q %q", r.Text, h)
	}
	for _, name := range []string{"Digest", "Content-Md5", "Content-Digest", "Repr-Digest"} {
		if _, ok := h[name]; ok {
			t.Errorf("%s vouches for other bytes", name)
		}
	}
	if r := testbed.Do(t, c, testbed.Request(t, "HEAD", "http://x/", "")); r.Header.Get("Content-Length") != "" || r.Header.Get("X-Other") != "x" {
		t.Errorf("HEAD: %q", r.Header)
	}
}

func TestBodiesThatAreLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		fields []string
	}{
		"html":        {`{"secret":1}`, []string{"Content-Type", "text/html"}},
		"no type":     {`{"secret":1}`, []string{"Content-Type", ""}},
		"a part":      {`{"secret":1}`, []string{"Content-Type", "application/json", "status", "206", "Content-Range", "bytes 0-11/99"}},
		"empty":       {"", []string{"Content-Type", "application/json"}},
		"nothing new": {`{ "a" : 1.0 }`, []string{"Content-Type", "application/json", "ETag", `"s"`, "Digest", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			s := startSidecar(t, answering(t, []byte(c.body), c.fields...), []string{dropSecret})
			r := testbed.Get(t, testbed.Client(t, false, s.addr), "http://x/")
			if r.Text != c.body || r.Err != nil || r.Header.Get("Content-Length") != fmt.Sprint(len(c.body)) {
				t.Errorf("got %q, %q, %v", r.Text, r.Header, r.Err)
			}
			for i := 0; i < len(c.fields); i += 2 {
				if got := r.Header.Get(c.fields[i]); c.fields[i] != "status" && got != c.fields[i+1] {
					t.Errorf("%s: got %q, want %q", c.fields[i], got, c.fields[i+1])
				}
			}
		})
	}
}

func TestBodyThatCannotBeRead(t *testing.T) {
	large := `{"secret":"` + strings.Repeat("s", 2<<20) + `"}`
	bomb := func(t *testing.T) string { return string(encoded(t, "gzip", strings.Repeat(" ", 20<<20)+"{}")) }
	for name, c := range map[string]struct {
		body     func(t *testing.T) string
		encoding string
		status   int
		reason   string
		response int // the status where it is the response's body
	}{
		"over the limit": {func(*testing.T) string { return large }, "", 413, "too_large", 502},
		"unknown coding": {func(*testing.T) string { return "zz" }, "lzma", 400, "content_encoding", 502},
		"two codings":    {func(*testing.T) string { return "zz" }, "gzip, br", 400, "content_encoding", 502},
		"broken coding":  {func(*testing.T) string { return "not gzip" }, "gzip", 400, "content_encoding", 502},
		"broken JSON":    {func(*testing.T) string { return `{"secret":` }, "", 400, "decode", 502},
		"a bomb":         {bomb, "gzip", 413, "too_large", 502},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s chunked=%v", name, chunked), func(t *testing.T) {
				testbed.Leaks(t)
				body := c.body(t)
				fields := []string{"Content-Type", "application/json", "Content-Encoding", c.encoding}
				ask := func(s *sidecar, body string) testbed.Response {
					req := testbed.Request(t, "POST", "http://x/", body, fields...)
					if chunked && body != "" {
						req.ContentLength = -1
					}
					return testbed.Do(t, testbed.Client(t, false, s.addr), req)
				}
				limits := "limits: {body: 1MiB}\n"
				s := startSidecar(t, answering(t, nil), []string{dropSecret + limits})
				if r := ask(s, body); r.StatusCode != c.status || r.Header.Get("X-Sluice-Error") != "r/request[0].jq; "+c.reason {
					t.Errorf("request rejected: got %d %q", r.StatusCode, r.Header)
				}
				s = startSidecar(t, answering(t, nil), []string{dropSecret + limits + "on_error: pass\n"})
				if r := ask(s, body); r.StatusCode != 200 || r.Text != body || r.Err != nil {
					t.Errorf("request passed: got %d, %d of %d bytes, %v", r.StatusCode, len(r.Text), len(body), r.Err)
				}
				s = startSidecar(t, answering(t, []byte(body), fields...), []string{dropSecret + limits})
				if r := ask(s, ""); r.StatusCode != c.response || r.Header.Get("X-Sluice-Error") != "r/response[0].jq; "+c.reason {
					t.Errorf("response rejected: got %d %q", r.StatusCode, r.Header)
				}
				s = startSidecar(t, answering(t, []byte(body), fields...), []string{dropSecret + limits + "on_error: pass\n"})
				if r := ask(s, ""); r.StatusCode != 200 || r.Text != body || r.Err != nil || r.Header.Get("Content-Encoding") != c.encoding {
					t.Errorf("response passed: got %d, %d of %d bytes, %v", r.StatusCode, len(r.Text), len(body), r.Err)
				}
			})
		}
	}
}

func TestEmptyBodyIsNull(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, answering(t, nil, "Content-Type", "application/json"), []string{"route: r\nrequest:\n  - head: .headers[\"x-null\"] = ($body == null | tostring)\n  - jq: 'if . == null then {made: true} else . end'\n"})
	r := testbed.Do(t, testbed.Client(t, false, s.addr), testbed.Request(t, "POST", "http://x/", "", "Content-Type", "application/json"))
	if r.Text != `{"made":true}` || r.Header.Get("X-Length") != "13" {
		t.Errorf("got %q %q", r.Text, r.Header)
	}
}

func TestHeadsAreEdited(t *testing.T) {
	testbed.Leaks(t)
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.WriteHeader(201)
		fmt.Fprintf(w, "%s %s %s %q", r.Method, r.RequestURI, r.Host, r.Header["X-New"])
	})
	s := startSidecar(t, upstream, []string{`
route: r
request:
  - head: |
      .method = "PUT" | .path = "/new/a%2fb" | .query.v = "2" | .host = "other:1" | .headers["x-new"] = ["1", "2"] | del(.headers["user-agent"])
response:
  - head: .status = 202 | .headers["set-cookie"] += ["c=3"] | .headers["x-made"] = "1"
`})
	for _, h2 := range []bool{false, true} {
		r := testbed.Get(t, testbed.Client(t, h2, s.addr), "http://x/old?v=1&w=%20;")
		if want := `PUT /new/a%2fb?v=2&w=%20; other:1 ["1" "2"]`; r.Text != want || r.StatusCode != 202 {
			t.Errorf("h2=%v: got %d %s\nwant %s", h2, r.StatusCode, r.Text, want)
		}
		if c := r.Header["Set-Cookie"]; len(c) != 3 || r.Header.Get("X-Made") != "1" {
			t.Errorf("h2=%v: got %q", h2, r.Header)
		}
	}
}

func TestRejectedResponseFreesItsConnection(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			testbed.Leaks(t)
			ended := make(chan struct{}, 10)
			upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				http.NewResponseController(w).Flush()
				<-r.Context().Done()
				ended <- struct{}{}
			})
			s := startSidecar(t, upstream, []string{"route: r\nresponse:\n  - when: .headers[\"x-ok\"] == null\n    head: .headers[\"x\"] = error(\"no\")\n"})
			c := testbed.Client(t, h2, s.addr)
			for range 3 {
				if r := testbed.Get(t, c, "http://x/"); r.StatusCode != 502 {
					t.Errorf("got %d %q", r.StatusCode, r.Header)
				}
				<-ended // the upstream need not go on answering
			}
		})
	}
}

// panicky is a codec that breaks.
type panicky struct{ codec.Codec }

func (panicky) Name() string { return "panicky" }

func (panicky) Decode([]byte, codec.Limits) (codec.Value, codec.Original, error) {
	panic("secret payload")
}

func TestPanicEndsOneExchangeOnly(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			testbed.Leaks(t)
			s := startSidecar(t, startHTTP(t, echoBody), []string{dropSecret}, func(c *proxy.Config) {
				c.Codecs = codec.NewRegistry(codec.Format{Codec: panicky{}, Types: []string{"application/x-panic"}})
			})
			c := testbed.Client(t, h2, s.addr)
			r := testbed.Do(t, c, testbed.Request(t, "POST", "http://x/", "{}", "Content-Type", "application/x-panic"))
			if r.StatusCode != 500 || r.Header.Get("X-Sluice-Error") != "r; panic" && !strings.HasSuffix(r.Header.Get("X-Sluice-Error"), "; panic") || strings.Contains(r.Text, "secret") {
				t.Errorf("got %d %q %s", r.StatusCode, r.Header, r.Text)
			}
			if r := testbed.Do(t, c, testbed.Request(t, "POST", "http://x/", "hello")); r.StatusCode != 200 || r.Text != "hello" {
				t.Errorf("the next: got %d %q", r.StatusCode, r.Text)
			}
			await(s, func(r *proxy.Record) bool { return r.Error != nil && r.Error.Reason == "panic" })
		})
	}
}

func TestBreakerReadsTheBody(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, answering(t, []byte(`{"errors":["x"],"n":1}`), "Content-Type", "application/json"), []string{`
route: r
upstream:
  breaker:
    failure: (.body.errors | length) > 0
    trip: .failures >= 1
    open: 1h
    fallback: {status: 203, headers: {x-stale: "1"}, body: {stale: true, secret: 1}}
response:
  - jq: del(.secret)
`})
	c := testbed.Client(t, false, s.addr)
	if r := testbed.Get(t, c, "http://x/"); r.Text != `{"errors":["x"],"n":1}` {
		t.Errorf("got %q", r.Text)
	}
	await(s, func(b *proxy.BreakerChange) bool { return b.To == "open" })
	r := testbed.Get(t, c, "http://x/")
	if r.StatusCode != 203 || r.Text != `{"stale":true}` || r.Header.Get("X-Stale") != "1" || r.ContentLength != 14 {
		t.Errorf("fallback: %d %q %q", r.StatusCode, r.Text, r.Header)
	}
}

// A fallback is in the format that its caller reads.
func TestFallbacksAreInTheFormatOfTheirCaller(t *testing.T) {
	testbed.Leaks(t)
	for _, test := range []struct{ headers, accept, contentType, want, as string }{
		{"", "", "", `{"order":{"id":"7"}}`, "application/json"},
		{"", "application/xml, */*;q=0.1", "", "<order><id>7</id></order>", "application/xml"},
		{"", "text/html, application/json;q=0.5, application/xml;q=0.9", "application/json", "<order><id>7</id></order>", "application/xml"},
		{"", "*/*", "application/xml", "<order><id>7</id></order>", "application/xml"},
		{"", "application/json", "application/xml", `{"order":{"id":"7"}}`, "application/json"},
		{"headers: {content-type: application/xml}, ", "application/json", "", "<order><id>7</id></order>", "application/xml"},
	} {
		for _, h2 := range []bool{false, true} {
			rule := "route: r\nupstream: {breaker: {trip: .failures >= 1, open: 1h, fallback: {status: 200, " + test.headers + "body: {order: {id: \"7\"}}}}}\n"
			s := startSidecar(t, testbed.Refused(t), []string{rule}, func(c *proxy.Config) {
				c.Codecs = codec.NewRegistry(codec.Format{Codec: json.Codec{}, Types: []string{"application/json"}}, codec.Format{Codec: xml.Codec{}, Types: []string{"application/xml"}})
			})
			c := testbed.Client(t, h2, s.addr)
			testbed.Get(t, c, "http://x/")
			await(s, func(b *proxy.BreakerChange) bool { return b.To == "open" })
			r := testbed.Request(t, "POST", "http://x/", "")
			for name, value := range map[string]string{"Accept": test.accept, "Content-Type": test.contentType} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			if got := testbed.Do(t, c, r); got.StatusCode != 200 || strings.TrimSpace(got.Text) != test.want || got.Header.Get("Content-Type") != test.as {
				t.Errorf("%+v, h2 %v: got %d %q %q", test, h2, got.StatusCode, got.Text, got.Header)
			}
		}
	}
}

func TestCallerCancelsWhileItsBodyIsRead(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, startHTTP(t, echoBody), []string{dropSecret})
	for _, h2 := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+s.addr+fmt.Sprintf("/%v", h2), r)
		req.Header.Set("Content-Type", "application/json")
		ended := make(chan struct{})
		c := client(t, h2)
		go func() { defer close(ended); c.Do(req) }()
		io.WriteString(w, `{"a":`)
		cancel()
		w.CloseWithError(context.Canceled) // net/http's client waits for its body
		<-ended
		if rec := s.record(fmt.Sprintf("/%v", h2)); rec.Error == nil || rec.Error.Origin != proxy.OriginCaller {
			t.Errorf("h2=%v: %v", h2, rec.Error)
		}
	}
}
