package tap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	sluicejson "github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// everyEvent is one of each kind.
func everyEvent() []proxy.Event {
	failed := plainExchange("x2", noon)
	failed.Route, failed.Status, failed.Answered, failed.Attempts = "pay", 503, "breaker", 0
	failed.Breaker = "pay@pay:80"
	failed.Response = proxy.Half{Out: &rules.Head{Status: 503}, Sent: textPayload("open\n", nil)}
	failed.Error = &proxy.Error{Origin: proxy.OriginUpstream, Reason: "refused", Route: "pay", Err: errors.New("connection refused")}

	grpc := plainExchange("x3", noon)
	grpc.Protocol, grpc.GRPCStatus, grpc.Call.Direction = proxy.GRPC, "OK", rules.Outbound
	grpc.Call.Service, grpc.Call.Method = "shop.v1.Orders", "Create"
	grpc.Response.Trailers = rules.Fields{{Name: "grpc-status", Value: "0"}, {Name: "authorization", Value: "s3cret"}}

	return []proxy.Event{
		edited(), failed, grpc,
		&proxy.Message{
			Exchange: "x3", Route: "r", Call: grpc.Call, Upstream: true, Index: 4, At: noon, Edited: true,
			In:    textPayload(`{"n":1}`, sluicejson.Codec{}),
			Out:   []proxy.Payload{textPayload(`{"n":2}`, sluicejson.Codec{})},
			Steps: []rules.StepReport{{Step: "response[0].jq", Result: "ran", Body: map[string]any{"n": 2}, Count: 1}},
		},
		&proxy.ConnOpened{Conn: *conn()},
		&proxy.ConnClosed{
			Conn: *conn(), Protocol: proxy.TLS, Lane: proxy.LaneSplice, SNI: "example.org", ALPN: []string{"h2"},
			Duration: 2 * time.Second, Sent: 100, Received: 2000,
			Error: &proxy.Error{Origin: proxy.OriginCaller, Reason: "reset"},
		},
		&proxy.BreakerChange{Name: "pay@pay:80", From: "closed", To: "open", At: noon, Counts: rules.Counts{Requests: 20, Failures: 11, Successes: 9}},
		&proxy.Reload{At: noon, Generation: 2, Hash: "abc", Read: "abc", Routes: 3, Live: true},
		&proxy.Reload{At: noon, Generation: 2, Hash: "abc", Read: "abd", Routes: 3, Problems: []rules.Problem{{
			Position: rules.Position{File: "rules/a.yaml", Line: 3, Column: 5}, Code: "unknown-key", Message: "respnse: unknown key", Hint: "did you mean response?",
		}}},
		&proxy.Reload{At: noon, Generation: 2, Hash: "abc", Routes: 3, Err: errors.New("read rules: permission denied")},
	}
}

func everyLine(t *testing.T) [][]byte {
	t.Helper()
	tap := New(Config{})
	for _, e := range everyEvent() {
		tap.Observe(e)
	}
	var lines [][]byte
	for _, text := range readAll(t, tap, "").events {
		lines = append(lines, []byte(text))
	}
	return append(lines, []byte(`{"type":"dropped","count":7}`), []byte(`{"type":"where_error","error":"cannot iterate over: null"}`))
}

func TestTheFormOfEveryEvent(t *testing.T) {
	var all bytes.Buffer
	for _, line := range everyLine(t) {
		if err := json.Indent(&all, line, "", "  "); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all.WriteByte('\n')
	}
	if strings.Contains(all.String(), "s3cret") || strings.Contains(all.String(), "k3y") {
		t.Error("a secret is shown")
	}
	golden(t, "events.golden", all.Bytes())
}

func TestTheLineOfEveryEvent(t *testing.T) {
	var plain, colour strings.Builder
	for _, line := range everyLine(t) {
		plain.WriteString(Line(line, Style{}) + "\n")
		colour.WriteString(Line(line, Style{Colour: true}) + "\n")
	}
	golden(t, "lines.golden", []byte(plain.String()))
	golden(t, "lines_colour.golden", []byte(colour.String()))
}

