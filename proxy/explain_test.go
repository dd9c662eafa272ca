package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// What is explained is what happens: an exchange is carried, and then explained.
func TestAnExplanationIsWhatHappens(t *testing.T) {
	for _, test := range []struct {
		name, rule     string
		contentType    string
		sent, answered string
		want           string // how the steps of each half ran
	}{
		{"no route", "route: r\nmatch: {http: /other}\n", "application/json", `{"a":1}`, `{"b":1}`, "{false } {false }"},
		{"in place", "route: r\nrequest: [{jq: .a = 2}]\nresponse: [{jq: del(.b)}]\n", "application/json", `{"a" : 1, "k": 1.0}`, `{"b":1 ,"c": 2}`, "{true } {true }"},
		{
			"heads", "route: r\nrequest: [{head: '.headers[\"x-a\"] = \"1\" | .query.v = \"2\"'}]\nresponse: [{when: .status == 200, head: .status = 203}]\n",
			"application/json", `{"a":1}`, `{"b":1}`, "{false } {false }",
		},
		{"by value", "route: r\nresponse:\n  - jq: '.sum = reduce .b[] as $x (0; . + $x)'\n", "application/json", ``, `{"b":[1,2]}`, "{false } {false reduce}"},
		{"a breaker that reads bodies", "route: r\nupstream: {breaker: {failure: .body.b == 1}}\nresponse: [{jq: .b = 2}]\n", "application/json", ``, `{"b":1}`, "{false } {true }"},
		{"a message that a plan cannot judge", "route: r\nresponse: [{jq: .b.c = 2}]\n", "application/json", ``, `{"b":"x"}`, "{false } {false this very message leaves room for doubt}"},
		{"an edit that fails", "route: r\nrequest: [{jq: .a.b = 1}]\n", "application/json", `{"a":1}`, `{}`, "{false this very message} {false }"},
		{"which may pass", "route: r\non_error: pass\nrequest: [{jq: .a.b = 1}]\n", "application/json", `{"a":1}`, `{}`, "{false this very message} {false }"},
		{"a reject", "route: r\nrequest: [{when: .a > 0, reject: {status: 422, message: no}}]\n", "application/json", `{"a":1}`, `{}`, "{true } {false }"},
		{"another format", "route: r\nupstream: {format: json}\nrequest: [{jq: .a}]\nresponse: [{jq: '{x: .}'}]\n", "application/xml", `<a><b>1</b></a>`, `{"c":1}`, "{false it is turned into another format} {false it is turned into another format}"},
		{"no format of ours", "route: r\nrequest: [{jq: .a = 2}]\n", "text/html", `<p>`, `{}`, "{false } {false }"},
		{"lines", "route: r\nrequest: [{jq: .a = 2}]\n", "application/x-ndjson", "{\"a\":1}\n{\"a\":3}\n", `{}`, "{true } {false }"},
	} {
		t.Run(test.name, func(t *testing.T) {
			testbed.Leaks(t)
			addr := testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Header()["Date"] = nil
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, test.answered)
			}))
			s := startSidecar(t, addr, []string{test.rule}, allFormats)
			testbed.Do(t, testbed.Client(t, false, s.addr), testbed.Request(t, "POST", "http://x/p?q=1", test.sent, "Content-Type", test.contentType))
			record := s.record("/p").Clone()
			e, err := s.Explain(t.Context(), proxy.Question{
				Direction: rules.Inbound, Head: record.Call.Head, Body: []byte(test.sent),
				Response:     &rules.Head{Status: 200, Fields: rules.Fields{{Name: "Content-Type", Value: "application/json"}}},
				ResponseBody: []byte(test.answered),
			})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := summary(e.Record), summary(record); got != want {
				t.Errorf("explained\n%s\nhappened\n%s", got, want)
			}
			if got := fmt.Sprint(e.Request, " ", e.Response); !sameWay(got, test.want) {
				t.Errorf("got ways %s, want %s", got, test.want)
			}
			if (e.Answer != nil) != (record.Answered != "") {
				t.Errorf("answer %+v of %q", e.Answer, record.Answered)
			}
		})
	}
}

// sameWay takes a word of why for all of it.
func sameWay(got, want string) bool {
	first, second, _ := strings.Cut(want, "} {")
	word := func(s string) string { _, why, _ := strings.Cut(strings.Trim(s, "{}"), " "); return why }
	flag := func(s string) string { in, _, _ := strings.Cut(strings.Trim(s, "{}"), " "); return in }
	a, b, _ := strings.Cut(got, "} {")
	return flag(a) == flag(first) && flag(b) == flag(second) && strings.Contains(word(a), word(first)) && strings.Contains(word(b), word(second)) &&
		(word(first) == "") == (word(a) == "") && (word(second) == "") == (word(b) == "")
}

// summary is what two records of equal exchanges have in common.
func summary(r *proxy.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %d %q", r.Route, r.Status, r.Answered)
	if r.Error != nil {
		fmt.Fprintf(&b, " %s %s %s %s", r.Error.Origin, r.Error.Reason, r.Error.Route, r.Error.Step)
	}
	for _, h := range []*proxy.Half{&r.Request, &r.Response} {
		out := rules.Head{}
		if h.Out != nil && r.Answered == "" {
			out = *h.Out
			out.Fields = nil
			for _, f := range h.Out.Fields {
				if f.Name == "Content-Type" || strings.HasPrefix(strings.ToLower(f.Name), "x-") {
					out.Fields = append(out.Fields, rules.Field{Name: strings.ToLower(f.Name), Value: f.Value})
				}
			}
		}
		fmt.Fprintf(&b, "\n%v %s -> %v %s", out, h.Body.Bytes, h.Edited, h.Sent.Bytes)
		for _, s := range h.Steps {
			fmt.Fprintf(&b, " %s=%s in place %v", s.Step, s.Result, s.InPlace)
		}
	}
	return b.String()
}

