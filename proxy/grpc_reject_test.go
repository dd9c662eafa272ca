package proxy_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/proxy"
)

func TestRejectEndsACall(t *testing.T) {
	s := startEcho(t, false)
	car := startSidecar(t, s.addr, []string{`
route: guard
match: {grpc: "test.v1.Items/*"}
request:
  - when: .name == "bad"
    reject: {grpc: INVALID_ARGUMENT, message: "not this: ü"}
response:
  - when: .name == "late"
    reject: {grpc: DATA_LOSS}
`})
	conn := dialCalls(t, car.addr)
	for _, test := range []struct {
		method, names, code, where string
		want                       []string // received before it
	}{
		{get, "bad", "INVALID_ARGUMENT", "guard/request[0].reject; rejected", nil},
		{get, "late", "DATA_LOSS", "guard/response[0].reject; rejected", nil},
		{list, "bad", "INVALID_ARGUMENT", "guard/request[0].reject; rejected", nil},
		{list, "late", "DATA_LOSS", "guard/response[0].reject; rejected", nil},
		{collect, "ok bad ok", "INVALID_ARGUMENT", "guard/request[0].reject; rejected", nil},
		{chat, "ok late ok", "DATA_LOSS", "guard/response[0].reject; rejected", []string{"ok"}},
	} {
		var in []*dynamicpb.Message
		for name := range strings.FieldsSeq(test.names) {
			in = append(in, s.named(name))
		}
		e := s.call(t.Context(), t, conn, test.method, in)
		if err := isReject(e, test.code, test.where); err != nil || test.want != nil && !slices.Equal(e.names, test.want) {
			t.Errorf("%s %s: %v, got %v", test.method, test.names, err, e)
		}
		if test.method == get && e.header != nil {
			t.Errorf("%s: got a head %v, want trailers only", test.names, e.header)
		}
		if test.code == "INVALID_ARGUMENT" && e.status.Message() != "not this: ü" {
			t.Errorf("got message %q", e.status.Message())
		}
	}
	for _, method := range []string{get, chat} {
		r := car.record(method)
		if r.Answered != "reject" || r.Error != nil || r.GRPCStatus != "INVALID_ARGUMENT" && r.GRPCStatus != "DATA_LOSS" {
			t.Errorf("%s: record %+v", method, r)
		}
	}
}

func TestRejectInTheMiddleOfAStream(t *testing.T) {
	s := startEcho(t, false)
	conn := dialCalls(t, startSidecar(t, s.addr, []string{`
route: guard
match: {grpc: test.v1.Items/Chat}
request:
  - when: .name == "bad"
    reject: {grpc: ABORTED}
`}).addr)
	stream, err := conn.NewStream(t.Context(), bothWays, chat)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		stream.SendMsg(s.named(name))
		if m, err := s.recv(stream); err != nil || nameOf(m) != name {
			t.Fatalf("got %v, %v, want %s", m, err, name)
		}
	}
	stream.SendMsg(s.named("bad"))
	if err := isReject(s.read(stream), "ABORTED", "guard/request[0].reject; rejected"); err != nil {
		t.Error(err)
	}
}

func TestWithoutADescriptorOnErrorDecides(t *testing.T) {
	s := startEcho(t, true)
	rule := "route: r\nmatch: {grpc: \"test.v1.Items/*\"}\non_error: %\nWHICH: [{jq: '.name = \"x\"'}]\n"
	for _, half := range []string{"request", "response"} {
		for onError, want := range map[string]codes.Code{"reject": codes.Internal, "pass": codes.OK} {
			car := startSidecar(t, s.addr, []string{strings.NewReplacer("%", onError, "WHICH", half).Replace(rule)})
			conn := dialCalls(t, car.addr)
			for _, method := range []string{get, chat} {
				e := s.call(t.Context(), t, conn, method, []*dynamicpb.Message{s.named("a")})
				if e.status.Code() != want {
					t.Errorf("%s, %s, %s: got %v", half, onError, method, e)
				}
				if want == codes.OK && !slices.Equal(e.names, []string{"a"}) {
					t.Errorf("%s, pass, %s: got %v, want it untouched", half, method, e)
				}
				if want != codes.OK {
					if err := isReject(e, "INTERNAL", "r/"+half+"[0].jq; no_descriptor"); err != nil {
						t.Errorf("%s, %s: %v", half, method, err)
					}
				}
				if r := car.record(method); r.Error == nil || r.Error.Reason != "no_descriptor" {
					t.Errorf("%s, %s, %s: record says %v", half, onError, method, r.Error)
				}
			}
		}
	}
}

