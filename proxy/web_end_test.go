package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

const connectUnary = "application/proto"

// A refusal is told as the caller's protocol tells it.
func TestWebCallsAreRejectedInTheirOwnForm(t *testing.T) {
	for _, version := range []bool{false, true} {
		for _, test := range []struct {
			media, request, fields string
			status                 int
			code, body             string
		}{
			{webProto, envelopes(item("bad")), "", 200, "9", ""},
			{webText, inText(envelopes(item("bad"))), "", 200, "9", ""},
			{connectProto, envelopes(item("bad")), "", 200, "", envelope(2, `{"error":{"code":"failed_precondition","message":"not here"}}`)},
			{connectJSON, envelopes(`{"name":"bad"}`), "", 200, "", envelope(2, `{"error":{"code":"failed_precondition","message":"not here"}}`)},
			{connectUnary, item("bad"), "", 400, "", `{"code":"failed_precondition","message":"not here"}`},
			{"application/json", `{"name":"bad"}`, "Connect-Protocol-Version", 400, "", `{"code":"failed_precondition","message":"not here"}`},
			{"application/json", `{"name":"bad"}`, "X-None", 400, "", `{"error":"not here","reason":"rejected","route":"items","step":"request[0].reject"}`},
		} {
			for _, method := range []string{get, chat} {
				t.Run(fmt.Sprintf("h2 %v %s %s %s", version, test.media, test.fields, method), func(t *testing.T) {
					testbed.Leaks(t)
					upstream := &pieces{contentType: test.media}
					s := startSidecar(t, upstream.start(t), []string{webRule}, itemsKnown(t))
					r := testbed.Request(t, "POST", "http://x"+method, test.request, "Content-Type", test.media)
					if test.fields != "" {
						r.Header.Set(test.fields, "1")
					}
					got := testbed.Do(t, testbed.Client(t, version, s.addr), r)
					if got.StatusCode != test.status || got.Text != test.body || got.Header.Get("Grpc-Status") != test.code || got.Header.Get("X-Sluice-Error") != "items/request[0].reject; rejected" {
						t.Errorf("got %d %q, %v", got.StatusCode, got.Text, got.Header)
					}
					if record := s.record(method); record.Answered != "reject" || record.Status != test.status || record.GRPCStatus != "FAILED_PRECONDITION" && test.fields != "X-None" {
						t.Errorf("record: %+v", record)
					}
				})
			}
		}
	}
}

// A response of which a part has left ends with the refusal.
func TestResponsesOfWebCallsEndWithARefusal(t *testing.T) {
	said := "grpc-status: 15\r\ngrpc-message: not this\r\nx-sluice-error: items/response[1].reject; rejected\r\n"
	ended := envelope(2, `{"error":{"code":"data_loss","message":"not this"},"metadata":{"x-sluice-error":["items/response[1].reject; rejected"]}}`)
	for _, version := range []bool{false, true} {
		for _, how := range []string{"plain", "sized", "gzip"} {
			for media, end := range map[string]string{webProto: envelope(0x80, said), webText: envelope(0x80, said), connectProto: ended} {
				t.Run(fmt.Sprintf("h2 %v %s %s", version, how, media), func(t *testing.T) {
					testbed.Leaks(t)
					first, rest := envelopes(item("keep")), envelopes(item("secret"), item("more"))
					read := func(s string) string { return s }
					if media == webText {
						first, rest = inText(first), inText(rest)
						read = func(s string) string { return ofText(t, s) }
					}
					upstream := &pieces{contentType: media, body: []string{first, rest}}
					switch how {
					case "sized":
						upstream.fields = []string{"Content-Length", fmt.Sprint(len(first + rest))}
					case "gzip":
						upstream.fields, upstream.body = []string{"Content-Encoding", "gzip"}, []string{squeezed(first + rest)}
						read = func(s string) string {
							s = strings.TrimPrefix(opened(t, envelope(1, s))[0], "1 ")
							if media == webText {
								s = ofText(t, s)
							}
							return s
						}
					}
					s := startSidecar(t, upstream.start(t), []string{webRule}, itemsKnown(t))
					c := testbed.Client(t, version, s.addr)
					for range 2 { // the connection lives on
						request := envelopes("")
						if media == webText {
							request = inText(request)
						}
						got := testbed.Do(t, c, testbed.Request(t, "POST", "http://x"+list, request, "Content-Type", media))
						if body := read(got.Text); got.Err != nil || got.StatusCode != 200 || body != envelopes(item("keep"))+end {
							t.Errorf("got %d %q, %v", got.StatusCode, opened(t, body), got.Err)
						}
					}
					if record := s.record(list); record.Answered != "reject" || record.GRPCStatus != "DATA_LOSS" || record.Status != 200 {
						t.Errorf("record: %+v", record)
					}
				})
			}
		}
	}
}

