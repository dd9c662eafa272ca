package matrix

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// secret is what nobody may see in what a proxy tells.
const secret = "4111S3CRET"

// secretBody is a body with the secret in it, and where in a message of it.
type secretBody struct {
	name, contentType, path, body string
	unread                        bool // nobody reads it unless a step has to
}

var secretBodies = []secretBody{
	{"json", "application/json", ".card.number", `{"card":{"number":"` + secret + `","n":1}}`, false},
	{"json twice", "application/json", ".number", `{"number":"` + secret + `","number":"x"}`, false},
	{"json number", "application/json", ".number", `{"number":4111}`, false},
	{"json list", "application/json", ".number", `[{"number":"` + secret + `"}]`, false},
	{"json broken", "application/json", ".number", `{"number":"` + secret + `"`, false},
	{"json long", "application/json", ".number", `{"number":"` + secret + `","filling":"` + filling(40<<10) + `"}`, true},
	{"json all secret", "application/json", ".", `{"number":"` + secret + `"}`, false},
	{"xml", "application/xml", `.order.card["@number"]`, "<order><card number='" + secret + "'/><n>1</n></order>", false},
	{"yaml", "application/yaml", ".card.number", "card:\n  number: " + secret + "\nn: 1\n", false},
	{"csv", "text/csv", ".[].number", "id,number\r\n1," + secret + "\r\n", false},
	{"form", "application/x-www-form-urlencoded", ".number", "n=1&number=" + secret, false},
	{"msgpack", "application/msgpack", ".number", "\x81\xa6number\xaa" + secret, false},
	{"ndjson", "application/x-ndjson", ".number", "{\"number\":\"" + secret + "\"}\n{\"n\":1}\n{\"number\":\"" + secret + "\"}", false},
	{"sse", "text/event-stream", ".data.number", "data: {\"number\":\"" + secret + "\"}\n\n", false},
	{"text", "text/plain", ".number", "number: " + secret, true},
	{"grpc-web", "application/grpc-web+proto", ".name", enveloped("\x0a\x0a" + secret), false},
	{"grpc-web in text", "application/grpc-web-text", ".name", texts(enveloped("\x0a\x0a" + secret)), true},
	{"connect", "application/connect+json", ".name", enveloped(`{"name":"` + secret + `"}`), false},
	{"unary grpc-web", "application/grpc-web", ".name", enveloped("\x0a\x0a" + secret), false},
	{"unary connect", "application/proto", ".name", "\x0a\x0a" + secret, false},
}

// redactings are what else a route does.
var redactings = []struct{ name, rule string }{
	{"alone", ""},
	{"in place", "request:\n  - jq: .added = 1\nresponse:\n  - jq: .added = 2\non_error: pass\n"},
	{"by value", "request:\n  - jq: 'reduce 1 as $x (.; .added = 1)'\nresponse:\n  - jq: 'reduce 1 as $x (.; .added = 2)'\non_error: pass\n"},
	{"fails", "request:\n  - jq: error(tojson)\nresponse:\n  - jq: error(tojson)\non_error: pass\n"},
	{"heads", "request:\n  - head: '.headers[\"x-card\"] = \"" + secret + "\" | .headers[\"x-out\"] = \"1\"'\n"},
	{"when fails", "request:\n  - when: error(tojson)\n    reject: {status: 400}\non_error: pass\n"},
}

func (s *secretBody) target() string {
	switch {
	case strings.HasPrefix(s.name, "unary"):
		return "/matrix.v1.Items/Unary"
	case strings.Contains(s.contentType, "grpc-web"), strings.Contains(s.contentType, "connect"):
		return "/matrix.v1.Items/Bidi"
	}
	return "/" + strings.ReplaceAll(s.name, " ", "-")
}