// Without a descriptor a rule that only reads may name fields by number. One that
// names them by name finds nothing there, and is for on_error to decide.
func TestWithoutADescriptorRulesReadFieldsByNumber(t *testing.T) {
	s := startEcho(t, true)
	for _, test := range []struct {
		steps, where string
		code         string
	}{
		{"request: [{when: '.[\"1\"] == \"bad\"', reject: {grpc: ABORTED}}]", "r/request[0].reject; rejected", "ABORTED"},
		{"response: [{when: '.\"1\" | test(\"^b\")', reject: {grpc: ABORTED}}]", "r/response[0].reject; rejected", "ABORTED"},
		{"request: [{when: '.[\"1\"] == \"other\"', reject: {grpc: ABORTED}}]", "", ""},
		{"request: [{when: '.name == \"other\"', reject: {grpc: ABORTED}}]", "r/request[0].when; no_descriptor", "INTERNAL"},
		{"request: [{when: '.[\"1\"] == .name', reject: {grpc: ABORTED}}]", "r/request[0].when; no_descriptor", "INTERNAL"},
		{"request: [{jq: '.[\"1\"] = \"x\"'}]", "r/request; encode", "INTERNAL"},
	} {
		car := startSidecar(t, s.addr, []string{"route: r\nmatch: {grpc: \"test.v1.Items/*\"}\n" + test.steps + "\n"})
		conn := dialCalls(t, car.addr)
		for _, method := range []string{get, chat} {
			e := s.call(t.Context(), t, conn, method, []*dynamicpb.Message{s.named("bad")})
			if test.where == "" {
				if e.status.Code() != codes.OK || !slices.Equal(e.names, []string{"bad"}) {
					t.Errorf("%s, %s: got %v", test.steps, method, e)
				}
				continue
			}
			if err := isReject(e, test.code, test.where); err != nil {
				t.Errorf("%s, %s: %v", test.steps, method, err)
			}
		}
	}
}

func TestMessageSizes(t *testing.T) {
	s := startEcho(t, false, grpc.MaxRecvMsgSize(100<<20))
	big := s.named(strings.Repeat("x", 5<<20))
	for name, test := range map[string]struct {
		rule, where string // where is empty for a call that passes
	}{
		"no step reads it":  {"response: [{head: '.headers.a = \"1\"'}]", ""},
		"within the limit":  {"limits: {message: 6MiB}\nrequest: [{jq: .}]\nresponse: [{jq: .}]", ""},
		"request over it":   {"request: [{jq: .}]", "r/request; too_large"},
		"response over it":  {"response: [{jq: .}]", "r/response; too_large"},
		"over it, but pass": {"on_error: pass\nrequest: [{jq: '.name = \"x\"'}]\nresponse: [{jq: '.name = \"x\"'}]", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dialCalls(t, startSidecar(t, s.addr, []string{"route: r\nmatch: {grpc: \"test.v1.Items/*\"}\n" + test.rule + "\n"}).addr)
			for _, method := range []string{get, chat} {
				e := s.call(t.Context(), t, conn, method, []*dynamicpb.Message{big})
				sizes := make([]int, 0, 1)
				for i := range e.names {
					sizes = append(sizes, len(e.names[i]))
					e.names[i] = ""
				}
				if test.where != "" {
					if err := isReject(e, "RESOURCE_EXHAUSTED", test.where); err != nil {
						t.Errorf("%s: %v", method, err)
					}
				} else if !slices.Equal(sizes, []int{5 << 20}) || e.status.Code() != codes.OK {
					t.Errorf("%s: got %v, sizes %d", method, e, sizes)
				}
			}
		})
	}
}

