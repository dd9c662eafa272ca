package matrix

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
)

// format is a row of payload formats. A structured one has to decode to an
// object with the keys name, drop and big.
type format struct {
	name        string
	contentType string
	Codec       codec.Codec // nil: Sluice has none, and jq passes it over
	body        string
	bad         string // not of the format
	large       bool   // its body is not written into golden files
}

var formats = []format{
	{"json", "application/json", json.Codec{}, `{"name": "old", "big": 9007199254740993, "price": 1.50, "drop": [1, 2]}`, `{"name":`, false},
	{"json-large", "application/json", json.Codec{}, `{"name": "old", "big": 9007199254740993, "drop": true, "filling": "` + filling(100<<10) + `"}`, `{"name":`, true},
	{"text", "text/plain; charset=utf-8", nil, "plain words", "\xff\xfe", false},
}

// filling is text that hardly compresses.
func filling(n int) string {
	var b strings.Builder
	for x := uint32(1); b.Len() < n; x = x*1664525 + 1013904223 {
		fmt.Fprintf(&b, "%08x", x)
	}
	return b.String()
}

// encoding is a row of content codings.
type encoding struct {
	name   string // "" for none
	writer func(io.Writer) (io.WriteCloser, error)
	reader func(io.Reader) (io.Reader, error)
}

var encodings = []encoding{
	{},
	{"gzip",
		func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"deflate",
		func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil },
		func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }},
	{"br",
		func(w io.Writer) (io.WriteCloser, error) { return brotli.NewWriter(w), nil },
		func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil }},
	{"zstd",
		func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) },
		func(r io.Reader) (io.Reader, error) {
			d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
			if err != nil {
				return nil, err
			}
			return d.IOReadCloser(), nil
		}},
	{name: "x-odd"}, // nobody knows it: the bytes are those of the format
}

func (e encoding) String() string {
	if e.name == "" {
		return "identity"
	}
	return e.name
}

// encoded holds what encode made: a row's body is sent many times.
var encoded sync.Map // of []byte by encoding and text

func (e encoding) encode(t testing.TB, text string) []byte {
	t.Helper()
	if e.writer == nil {
		return []byte(text)
	}
	key := [2]string{e.name, text}
	if wire, ok := encoded.Load(key); ok {
		return wire.([]byte)
	}
	var b bytes.Buffer
	w, err := e.writer(&b)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatalf("encode %s: %v", e, err)
	}
	encoded.Store(key, b.Bytes())
	return b.Bytes()
}

// plainOf undoes the content coding called name.
func plainOf(name string, wire []byte) (string, error) {
	for _, e := range encodings {
		if e.name != name || e.reader == nil {
			continue
		}
		r, err := e.reader(bytes.NewReader(wire))
		if err != nil {
			return "", err
		}
		b, err := io.ReadAll(r)
		if closer, ok := r.(io.Closer); ok {
			err = errors.Join(err, closer.Close())
		}
		return string(b), err
	}
	return string(wire), nil
}

// framing is a row of how a body's end is told.
type framing struct {
	name     string
	length   bool // by a Content-Length
	trailers bool
	close    bool // a response's by the end of the connection; HTTP/1 only
}

var framings = []framing{
	{name: "length", length: true},
	{name: "open"}, // chunked in HTTP/1, by the stream's end in HTTP/2
	{name: "trailers", trailers: true},
	{name: "close", close: true},
}

// httpAction is a row of what a rule does, and of what happens around it. The
// zero row is a POST that an upstream answers with 200, both with the row's
// body and the fields of request and response below.
type httpAction struct {
	name  string
	rule  string // the route's file but for its match; "" for no route
	where string // a condition of the match
	place place
	reads bool // it matters how a body is formatted and encoded: runs over all formats and encodings

	method   string            // POST
	target   string            // below /NAME; "/item?v=1"
	request  map[string]string // further fields
	badBody  bool              // the request's body is not of its format
	answer   scriptedAnswer
	priming  int  // exchanges before, answered with 500
	bodiless bool // the request has no body
}