// A unary message decides before its head leaves.
func TestUnaryWebCallsMeetTheStepsWhole(t *testing.T) {
	rule := `
route: whole
match: {grpc: "test.v1.Items/Get"}
request:
  - jq: .name += "!"
  - head: .headers["x-name"] = $body.name
response:
  - head: .headers["x-name"] = $body.name
  - jq: .big = 7
`
	for _, version := range []bool{false, true} {
		for media, seal := range map[string]func(string) string{
			webProto:     func(m string) string { return envelopes(m) },
			connectUnary: func(m string) string { return m },
		} {
			t.Run(fmt.Sprintf("h2 %v %s", version, media), func(t *testing.T) {
				testbed.Leaks(t)
				named := make(chan string, 1)
				end := ""
				if media == webProto {
					end = webTrailers
				}
				s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					named <- r.Header.Get("X-Name") + " " + string(body)
					w.Header().Set("Content-Type", media)
					w.Write(append(body, end...))
				})), []string{rule}, itemsKnown(t))
				for in, want := range map[string]string{item("a"): "\x0a\x02a!\x98\x06\x07", "": "\x0a\x01!"} {
					got := testbed.Do(t, testbed.Client(t, version, s.addr), testbed.Request(t, "POST", "http://x"+get, seal(in), "Content-Type", media))
					wantName := "a!"
					if in == "" {
						wantName = "!"
					}
					if sent := <-named; sent != wantName+" "+seal(want) {
						t.Errorf("sent %q, want %q", sent, wantName+" "+seal(want))
					}
					if got.Header.Get("X-Name") != wantName || !strings.Contains(got.Text, "\x10\x07") || !strings.HasSuffix(got.Text, end) {
						t.Errorf("got %q, %v", got.Text, got.Header)
					}
				}
				record := s.record(get)
				if record.Error != nil || !record.Response.Edited || record.Response.Body.Codec == nil || len(record.Response.Steps) != 2 {
					t.Errorf("record: %+v", record.Response)
				}
			})
		}
	}
}

// A response of Connect that says why there is no message has its head alone.
func TestErrorsOfConnectAreNoMessages(t *testing.T) {
	testbed.Leaks(t)
	const said = `{"code":"not_found","message":"none"}`
	upstream := &pieces{contentType: "application/json", status: 404, body: []string{said}}
	s := startSidecar(t, upstream.start(t), []string{webRule}, itemsKnown(t))
	got := testbed.Do(t, testbed.Client(t, false, s.addr), testbed.Request(t, "POST", "http://x"+get, item("a"), "Content-Type", connectUnary))
	if got.StatusCode != 404 || got.Text != said || got.Header.Get("X-Any") != "1" {
		t.Errorf("got %d %q, %v", got.StatusCode, got.Text, got.Header)
	}
	if record := s.record(get); record.Error != nil || len(record.Response.Steps) != 1 {
		t.Errorf("record: %+v", record)
	}
}

