package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Rules for every kind of way that a call may take.
const (
	headOnly = `
route: head
match: {grpc: "test.v1.Items/*"}
request:
  - head: .headers["x-by"] = "sluice"
`
	untouching = `
route: same
match: {grpc: "test.v1.Items/*"}
request:
  - jq: .
response:
  - jq: .
`
	shouting = `
route: shout
match: {grpc: "test.v1.Items/*"}
request:
  - jq: .name = "in:" + .name
response:
  - jq: .name = "out:" + .name
`
)

// everyWay are the ways to the service: past no rule, past rules that leave the
// messages alone, and message by message.
var everyWay = map[string][]string{
	"no route":           nil,
	"head only":          {headOnly},
	"message by message": {untouching},
}

func TestCallsOfEveryKindPass(t *testing.T) {
	s := startEcho(t, false)
	for way, files := range everyWay {
		t.Run(way, func(t *testing.T) {
			conn := dialCalls(t, startSidecar(t, s.addr, files).addr)
			for method, names := range map[string][]string{get: {"a"}, list: {"b"}, collect: {"c", "d", ""}, chat: {"", "e", "f"}} {
				var in []*dynamicpb.Message
				for _, name := range names {
					in = append(in, s.named(name))
				}
				e := s.call(t.Context(), t, conn, method, in)
				if e.status.Code() != codes.OK || !slices.Equal(e.names, names) {
					t.Errorf("%s: got %v, want %q", method, e, names)
				}
			}
		})
	}
}

func TestMessagesAreRewrittenBothWays(t *testing.T) {
	s := startEcho(t, false)
	car := startSidecar(t, s.addr, []string{shouting})
	conn := dialCalls(t, car.addr)
	for _, method := range []string{get, list, collect, chat} {
		e := s.call(t.Context(), t, conn, method, []*dynamicpb.Message{s.named("a")})
		if !slices.Equal(e.names, []string{"out:in:a"}) {
			t.Errorf("%s: got %v", method, e)
		}
		r := car.record(method)
		if r.Route != "shout" || r.GRPCStatus != "OK" || r.Status != 200 || r.Error != nil || r.Request.MessageCount != 1 || r.Response.MessageCount != 1 {
			t.Errorf("%s: record %+v", method, r)
		}
	}
	if r := car.record(get); !r.Request.Edited || !r.Response.Edited {
		t.Errorf("record of a unary call shows no edit: %+v", r)
	}
}

func TestWhatARuleDoesNotNameIsKept(t *testing.T) {
	var got []byte
	item, _ := itemType(t)
	base := &items{item: item}
	s := startItems(t, false, func(_ string, stream grpc.ServerStream) error {
		m, err := base.recv(stream)
		if err != nil {
			return err
		}
		got, _ = proto.MarshalOptions{Deterministic: true}.Marshal(m)
		return stream.SendMsg(m)
	})
	conn := dialCalls(t, startSidecar(t, s.addr, []string{`
route: edit
match: {grpc: test.v1.Items/Get}
request: [{jq: '.name = "new"'}]
`}).addr)
	m := s.a(t, `{"name": "old", "big": "9007199254740993", "maybe": 0, "raw": "AP8="}`)
	m.SetUnknown([]byte{0x98, 0x06, 0x07}) // field 99
	s.call(t.Context(), t, conn, get, []*dynamicpb.Message{m})
	back := dynamicpb.NewMessage(item)
	if err := proto.Unmarshal(got, back); err != nil {
		t.Fatal(err)
	}
	json, _ := protojson.Marshal(back)
	want := `{"name":"new","big":"9007199254740993","maybe":0,"raw":"AP8="}`
	if strings.ReplaceAll(string(json), " ", "") != want || string(back.GetUnknown()) != "\x98\x06\x07" {
		t.Errorf("got %s and unknown %x, want %s and 980607", json, back.GetUnknown(), want)
	}
}