// TestNobodySeesWhatIsRedactedInAnyLane sends secrets in every format through every
// lane, and back, and looks for them in all that observers are told and in what
// explains the same request.
func TestNobodySeesWhatIsRedactedInAnyLane(t *testing.T) {
	testbed.Leaks(t)
	var files []rules.File
	for i, s := range secretBodies {
		for j, r := range redactings {
			files = append(files, ruleFile(fmt.Sprintf("r%dx%d", i, j), fmt.Sprintf("headers: {%s: \"%d\"}, http: \"%s\"", shapeField, i*100+j, s.target()),
				fmt.Sprintf("redact: {headers: [x-card, x-back], body: ['%s']}\n%s", s.path, r.rule)))
		}
	}
	m := &mirror{seen: map[string]string{}}
	upstream := testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Back", secret)
		m.ServeHTTP(w, r)
	}))
	for _, l := range lanes(t) {
		car := startSidecar(t, l, upstream, files)
		for i, s := range secretBodies {
			for j, r := range redactings {
				for _, protocol := range protocols {
					for _, e := range []encoding{encodings[0], encodings[1], encodings[len(encodings)-1]} {
						id := fmt.Sprintf("%s %s %s %s %s", l.name, s.name, r.name, protocol, e)
						client := testbed.Client(t, protocol == "http2", car.addr)
						q := testbed.Request(t, "POST", "http://x"+s.target(), string(e.encode(t, s.body)), "Content-Type", s.contentType,
							caseField, id, shapeField, fmt.Sprint(i*100+j), "X-Card", secret)
						if e.name != "" {
							q.Header.Set("Content-Encoding", e.name)
						}
						got := testbed.Do(t, client, q)
						client.CloseIdleConnections()
						if got.Err != nil || got.StatusCode != 200 || got.Header.Get("X-Back") != secret {
							t.Fatalf("%s: %d, %v, %v", id, got.StatusCode, got.Header, got.Err)
						}
						arrived, _ := plainOf(e.name, []byte(m.seen[id]))
						if (r.name != "in place" && r.name != "by value") && arrived != s.body {
							t.Errorf("%s: %q went on as %q", id, s.body, arrived)
						}
						record, messages := car.record(t, id)
						told := everything(record, messages)
						if strings.Contains(told, "4111") || !strings.Contains(told, rules.Redacted) || record.Lane != l.shown {
							t.Errorf("%s: told\n%s", id, told)
						}
						shown := len(record.Request.Body.Bytes) > 0 || len(messages) > 0
						if withheld := record.Request.Body.Withheld != ""; shown == withheld {
							t.Errorf("%s: shown %v, withheld %v:\n%s", id, shown, withheld, told)
						}
						if r.name == "alone" && e.name != "x-odd" && !s.unread && s.name != "json list" && s.name != "json broken" && !shown {
							t.Errorf("%s: nothing is shown:\n%s", id, told)
						}
						explained, err := car.Explain(t.Context(), proxy.Question{Direction: rules.Inbound, Head: record.Call.Head, Body: e.encode(t, s.body), Response: record.Response.In, ResponseBody: e.encode(t, s.body)})
						if err != nil {
							t.Fatalf("%s: %v", id, err)
						}
						if told := everything(explained.Record, explained.Messages); strings.Contains(told, "4111") {
							t.Errorf("%s: explained as\n%s", id, told)
						}
					}
				}
			}
		}
	}
}

// everything is all that a record and its messages say.
func everything(r *proxy.Record, messages []*proxy.Message) string {
	var b strings.Builder
	say := func(what string, v any) { fmt.Fprintf(&b, "%s: %v\n", what, v) }
	head := func(what string, h *rules.Head) {
		if h != nil {
			say(what, fmt.Sprintf("%+v", *h))
		}
	}
	payload := func(what string, p *proxy.Payload) {
		name := ""
		if p.Codec != nil {
			name = p.Codec.Name()
		}
		text := p.Bytes
		if plain, err := plainOf(p.Encoding, p.Bytes); err == nil {
			text = []byte(plain)
		}
		say(what, fmt.Sprintf("%s %d %d %q %q", name, p.Size, p.Redacted, p.Withheld, text))
	}
	steps := func(what string, reports []rules.StepReport) {
		for _, s := range reports {
			body, _ := json.Marshal(s.Body)
			say(what, s.Step+" "+s.Result+" "+string(body))
			head(what, s.Head)
		}
	}
	for _, h := range []*proxy.Half{&r.Request, &r.Response} {
		head("in", h.In)
		head("out", h.Out)
		payload("body", &h.Body)
		payload("sent", &h.Sent)
		say("trailers", h.Trailers)
		steps("step", h.Steps)
	}
	head("call", r.Call.Head)
	if r.Error != nil {
		say("error", r.Error)
		for err := error(r.Error); err != nil; err = errors.Unwrap(err) {
			say("cause", err)
		}
	}
	for _, m := range messages {
		head("message of", m.Call.Head)
		payload("message", &m.In)
		for i := range m.Out {
			payload("became", &m.Out[i])
		}
		steps("step", m.Steps)
	}
	return b.String()
}