// callRaw sends a body as a call and returns what came back.
func callRaw(t *testing.T, addr, path, body string, fields ...string) (*http.Response, string) {
	t.Helper()
	req, _ := http.NewRequest("POST", "http://"+addr+path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := client(t, true).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(got)
}

func TestMalformedCallsAreAnsweredInGRPC(t *testing.T) {
	s := startEcho(t, false)
	car := startSidecar(t, s.addr, []string{untouching})
	whole := "\x00\x00\x00\x00\x03\x0a\x01a"
	for name, test := range map[string]struct {
		body   string
		fields []string
		status string
		reason string
	}{
		"bad timeout":         {whole, []string{"Grpc-Timeout", "soon"}, "3", "malformed"},
		"bad binary metadata": {whole, []string{"X-Bin", "*"}, "3", "malformed"},
		"truncated message":   {whole[:6], nil, "3", "truncated"},
		"truncated prefix":    {whole[:3], nil, "3", "truncated"},
		"no protobuf":         {"\x00\x00\x00\x00\x03\x0a\x09a", nil, "3", "decode"},
	} {
		resp, body := callRaw(t, car.addr, get, test.body, test.fields...)
		h := resp.Header
		if resp.StatusCode != 200 || h.Get("Content-Type") != "application/grpc" || h.Get("Grpc-Status") != test.status || body != "" || !strings.HasSuffix(h.Get("X-Sluice-Error"), "; "+test.reason) {
			t.Errorf("%s: got %d %v %q, trailer %v, want trailers only with %s %s", name, resp.StatusCode, h, body, resp.Trailer, test.status, test.reason)
		}
		if _, ok := h["Content-Length"]; ok {
			t.Errorf("%s: content-length %q", name, h["Content-Length"])
		}
	}
}

func TestUnreachableUpstreamIsUnavailable(t *testing.T) {
	s := startEcho(t, false)
	refused := startItems(t, true, nil)
	refused.server.Stop()
	guard := "route: r\nmatch: {grpc: \"test.v1.Items/*\"}\nrequest: [{when: '.name == \"bad\"', reject: {grpc: ABORTED}}]\n"
	car := startSidecar(t, refused.addr, []string{guard})
	conn := dialCalls(t, car.addr)
	for _, method := range []string{get, chat} {
		// Without an upstream there is nobody to ask for descriptors.
		e := s.call(t.Context(), t, conn, method, nil)
		if err := isReject(e, "UNAVAILABLE", "r/upstream; refused"); err != nil {
			t.Errorf("%s: %v", method, err)
		}
		if r := car.record(method); r.Error == nil || r.Error.Origin != proxy.OriginUpstream || r.Error.Reason != "refused" {
			t.Errorf("%s: record says %v", method, r.Error)
		}
	}
}

func TestAnUpstreamThatIsNoGRPC(t *testing.T) {
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "<html>sorry</html>", http.StatusForbidden)
	})
	car := startSidecar(t, upstream, []string{"route: r\nmatch: {grpc: \"*\"}\nresponse: [{jq: .}]\n"})
	resp, body := callRaw(t, car.addr, get, "\x00\x00\x00\x00\x00")
	if h := resp.Header; resp.StatusCode != 200 || h.Get("Grpc-Status") != "7" || body != "" || h.Get("X-Sluice-Error") != "r/upstream; protocol" {
		t.Errorf("got %d %v %q, want PERMISSION_DENIED as trailers only", resp.StatusCode, h, body)
	}
}