// scriptedAnswer is what the upstream does, beside sending the row's body.
type scriptedAnswer struct {
	status   int               // 200
	fields   map[string]string // further ones
	bad      bool              // the body is not of its format
	interim  bool              // 103 comes first
	bodiless bool
	reset    bool // instead of an answer
	cut      bool // in the middle of the body
}

const (
	rewriteRequest  = "request:\n  - jq: .name = \"new\" | .added = [.big] | del(.drop)\n"
	rewriteResponse = "response:\n  - jq: .name = \"newer\" | .added = $request.path | del(.drop)\n"
	headRequest     = "request:\n  - head: .headers[\"x-added\"] = \"1\" | .headers[\"x-many\"] = [\"a\", \"b, c\"] | del(.headers[\"x-secret\"]) | .query.v = \"2\" | .query.w = \"new one\"\n"
	headResponse    = "response:\n  - head: .status = 202 | .headers[\"x-added\"] = \"1\" | .headers[\"set-cookie\"] += [\"c=3\"] | del(.headers[\"x-up\"])\n"
	trailersAdd     = "trailers:\n  - jq: .[\"x-cost\"] = \"7\"\n"
	failing         = "error(\"no\")"
	trippedAtOnce   = "  breaker:\n    trip: .failures >= 1\n    open: 1h\n"
	neverTripped    = "  breaker:\n    trip: .failures >= 1000\n"
	fallback        = "    fallback: {status: 203, headers: {x-fallback: [\"1\"]}, body: {name: stale, drop: 1, big: 9007199254740993}}\n"
)