// TestNobodySeesWhatIsRedactedOfCallsInAnyLane does the same with gRPC calls of all
// kinds, their fields and trailers.
func TestNobodySeesWhatIsRedactedOfCallsInAnyLane(t *testing.T) {
	testbed.Leaks(t)
	var files []rules.File
	for _, r := range redactings {
		files = append(files, ruleFile(strings.ReplaceAll(r.name, " ", "-"), fmt.Sprintf(`grpc: "matrix.v1.Items/*", headers: {%s: %s}`, actionField, strings.ReplaceAll(r.name, " ", "-")),
			"redact: {headers: [x-card, x-trailer], body: .name}\n"+strings.ReplaceAll(strings.ReplaceAll(r.rule, ".added = 1", ".note = \"1\""), ".added = 2", ".note = \"2\"")))
	}
	up, service := startUpstream(t), newItems(t)
	for _, l := range lanes(t) {
		car := startSidecar(t, l, up.addr, files)
		for _, r := range redactings {
			for _, m := range methods {
				for _, e := range callEncodings {
					id := fmt.Sprintf("%s-%s-%s-%s", l.name, strings.ReplaceAll(r.name, " ", "-"), m.name, e)
					up.expect(id, script{call: func(w http.ResponseWriter, r *http.Request, s1 *seen) {
						service.serve(new(callAction), m, w, r, s1)
					}})
					conn := dial(t, car.addr)
					in := [][]byte{service.named(secret)}
					got := service.callOf(t, conn, "/matrix.v1.Items/"+m.name, in, e.name, false, caseField, id, actionField, strings.ReplaceAll(r.name, " ", "-"), "x-card", secret)
					conn.Close()
					if got.Code != "OK" || len(got.Messages) == 0 || !strings.Contains(got.Messages[0], secret) {
						t.Errorf("%s: got %+v", id, got)
					}
					record, messages := car.record(t, id)
					told := everything(record, messages)
					if strings.Contains(told, secret) || !strings.Contains(told, rules.Redacted) || strings.Contains(told, "{X-Trailer t}") || record.Lane != l.shown {
						t.Errorf("%s: told\n%s", id, told)
					}
					if len(messages) == 0 && (len(record.Request.Body.Bytes) == 0 || len(record.Response.Body.Bytes) == 0) {
						t.Errorf("%s: nothing is shown:\n%s", id, told)
					}
				}
			}
		}
	}
}

// What redact names is hidden of a stream from the next message on after it has
// gone live, and of the record at the stream's end.
func TestRedactReachesStreamsThatRun(t *testing.T) {
	testbed.Leaks(t)
	up, service := startUpstream(t), newItems(t)
	const steps = "request:\n  - jq: .note = \"1\"\n"
	for _, l := range lanes(t) {
		car := startSidecar(t, l, up.addr, []rules.File{ruleFile("a", "grpc: matrix.v1.Items/Bidi", steps)})
		up.expect(l.name, script{call: func(w http.ResponseWriter, r *http.Request, s1 *seen) {
			service.serve(new(callAction), methods[3], w, r, s1)
		}})
		ctx := metadata.AppendToOutgoingContext(t.Context(), caseField, l.name, "x-card", secret)
		call, err := dial(t, car.addr).NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/matrix.v1.Items/Bidi")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			message := service.named(secret)
			if err := errors.Join(call.SendMsg(&message), call.RecvMsg(&message)); err != nil {
				t.Fatal(err)
			}
			set, problems := rules.Compile([]rules.File{ruleFile("a", "grpc: matrix.v1.Items/Bidi", steps+"redact: {headers: x-card, body: .name}\n")})
			if set == nil {
				t.Fatal(problems)
			}
			car.Rules.Swap(set)
		}
		var message []byte
		if err := errors.Join(call.CloseSend(), call.RecvMsg(&message)); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		record, messages := car.record(t, l.name)
		var shown []string
		for _, m := range messages {
			if strings.Contains(everything(&proxy.Record{Call: record.Call}, []*proxy.Message{m}), secret) {
				shown = append(shown, fmt.Sprint(m.Index))
			}
		}
		if len(messages) < 2 || strings.Join(shown, " ") != strings.Repeat("0 ", len(shown)-1)+"0" {
			t.Errorf("%s: shown in messages %v of %d", l.name, shown, len(messages))
		}
		if told := everything(record, nil); strings.Contains(told, secret) {
			t.Errorf("%s: told\n%s", l.name, told)
		}
	}
}

// The message of a Connect call by GET stands in its query.
func TestNobodySeesTheMessageInAQueryInAnyLane(t *testing.T) {
	testbed.Leaks(t)
	upstream := testbed.HTTP(t, testbed.Loopback(t), &mirror{seen: map[string]string{}})
	for _, l := range lanes(t) {
		car := startSidecar(t, l, upstream, []rules.File{ruleFile("a", "grpc: matrix.v1.Items/Unary", "redact: {body: .name}\n")})
		for _, protocol := range protocols {
			id := l.name + " " + protocol
			client := testbed.Client(t, protocol == "http2", car.addr)
			testbed.Do(t, client, testbed.Request(t, "GET", "http://x/matrix.v1.Items/Unary?encoding=json&message=%7B%22name%22%3A%22"+secret+"%22%7D", "", caseField, id))
			client.CloseIdleConnections()
			record, messages := car.record(t, id)
			if told := everything(record, messages); strings.Contains(told, secret) || record.Route != "a" {
				t.Errorf("%s: told\n%s", id, told)
			}
		}
	}
}