func TestAnExplanationHasTheBodyAfterEachStep(t *testing.T) {
	live := new(rules.Live)
	live.Swap(compile(t, "route: r\nrequest:\n  - jq: .a = 2\n  - {when: .a == 3, jq: .b = 1}\n  - jq: del(.c)\n"))
	cfg := proxy.Config{Rules: live}
	allFormats(&cfg)
	e, err := proxy.Explain(t.Context(), cfg, proxy.Question{
		Direction: rules.Outbound, Destination: netip.MustParseAddrPort("10.0.0.1:80"),
		Head: &rules.Head{Method: "POST", Path: "/", Fields: rules.Fields{{Name: "content-type", Value: "application/json"}}},
		Body: []byte(`{"a":1,"c":1}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	for _, s := range e.Record.Request.Steps {
		if got = append(got, s.Body); s.Step == "request[0].jq" && s.Took <= 0 {
			t.Errorf("%s took %v", s.Step, s.Took)
		}
	}
	want := []any{map[string]any{"a": 2, "c": 1}, nil, map[string]any{"a": 2}}
	if fmt.Sprint(got) != fmt.Sprint(want) || !e.Request.InPlace || string(e.Record.Request.Sent.Bytes) != `{"a":2}` {
		t.Errorf("got %v, want %v; %+v; sent %s", got, want, e.Request, e.Record.Request.Sent.Bytes)
	}
	if e.Record.Error != nil || e.Record.Status != 0 || e.Record.Response.In != nil {
		t.Errorf("there is no response, but %+v", e.Record)
	}
	if _, err := proxy.Explain(t.Context(), cfg, proxy.Question{}); err == nil {
		t.Error("a question without a request is answered")
	}
}

func TestAnExplanationOfHEADHasNoBody(t *testing.T) {
	live := new(rules.Live)
	live.Swap(compile(t, "route: r\nresponse: [{jq: .a = 2}]\n"))
	cfg := proxy.Config{Rules: live}
	allFormats(&cfg)
	e, err := proxy.Explain(t.Context(), cfg, proxy.Question{
		Direction: rules.Inbound, Head: &rules.Head{Method: "HEAD", Path: "/"},
		Response: &rules.Head{Status: 200, Fields: rules.Fields{{Name: "content-type", Value: "application/json"}}}, ResponseBody: []byte(`{"a":1}`),
	})
	if err != nil || e.Record.Status != 200 || e.Record.Response.Body.Size != 0 || e.Record.Response.Edited {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestAnExplanationHasTheBreakerAndDoesNotCount(t *testing.T) {
	addr := testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	s := startSidecar(t, addr, []string{"route: r\nupstream: {breaker: {trip: .failures > 1}}\n"})
	for range 3 {
		testbed.Get(t, testbed.Client(t, false, s.addr), "http://x/")
		e, err := s.Explain(t.Context(), proxy.Question{Direction: rules.Inbound, Head: &rules.Head{Method: "GET", Path: "/"}, Response: &rules.Head{Status: 500}})
		if err != nil {
			t.Fatal(err)
		}
		if b := s.Breakers(); len(b) != 1 || e.Breaker.State != b[0].State || e.Breaker.Name != "r@"+addr {
			t.Errorf("explained %+v, is %+v", e.Breaker, b)
		}
	}
	if b := s.Breakers(); b[0].State != "open" || b[0].Counts.Requests > 2 {
		t.Errorf("got %+v", b)
	}
}

func TestAnExplanationOfACall(t *testing.T) {
	s := startItems(t, false, nil)
	live := new(rules.Live)
	live.Swap(compile(t, `
route: r
match: {grpc: "test.v1.Items/*"}
request:
  - jq: .name += "!"
  - head: .headers["x-name"] = $body.name
response: [{when: .big > 5, reject: {}}]
`))
	reflection := protobuf.NewReflection(protobuf.ReflectionConfig{})
	t.Cleanup(func() { reflection.Close() })
	cfg := proxy.Config{Rules: live, Methods: reflection}
	allFormats(&cfg)
	for _, method := range []string{"Get", "Chat"} {
		q := proxy.Question{
			Direction: rules.Outbound, Destination: netip.MustParseAddrPort(s.addr),
			Head:     &rules.Head{Method: "POST", Path: "/test.v1.Items/" + method, Fields: rules.Fields{{Name: "content-type", Value: "application/grpc"}}},
			Body:     []byte(`{"name": "a"}`),
			Response: &rules.Head{Status: 200}, ResponseBody: []byte(`{"big": 7}`),
		}
		e, err := proxy.Explain(t.Context(), cfg, q)
		if err != nil {
			t.Fatal(err)
		}
		if name := e.Record.Request.Out.Fields.Get("x-name"); name != "a!" {
			t.Errorf("%s: the head got %q", method, name)
		}
		if e.Answer == nil || e.Answer.GRPC != "PERMISSION_DENIED" {
			t.Errorf("%s: got answer %+v", method, e.Answer)
		}
		if n := map[string]int{"Get": 0, "Chat": 2}[method]; len(e.Messages) != n {
			t.Errorf("%s: got %d messages, want %d", method, len(e.Messages), n)
		}
		q.Body = []byte(`{"nam": 1}`)
		if _, err := proxy.Explain(t.Context(), cfg, q); err == nil || !strings.Contains(err.Error(), "nam") {
			t.Errorf("%s: a message that is none: %v", method, err)
		}
	}
}