// What cannot be read is never passed by a decision, unless the route says so.
func TestWebCallsThatCannotBeReadGoToOnError(t *testing.T) {
	for name, test := range map[string]struct {
		method, path, media, body string
		reason                    rules.Reason
		status                    int
	}{
		"unknown method":    {"POST", "/test.v1.Items/Other", webProto, envelopes("x"), rules.ReasonNoSchema, 200},
		"unknown, connect":  {"POST", "/test.v1.Items/Other", connectProto, envelopes("x"), rules.ReasonNoSchema, 200},
		"unknown, unary":    {"POST", "/test.v1.Items/Other", connectUnary, "x", rules.ReasonNoSchema, 400},
		"another subtype":   {"POST", chat, "application/grpc-web+thrift", envelopes("x"), rules.ReasonFormat, 400},
		"message in a head": {"GET", get + "?encoding=proto&message=CgNiYWQ&base64=1", "", "", rules.ReasonFormat, 400},
		"unary, no item":    {"POST", get, connectUnary, "\x0a\x05x", rules.ReasonDecode, 400},
	} {
		for _, version := range []bool{false, true} {
			for _, onError := range []string{"reject", "pass"} {
				t.Run(fmt.Sprintf("%s h2 %v %s", name, version, onError), func(t *testing.T) {
					testbed.Leaks(t)
					upstream := &pieces{contentType: test.media}
					request, _, _ := strings.Cut(webRule, "response:")
					s := startSidecar(t, upstream.start(t), []string{request + "on_error: " + onError + "\n"}, itemsKnown(t))
					got := testbed.Do(t, testbed.Client(t, version, s.addr), testbed.Request(t, test.method, "http://x"+test.path, test.body, "Content-Type", test.media))
					path, _, _ := strings.Cut(test.path, "?")
					status := test.status
					if onError == "pass" {
						status = 200
						if sent := <-upstream.heard; sent != test.body {
							t.Errorf("sent %q", sent)
						}
					}
					if record := s.record(path); got.StatusCode != status || record.Error == nil || record.Error.Reason != string(test.reason) {
						t.Errorf("got %d %q, %v, record %v", got.StatusCode, got.Text, got.Header, record.Error)
					}
				})
			}
		}
	}
}

// A breaker judges by the status at the end of a body, with and without steps.
func TestBreakersReadTheEndOfWebCalls(t *testing.T) {
	for name, test := range map[string]struct {
		media, end string
		fields     []string
		failed     bool
	}{
		"web, well":        {webProto, webTrailers, nil, false},
		"web, unavailable": {webProto, envelope(0x80, "grpc-message:x\r\nGrpc-Status: 14\r\n"), nil, true},
		"web, not found":   {webProto, envelope(0x80, "grpc-status: 5\r\n"), nil, false},
		"web, no end":      {webProto, "", nil, true},
		"web, in the head": {webProto, "", []string{"Grpc-Status", "14"}, true},
		"text":             {webText, envelope(0x80, "grpc-status: 13"), nil, true},
		"text, well":       {webText, webTrailers, nil, false},
		"connect, well":    {connectProto, connectDone, nil, false},
		"connect, failed":  {connectProto, envelope(2, `{"error":{"code":"internal"}}`), nil, true},
		"connect, no end":  {connectProto, "", nil, true},
		"compressed":       {connectProto, envelope(3, squeezed(`{"error":{"code":"data_loss"}}`)), []string{"Connect-Content-Encoding", "gzip"}, true},
	} {
		for _, version := range []bool{false, true} {
			for _, steps := range []string{"", "response: [{jq: .big = 1}]\n"} {
				t.Run(fmt.Sprintf("%s h2 %v %q", name, version, steps), func(t *testing.T) {
					testbed.Leaks(t)
					body := envelopes(item("a")) + test.end
					if test.fields != nil && test.end == "" {
						body = ""
					}
					if test.media == webText {
						body = inText(body[:5], body[5:])
					}
					upstream := &pieces{contentType: test.media, fields: test.fields, body: cut(body, 7)}
					s := startSidecar(t, upstream.start(t), []string{"route: b\nmatch: {grpc: '*'}\nupstream: {breaker: {open: 60s, trip: .failures >= 1}}\n" + steps}, itemsKnown(t))
					got := testbed.Do(t, testbed.Client(t, version, s.addr), testbed.Request(t, "POST", "http://x"+list, inText(envelopes("")), "Content-Type", test.media))
					if got.StatusCode != 200 || steps == "" && got.Text != body {
						t.Errorf("got %d %q, %v", got.StatusCode, got.Text, got.Header)
					}
					s.record(list)
					testbed.Eventually(t, 10*time.Second, func() error {
						for _, b := range s.Breakers() {
							if b.State == map[bool]string{true: "open", false: "closed"}[test.failed] && (test.failed || b.Counts.Successes == 1) {
								return nil
							}
						}
						return fmt.Errorf("breakers %+v", s.Breakers())
					})
				})
			}
		}
	}
}