func TestLineLetsNoControlCharacterThrough(t *testing.T) {
	e := plainExchange("x", noon)
	e.Call.Head = &rules.Head{Method: "GET", Path: "/\x1b[2J\r\n\u202e", Host: "h\x07"}
	tap := New(Config{})
	tap.Observe(e)
	for _, text := range append(readAll(t, tap, "").events, "no json \x1b[2J", `{"type":"new","x":"\u001b"}`) {
		if got := Line([]byte(text), Style{}); strings.ContainsAny(got, "\x1b\r\n\x07\u202e") {
			t.Errorf("got %q", got)
		}
	}
}

func TestSecretsCannotBeAskedForByWhere(t *testing.T) {
	tap := New(Config{Redact: []string{"X-Mine"}})
	e := plainExchange("x", noon)
	e.Request.In.Fields = rules.Fields{{Name: "Cookie", Value: "a"}, {Name: "cookie", Value: "b"}, {Name: "X-mine", Value: "m"}}
	tap.Observe(e)
	q := `where=.request.headers|.cookie=="[redacted]" and .["x-mine"]=="[redacted]"`
	if got := ids(t, readAll(t, tap, q)); len(got) != 1 {
		t.Errorf("got %v, want both redacted", got)
	}
}

// fieldCodec stands for a protobuf codec: it reads {"1": <bytes>}.
type fieldCodec struct{ name string }

func (c fieldCodec) Name() string { return "grpc" }
func (c fieldCodec) Decode(data []byte, _ codec.Limits) (codec.Value, codec.Original, error) {
	return map[string]any{c.name: string(data)}, nil, nil
}
func (c fieldCodec) Encode(codec.Original, codec.Value) ([]byte, error) { panic("never called") }