var httpActions = []httpAction{
	// What no rule touches.
	{name: "pass", place: noRules, reads: true},
	{name: "beside-rules", reads: true},
	{name: "pass-get", place: noRules, method: "GET", bodiless: true},
	{name: "beside-get", method: "GET", bodiless: true},
	{name: "off", rule: "mode: off\n" + rewriteRequest},
	{name: "where-false", where: `.headers["x-req"] == "no"`, rule: rewriteRequest},

	// Heads.
	{name: "head-request", rule: headRequest},
	{name: "head-response", rule: headResponse},
	{name: "head-both", rule: headRequest + headResponse, method: "GET", bodiless: true},
	{name: "head-moves", rule: "request:\n  - head: .path = \"/moved/%20a\" | .query = {}\n"},
	{name: "head-bad", rule: "request:\n  - head: .path = \"/moved/a b\"\n"},
	{name: "head-host", rule: "request:\n  - head: .host = \"other.example:99\"\n"},
	{name: "head-method", rule: "request:\n  - head: .method = \"PUT\"\n"},
	{name: "head-reads-body", reads: true, rule: "request:\n  - head: .headers[\"x-name\"] = ($body.name | tostring)\nresponse:\n  - head: .headers[\"x-name\"] = ($body.name | tostring)\n"},

	// Bodies.
	{name: "jq-request", rule: rewriteRequest, reads: true},
	{name: "jq-response", rule: rewriteResponse, reads: true},
	{name: "jq-both", rule: rewriteRequest + rewriteResponse, reads: true},
	{name: "jq-and-head", rule: rewriteRequest + "  - head: .headers[\"x-name\"] = ($body.name | tostring)\n" + rewriteResponse + "  - head: .status = 201\n", reads: true},
	{name: "jq-same", rule: "request:\n  - jq: .\nresponse:\n  - jq: .\n", reads: true},
	{name: "jq-when", rule: "request:\n  - when: $request.headers[\"x-req\"] == \"no\"\n    jq: .name = \"new\"\nresponse:\n  - when: $response.status == 200\n    jq: .status = $response.status\n", reads: true},
	{name: "jq-null", rule: "request:\n  - jq: .\nresponse:\n  - jq: .\n", bodiless: true, answer: scriptedAnswer{bodiless: true}},

	// Refusals.
	{name: "reject-by-head", rule: "request:\n  - when: $request.headers[\"x-secret\"] == \"s\"\n    reject: {status: 401, message: not you}\n"},
	{name: "reject-get", rule: "request:\n  - reject: {status: 410}\n", method: "GET", bodiless: true},
	{name: "reject-by-body", rule: "request:\n  - when: .name == \"old\"\n    reject: {status: 422, message: too old}\n", reads: true},
	{name: "reject-response", rule: "response:\n  - when: $response.headers[\"x-up\"] != null\n    reject: {status: 451}\n"},
	{name: "reject-response-by-body", rule: "response:\n  - when: .name == \"old\"\n    reject: {grpc: UNAVAILABLE, message: old news}\n", reads: true},

	// Steps that fail.
	{name: "bad-request", rule: rewriteRequest, reads: true, badBody: true},
	{name: "bad-request-pass", rule: "on_error: pass\n" + rewriteRequest, reads: true, badBody: true},
	{name: "bad-response", rule: rewriteResponse, reads: true, answer: scriptedAnswer{bad: true}},
	{name: "bad-response-pass", rule: "on_error: pass\n" + rewriteResponse, reads: true, answer: scriptedAnswer{bad: true}},
	{name: "error-request", rule: "request:\n  - jq: " + failing + "\n", reads: true},
	{name: "error-request-pass", rule: "on_error: pass\nrequest:\n  - head: .headers[\"x-kept\"] = \"1\"\n  - jq: " + failing + "\n", reads: true},
	{name: "error-response", rule: "response:\n  - jq: " + failing + "\n", reads: true},
	{name: "error-response-pass", rule: "on_error: pass\nresponse:\n  - jq: " + failing + "\n", reads: true},
	{name: "error-head", rule: "request:\n  - head: .status = 1\n"},
	{name: "error-head-pass", rule: "on_error: pass\nresponse:\n  - head: .status = 42\n"},
	{name: "error-where", where: failing, rule: rewriteRequest},
	{name: "error-where-pass", where: failing, rule: "on_error: pass\n" + rewriteRequest},
	{name: "no-result", rule: "request:\n  - jq: empty\n"},
	{name: "many-results", rule: "response:\n  - jq: ., .\n"},
	{name: "too-large-request", rule: "limits: {body: 5B}\n" + rewriteRequest, reads: true},
	{name: "too-large-request-pass", rule: "on_error: pass\nlimits: {body: 5B}\n" + rewriteRequest, reads: true},
	{name: "too-large-response", rule: "limits: {body: 5B}\n" + rewriteResponse, reads: true},
	{name: "too-large-response-pass", rule: "on_error: pass\nlimits: {body: 5B}\n" + rewriteResponse, reads: true},
	{name: "ambiguous", rule: "request:\n  - when: .name == \"x\"\n    reject: {status: 403}\n", target: "/a%2fb"},

	// Breakers.
	{name: "breaker-closed", rule: "upstream:\n" + neverTripped + rewriteResponse},
	{name: "breaker-open", rule: "upstream:\n" + trippedAtOnce, priming: 1},
	{name: "breaker-fallback", rule: "upstream:\n" + trippedAtOnce + fallback + rewriteResponse, priming: 1},
	{name: "breaker-fallback-get", rule: "upstream:\n" + trippedAtOnce + fallback, priming: 1, method: "GET", bodiless: true},
	{name: "breaker-by-body", rule: "upstream:\n  breaker:\n    failure: .body.name == \"old\"\n    trip: .failures >= 1\n    open: 1h\n", priming: 1, reads: true},

	// Trailers.
	{name: "trailers-add", rule: trailersAdd},
	{name: "trailers-add-jq", rule: rewriteResponse + trailersAdd, reads: true},
	{name: "trailers-same", rule: "trailers:\n  - jq: .\n"},
	{name: "trailers-edit", rule: "trailers:\n  - when: .[\"x-sum\"] != null\n    jq: .[\"x-sum\"] += \"\\($response.status)\" | .[\"x-more\"] = [\"1\", \"2\"]\n"},
	{name: "trailers-remove", rule: "trailers:\n  - jq: del(.[\"x-sum\"])\n"},
	{name: "trailers-forbidden", rule: "trailers:\n  - jq: .[\"content-length\"] = \"7\"\n"},
	{name: "trailers-forbidden-pass", rule: "on_error: pass\ntrailers:\n  - jq: .[\"content-length\"] = \"7\"\n"},
	{name: "trailers-HEAD", rule: trailersAdd, method: "HEAD", bodiless: true},
	{name: "trailers-204", rule: trailersAdd, answer: scriptedAnswer{status: 204, bodiless: true}},
	{name: "trailers-empty", rule: trailersAdd, answer: scriptedAnswer{bodiless: true}},
	{name: "trailers-fallback", rule: "upstream:\n" + trippedAtOnce + fallback + trailersAdd, priming: 1},
	{name: "trailers-reject", rule: "response:\n  - reject: {status: 451}\n" + trailersAdd},
	{name: "trailers-cut", rule: trailersAdd, answer: scriptedAnswer{cut: true}},

	// Upstreams that fail.
	{name: "refused-no-rules", place: refusedNoRules},
	{name: "refused-beside", place: refused},
	{name: "refused-head", place: refused, rule: headRequest},
	{name: "refused-breaker", place: refused, rule: "upstream:\n" + neverTripped},
	{name: "refused-fallback", place: refused, rule: "upstream:\n" + trippedAtOnce + fallback, priming: 1},
	{name: "refused-reject", place: refused, rule: "request:\n  - reject: {status: 418}\n"},
	{name: "reset-no-rules", place: noRules, answer: scriptedAnswer{reset: true}},
	{name: "reset", rule: headRequest, answer: scriptedAnswer{reset: true}},
	{name: "cut-no-rules", place: noRules, answer: scriptedAnswer{cut: true}},
	{name: "cut", rule: headResponse, answer: scriptedAnswer{cut: true}},
	{name: "cut-jq", rule: rewriteResponse, answer: scriptedAnswer{cut: true}},

	// Odd answers.
	{name: "status-500", rule: rewriteResponse, answer: scriptedAnswer{status: 500}},
	{name: "status-204", rule: rewriteResponse, answer: scriptedAnswer{status: 204, bodiless: true}},
	{name: "status-304", rule: rewriteResponse, method: "GET", bodiless: true, answer: scriptedAnswer{status: 304, bodiless: true}},
	{name: "partial", rule: rewriteResponse, answer: scriptedAnswer{status: 206, fields: map[string]string{"content-range": "bytes 0-9/99"}}, reads: true},
	{name: "HEAD", rule: rewriteResponse, method: "HEAD", bodiless: true},
	{name: "HEAD-pass", place: noRules, method: "HEAD", bodiless: true},
	{name: "interim", rule: headResponse, answer: scriptedAnswer{interim: true}},
	{name: "interim-no-rules", place: noRules, answer: scriptedAnswer{interim: true}},
	{name: "digests", rule: rewriteResponse, answer: scriptedAnswer{fields: map[string]string{"etag": `"e1"`, "digest": "sha-256=x", "content-md5": "x", "repr-digest": "sha-256=:x:"}}},
	{name: "digests-pass", rule: "response:\n  - jq: .\n", answer: scriptedAnswer{fields: map[string]string{"etag": `"e1"`, "digest": "sha-256=x", "content-md5": "x"}}},
	{name: "expect", place: noRules, request: map[string]string{"expect": "100-continue"}},
	{name: "expect-jq", rule: rewriteRequest, request: map[string]string{"expect": "100-continue"}},
	{name: "expect-reject", rule: "request:\n  - when: $request.headers[\"x-secret\"] == \"s\"\n    reject: {status: 401}\n", request: map[string]string{"expect": "100-continue"}},
}