// A fallback is what the caller would have been sent.
func TestFallbacksOfWebCalls(t *testing.T) {
	const rule = "route: b\nmatch: {grpc: '*'}\nupstream: {breaker: {open: 60s, trip: .failures >= 1, fallback: %s}}\nresponse: [{jq: .big = 1}]\n"
	well, ill := "{body: {name: x}}", "{grpc: NOT_FOUND, message: none, status: 404}"
	for _, test := range []struct {
		media, fallback string
		status          int
		want            string
	}{
		{webProto, well, 200, envelopes("\x0a\x01x\x10\x01") + envelope(0x80, "grpc-status: 0\r\n")},
		{webProto, ill, 200, envelope(0x80, "grpc-status: 5\r\ngrpc-message: none\r\n")},
		{webText, ill, 200, inText(envelope(0x80, "grpc-status: 5\r\ngrpc-message: none\r\n"))},
		{connectProto, well, 200, envelopes("\x0a\x01x\x10\x01") + connectDone},
		{connectProto, ill, 200, envelope(2, `{"error":{"code":"not_found","message":"none"}}`)},
		{connectJSON, well, 200, envelopes(`{"name":"x","big":1}`) + connectDone},
		{connectUnary, well, 200, "\x0a\x01x\x10\x01"},
		{connectUnary, ill, 404, `{"code":"not_found","message":"none"}`},
	} {
		for _, version := range []bool{false, true} {
			t.Run(fmt.Sprintf("h2 %v %s %s", version, test.media, test.fallback), func(t *testing.T) {
				testbed.Leaks(t)
				s := startSidecar(t, testbed.Refused(t), []string{fmt.Sprintf(rule, test.fallback)}, itemsKnown(t))
				for i := range 2 {
					got := testbed.Do(t, testbed.Client(t, version, s.addr), testbed.Request(t, "POST", "http://x"+get, "", "Content-Type", test.media))
					if i > 0 && (got.StatusCode != test.status || got.Text != test.want) {
						t.Errorf("got %d %q, %v, want %q", got.StatusCode, got.Text, got.Header, test.want)
					}
				}
				await(s, func(r *proxy.Record) bool { return r.Answered == "fallback" })
			})
		}
	}
}

// A server that describes itself over gRPC is asked on the same address.
func TestWebCallsAreDescribedByReflection(t *testing.T) {
	described := startEcho(t, false)
	upstream := &pieces{contentType: webProto, body: []string{webTrailers}, heard: make(chan string, 1)}
	addr := testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") == "application/grpc" {
			described.server.ServeHTTP(w, r)
			return
		}
		upstream.ServeHTTP(w, r)
	}))
	s := startSidecar(t, addr, []string{webRule})
	for _, version := range []bool{false, true} {
		testbed.Do(t, testbed.Client(t, version, s.addr), testbed.Request(t, "POST", "http://x"+get, envelopes(item("old")), "Content-Type", webProto))
		if sent := <-upstream.heard; sent != envelopes(item("new")) {
			t.Errorf("h2 %v: sent %q", version, sent)
		}
	}
}