func TestBodies(t *testing.T) {
	two := append(frame(0, []byte("a")), frame(1, gzipped(t, []byte("b")))...)
	tests := []struct {
		name    string
		media   string
		grpcEnc string
		body    proxy.Payload
		service string
		want    string
	}{
		{"none", "", "", proxy.Payload{}, "", `{"size":0}`},
		{"JSON keeps order and spelling", "application/json", "", textPayload(" {\"b\": 1.0,\n\"a\":\"<\"}", nil), "", `{"body":{"b":1.0,"a":"<"},"format":"json","size":20}`},
		{"broken JSON is text", "application/json", "", textPayload(`{"a":`, sluicejson.Codec{}), "", `{"body":"{\"a\":","format":"text","size":5}`},
		{"text", "text/plain", "", textPayload("hé", nil), "", `{"body":"hé","format":"text","size":3}`},
		{"cut within a rune", "text/plain", "", proxy.Payload{Bytes: []byte("h\xc3"), Size: 900}, "", `{"body":"h","format":"text","size":900,"truncated":true}`},
		{"binary", "image/png", "", textPayload("\x00\xff", nil), "", `{"body":"AP8=","format":"base64","size":2}`},
		{"kept nothing", "", "", proxy.Payload{Size: 5}, "", `{"size":5,"truncated":true}`},
		{"gzip", "application/json", "", proxy.Payload{Bytes: gzipped(t, []byte(`{"a":1}`)), Size: int64(len(gzipped(t, []byte(`{"a":1}`)))), Encoding: "gzip"}, "", `{"body":{"a":1},"format":"json","size":31,"encoding":"gzip"}`},
		{"unknown coding", "text/plain", "", proxy.Payload{Bytes: []byte("x"), Size: 1, Encoding: "br"}, "", `{"body":"eA==","format":"base64","size":1,"encoding":"br"}`},
		{"one gRPC message", "application/grpc", "", textPayload(string(frame(0, []byte("a"))), nil), "s.Known", `{"body":{"name":"a"},"format":"grpc","size":6}`},
		{"schemaless", "application/grpc+proto", "", textPayload(string(frame(0, []byte("a"))), nil), "s.Other", `{"body":{"1":"a"},"format":"grpc","size":6}`},
		{"several, one compressed", "application/grpc", "gzip", textPayload(string(two), nil), "s.Known", `{"messages":[{"name":"a"},{"name":"b"}],"format":"grpc","size":36}`},
		{"unknown compression", "application/grpc", "snappy", textPayload(string(frame(1, []byte("a"))), nil), "s.Known", `{"body":"YQ==","format":"base64","size":6}`},
		{"gRPC-Web with its trailers", "application/grpc-web", "", textPayload(string(append(frame(0, []byte("a")), frame(0x80, []byte("grpc-status:0"))...)), nil), "s.Known", `{"body":{"name":"a"},"format":"grpc","size":24}`},
		{"gRPC with JSON", "application/grpc+json", "", textPayload(string(frame(0, []byte(`{"x":1}`))), nil), "s.Known", `{"body":{"x":1},"format":"json","size":12}`},
		{"cut after a message", "application/grpc", "", proxy.Payload{Bytes: two[:9], Size: 36}, "s.Known", `{"body":{"name":"a"},"format":"grpc","size":36,"truncated":true}`},
		{"no frames", "application/grpc", "", textPayload("oops", nil), "s.Known", `{"body":"oops","format":"text","size":4}`},
		{"redacted", "text/csv", "", proxy.Payload{Bytes: []byte(`{"a":"[redacted]"}`), Size: 90, Redacted: 18, Codec: sluicejson.Codec{}}, "", `{"body":{"a":"[redacted]"},"format":"json","size":90}`},
		{"redacted and cut", "text/csv", "", proxy.Payload{Bytes: []byte(`{"a":"[redact`), Size: 90, Redacted: 18, Codec: sluicejson.Codec{}}, "", `{"body":"{\"a\":\"[redact","format":"text","size":90,"truncated":true}`},
		{"withheld", "application/grpc", "", proxy.Payload{Size: 90, Withheld: "redact: why"}, "s.Known", `{"size":90,"withheld":"redact: why"}`},
		{"by the rule's codec", "application/grpc", "", textPayload("a", fieldCodec{"ruled"}), "s.Known", `{"body":{"ruled":"a"},"format":"grpc","size":1}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tap := New(Config{
				Schemaless: fieldCodec{"1"},
				Describe: func(_ context.Context, q *rules.Request) (codec.Codec, codec.Codec) {
					if q.Service == "s.Known" {
						return fieldCodec{"name"}, fieldCodec{"name"}
					}
					return nil, nil
				},
			})
			e := plainExchange("x", noon)
			e.Call.Service = test.service
			head := *e.Request.In
			head.Fields = rules.Fields{{Name: "content-type", Value: test.media}, {Name: "grpc-encoding", Value: test.grpcEnc}}
			e.Request.In, e.Request.Out, e.Request.Body = &head, &head, test.body
			o := tap.render.event(t.Context(), &remembered{Record: *e})
			half := o.get("request").(object)[1:] // without headers
			if got := string(appendJSON(nil, half)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			valueOf(o)
		})
	}
}

func TestDescribeIsBoundedInTime(t *testing.T) {
	tap := New(Config{DescribeTimeout: time.Millisecond, Describe: func(ctx context.Context, _ *rules.Request) (codec.Codec, codec.Codec) {
		<-ctx.Done()
		return nil, nil
	}})
	e := plainExchange("x", noon)
	e.Call.Service, e.Request.Body = "s", textPayload("a", nil)
	tap.Observe(e)
	readAll(t, tap, "")
}

func TestAnInflatedBodyIsBounded(t *testing.T) {
	tap := New(Config{Body: codec.KiB})
	data := gzipped(t, make([]byte, 1<<20))
	if out, whole := tap.render.inflate("gzip", data); len(out) != 16<<10 || whole {
		t.Errorf("got %d bytes, whole %t; want 16 KiB and a cut", len(out), whole)
	}
}

func TestALongStepBodyIsCut(t *testing.T) {
	tap := New(Config{Body: 10})
	got := string(appendJSON(nil, tap.render.stepBody("0123456789€")))
	if want := `{"body":"\"012345678","format":"text","size":15,"truncated":true}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