func TestHowManyResultsAMessageMayHave(t *testing.T) {
	s := startEcho(t, false)
	conn := dialCalls(t, startSidecar(t, s.addr, []string{`
route: many
match: {grpc: "test.v1.Items/*"}
request:
  - jq: if .name == "none" then empty elif .name == "two" then (., .name = "2") else . end
`, `
route: back
match: {grpc: "test.v1.Items/*", headers: {x-back: "*"}}
response:
  - jq: if .name == "none" then empty elif .name == "two" then (., .name = "2") else . end
`}).addr)
	in := []*dynamicpb.Message{s.named("one"), s.named("none"), s.named("two"), s.named("last")}
	want := []string{"one", "two", "2", "last"}
	back := metadata.AppendToOutgoingContext(t.Context(), "x-back", "1")
	for way, ctx := range map[string]context.Context{"request": t.Context(), "response": back} {
		for _, method := range []string{collect, chat} {
			if method == collect && way == "response" {
				continue // one message is all that a client-streaming call answers
			}
			if e := s.call(ctx, t, conn, method, in); !slices.Equal(e.names, want) {
				t.Errorf("%s %s: got %v, want %q", way, method, e, want)
			}
		}
		route := map[string]string{"request": "many", "response": "back"}[way]
		for name, reason := range map[string]string{"none": "jq_no_result", "two": "jq_many_results"} {
			e := s.call(ctx, t, conn, get, []*dynamicpb.Message{s.named(name)})
			if err := isReject(e, "INTERNAL", route+"/"+way+"[0].jq; "+reason); err != nil {
				t.Errorf("%s %s: %v", way, name, err)
			}
		}
	}
}

func TestHeadStepsSeeTheMessage(t *testing.T) {
	item, _ := itemType(t)
	base := &items{item: item}
	s := startItems(t, false, func(method string, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		stream.SetHeader(metadata.Pairs("x-seen", strings.Join(md.Get("x-name"), ","), "x-seen-bin", strings.Join(md.Get("x-b-bin"), ",")))
		return base.echo(method, stream)
	})
	conn := dialCalls(t, startSidecar(t, s.addr, []string{`
route: heads
match: {grpc: "test.v1.Items/*"}
request:
  - head: .headers["x-name"] = $body.name | .headers["x-b-bin"] = ($body.name | @base64)
response:
  - head: .headers["x-answer"] = $body.name
`}).addr)
	for _, method := range []string{get, list, collect, chat} {
		e := s.call(t.Context(), t, conn, method, []*dynamicpb.Message{s.named("n1")})
		for name, want := range map[string]string{"x-seen": "n1", "x-seen-bin": "n1", "x-answer": "n1"} {
			if got := e.header.Get(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s: got %q in %v, want %s", method, name, got, e, want)
			}
		}
	}
}

func TestMetadataPassesBothWays(t *testing.T) {
	var got metadata.MD
	var authority []string
	s := startItems(t, false, func(_ string, stream grpc.ServerStream) error {
		got, _ = metadata.FromIncomingContext(stream.Context())
		authority = got.Get(":authority")
		stream.SendHeader(metadata.Pairs("h", "1", "h", "2", "h-bin", "\x00\x01", "h-bin", "\xff", "date", "then"))
		stream.SetTrailer(metadata.Pairs("t", "1", "t", "2", "t-bin", "\x00\x01", "t-bin", "\xff"))
		return nil
	})
	for way, files := range everyWay {
		t.Run(way, func(t *testing.T) {
			conn := dialCalls(t, startSidecar(t, s.addr, files).addr, grpc.WithAuthority("Items.Test:99"), grpc.WithUserAgent("mine/1"))
			ctx := metadata.AppendToOutgoingContext(t.Context(), "r", "1", "r", "2", "r-bin", "\x00\x01", "r-bin", "\xff", "r-text", "a, b")
			e := s.call(ctx, t, conn, chat, nil)
			for _, check := range []struct {
				name      string
				got, want []string
			}{
				{"request", got.Get("r"), []string{"1", "2"}},
				{"request -bin", got.Get("r-bin"), []string{"\x00\x01", "\xff"}},
				{"request with a comma", got.Get("r-text"), []string{"a, b"}},
				{"authority", authority, []string{"Items.Test:99"}},
				{"header", e.header.Get("h"), []string{"1", "2"}},
				{"header -bin", e.header.Get("h-bin"), []string{"\x00\x01", "\xff"}},
				{"date", e.header.Get("date"), []string{"then"}},
				{"trailer", e.trailer.Get("t"), []string{"1", "2"}},
				{"trailer -bin", e.trailer.Get("t-bin"), []string{"\x00\x01", "\xff"}},
				{"announced trailers", e.header.Get("trailer"), nil},
			} {
				if !slices.Equal(check.got, check.want) {
					t.Errorf("%s: got %q, want %q", check.name, check.got, check.want)
				}
			}
			if ua := got.Get("user-agent"); len(ua) != 1 || !strings.HasPrefix(ua[0], "mine/1 grpc-go/") {
				t.Errorf("user agent: got %q", ua)
			}
		})
	}
}

func TestStatusPasses(t *testing.T) {
	full, err := status.New(codes.FailedPrecondition, "no: ünïcode % \n done").WithDetails(protoadapt.MessageV1Of(durationpb.New(7)))
	if err != nil {
		t.Fatal(err)
	}
	statuses := map[string]error{"details": full.Err(), "unheard of": status.Error(codes.Code(77), "odd"), "cancelled": status.Error(codes.Canceled, "by me")}
	var end error
	s := startItems(t, false, func(method string, stream grpc.ServerStream) error {
		stream.SetTrailer(metadata.Pairs("t", "1"))
		if method == chat {
			stream.SendHeader(metadata.Pairs("h", "1"))
		}
		return end
	})
	for way, files := range everyWay {
		conn := dialCalls(t, startSidecar(t, s.addr, files).addr)
		for name, err := range statuses {
			end = err
			for _, method := range []string{get, chat} {
				e := s.call(t.Context(), t, conn, method, []*dynamicpb.Message{s.named("x")})
				if want := status.Convert(err); !proto.Equal(e.status.Proto(), want.Proto()) {
					t.Errorf("%s, %s, %s: got %v, want %v", way, name, method, e.status.Proto(), want.Proto())
				}
				if e.trailer.Get("t") == nil || (e.header == nil) != (method == get) || len(e.trailer.Get("x-sluice-error")) > 0 {
					t.Errorf("%s, %s, %s: got %v", way, name, method, e)
				}
			}
		}
	}
}

func TestContentSubtypePasses(t *testing.T) {
	types := make(chan string, 1)
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/grpc.reflection.") {
			http.NotFound(w, r)
			return
		}
		types <- r.Header.Get("Content-Type")
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.Header().Set("Trailer", "Grpc-Status")
		io.Copy(w, r.Body)
		w.Header().Set("Grpc-Status", "0")
	})
	for way, files := range map[string][]string{"no route": nil, "message by message": {`
route: sub
match: {grpc: "*"}
on_error: pass
response: [{jq: .}]
`}} {
		c := client(t, true)
		addr := startSidecar(t, upstream, files).addr
		body := "\x00\x00\x00\x00\x07" + `{"a":1}`
		req, _ := http.NewRequest("POST", "http://"+addr+"/x.Y/Z", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/grpc+json")
		req.Header.Set("Te", "trailers")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		got, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if sent := <-types; sent != "application/grpc+json" || resp.Header.Get("Content-Type") != sent {
			t.Errorf("%s: got %q there and %q back", way, sent, resp.Header.Get("Content-Type"))
		}
		if string(got) != body || resp.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("%s: got %q, trailer %v", way, got, resp.Trailer)
		}
	}
}

func TestCallsAndPlainHTTPShareAConnection(t *testing.T) {
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/grpc.reflection.") {
			http.NotFound(w, r)
			return
		}
		if r.Header.Get("Content-Type") == "application/grpc" {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "Grpc-Status")
			io.Copy(w, r.Body)
			w.Header().Set("Grpc-Status", "0")
			return
		}
		fmt.Fprint(w, "plain")
	})
	car := startSidecar(t, upstream, []string{"route: r\nmatch: {grpc: \"*\"}\non_error: pass\nresponse: [{jq: .}]\n"})
	c := client(t, true)
	for range 3 {
		call, _ := http.NewRequest("POST", "http://"+car.addr+"/x.Y/Z", strings.NewReader("\x00\x00\x00\x00\x01a"))
		call.Header.Set("Content-Type", "application/grpc")
		resp, err := c.Do(call)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(got) != "\x00\x00\x00\x00\x01a" || resp.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("call: got %q, trailer %v", got, resp.Trailer)
		}
		resp, err = c.Get("http://" + car.addr + "/page")
		if err != nil {
			t.Fatal(err)
		}
		got, _ = io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(got) != "plain" {
			t.Errorf("page: got %q", got)
		}
	}
	if n := car.Conns(); n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}
}
