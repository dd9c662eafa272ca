package matrix

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// limits are rate limits of two exchanges, with requests in order and what each is
// answered.
var limits = []struct {
	name, rule, contentType string
	asked                   []limited
}{
	{"alone", "rate_limit: {rate: 1/h, burst: 2}\n", "application/json", []limited{{"{}", "", "200"}, {"{}", "", "200"}, {"{}", "", "429 rate_limit; rate_limited"}}},
	{"by field", "rate_limit: {rate: 1/h, burst: 1, key: '$request.headers[\"x-tenant\"]'}\nrequest:\n  - jq: .added = 1\n", "application/json",
		[]limited{{"{}", "a", "200"}, {"{}", "b", "200"}, {"{}", "a", "429 rate_limit; rate_limited"}, {"{}", "", "200"}, {"{}", "", "429 rate_limit; rate_limited"}}},
	{"by body", "rate_limit: {rate: 1/h, burst: 1, key: .tenant.id}\n", "application/json", []limited{
		{`{"tenant":{"id":1}}`, "", "200"}, {`{"tenant":{"id":"1"}}`, "", "200"}, {`{ "tenant": {"id": 1}}`, "", "429 rate_limit; rate_limited"},
		{"{}", "", "200"}, {"", "", "429 rate_limit; rate_limited"},
		{`{"tenant":{"id":{}}}`, "", "400 rate_limit.key; bad_key"}, {`{"tenant":7}`, "", "502 rate_limit.key; jq_error"}, {`{"tenant"`, "", "400 rate_limit.key; decode"},
	}},
	{"by body, steps", "rate_limit: {rate: 1/h, burst: 1, key: $body.id}\nrequest:\n  - head: .headers[\"x-id\"] = \"\\($body.id)\"\n  - jq: .id = 7\n", "application/json",
		[]limited{{`{"id":1}`, "", "200"}, {`{"id":1}`, "", "429 rate_limit; rate_limited"}, {`{"id":7}`, "", "200"}}},
	{"by body, pass", "on_error: pass\nrate_limit: {rate: 1/h, burst: 1, key: .id}\n", "application/json", []limited{{`{"id":`, "", "200"}, {`{"id":`, "", "200"}}},
	{"of text", "rate_limit: {rate: 1/h, burst: 1, key: .id}\n", "text/plain", []limited{{"x", "", "400 rate_limit.key; skipped_format"}}},
	{"by message", "rate_limit: {rate: 1/h, burst: 1, key: .id}\n", "application/x-ndjson",
		[]limited{{"{\"id\":1}\n{\"id\":2}\n{\"id\":2}\n", "", "200"}, {"{\"id\":2}\n", "", "200"}, {"{\"id\":1}\n{\"id\":3}\n", "", "429 rate_limit; rate_limited"}}},
	{"of connect", "rate_limit: {rate: 1/h, burst: 1, key: .name}\n", "application/connect+json",
		[]limited{{enveloped(`{"name":"a"}`, `{"name":"b"}`), "", "200"}, {enveloped(`{"name":"b"}`), "", "200"}, {enveloped(`{"name":"a"}`), "", "200 resource_exhausted"}}},
	{"of grpc-web", "rate_limit: {rate: 1/h, burst: 1, key: .name}\n", "application/grpc-web+proto",
		[]limited{{enveloped("\x0a\x01a"), "", "200"}, {enveloped("\x0a\x01a"), "", "200 rate_limit; rate_limited"}}},
}

// limited is one request to a route with a limit: its body, its tenant, and what
// it is answered.
type limited struct{ body, tenant, want string }

func TestRatesAreLimitedInEveryLane(t *testing.T) {
	testbed.Leaks(t)
	m := &mirror{seen: map[string]string{}}
	upstream := testbed.HTTP(t, testbed.Loopback(t), m)
	for _, l := range lanes(t) {
		for _, protocol := range protocols {
			for i, limit := range limits {
				path := fmt.Sprintf("/limit%d", i)
				match := "http: " + path
				if strings.HasPrefix(limit.name, "of ") && limit.name != "of text" {
					path = "/matrix.v1.Items/Bidi"
					match = "grpc: matrix.v1.Items/Bidi"
				}
				car := startSidecar(t, l, upstream, []rules.File{ruleFile("limit", match, limit.rule)})
				client := testbed.Client(t, protocol == "http2", car.addr)
				for j, asked := range limit.asked {
					id := fmt.Sprintf("%s %s %s %d", l.name, protocol, limit.name, j)
					q := testbed.Request(t, "POST", "http://x"+path, asked.body, "Content-Type", limit.contentType, caseField, id)
					if asked.tenant != "" {
						q.Header.Set("X-Tenant", asked.tenant)
					}
					got := testbed.Do(t, client, q)
					record, _ := car.record(t, id)
					said := strings.TrimSpace(fmt.Sprint(got.StatusCode, " ", strings.TrimPrefix(got.Header.Get("X-Sluice-Error"), "limit/")))
					if strings.Contains(got.Text, "resource_exhausted") {
						said = "200 resource_exhausted"
					}
					if said != asked.want || got.Err != nil {
						t.Errorf("%s: got %s, %v, want %s; %s", id, said, got.Err, asked.want, got.Text)
					}
					refused := strings.Contains(asked.want, "rate_limited") || strings.Contains(asked.want, "exhausted")
					wait := got.Header.Get("Retry-After")
					if refused != (record.Answered == "rate_limit") || record.Lane != l.shown || strings.HasPrefix(asked.want, "429") && (len(wait) != 4 || wait[:2] != "35" && wait != "3600") {
						t.Errorf("%s: answered by %q, Retry-After %s", id, record.Answered, wait)
					}
					if sent := m.seen[id]; (sent != "") != (asked.want == "200" && asked.body != "") {
						t.Errorf("%s: the upstream has got %q", id, sent)
					}
				}
				client.CloseIdleConnections()
			}
		}
	}
}

// A limit that a reload leaves as it is goes on where it was.
func TestRateLimitsSurviveReloadsThatLeaveThem(t *testing.T) {
	testbed.Leaks(t)
	upstream := testbed.HTTP(t, testbed.Loopback(t), &mirror{seen: map[string]string{}})
	for _, l := range lanes(t) {
		car := startSidecar(t, l, upstream, nil)
		client := testbed.Client(t, false, car.addr)
		for i, step := range []struct {
			rule string
			want int
		}{
			{"rate_limit: {rate: 1/h, burst: 1}\n", 200},
			{"rate_limit: {rate: 1/h, burst: 1}\nrequest: [{jq: .a = 1}]\n", 429},
			{"rate_limit: {rate: 1/h, burst: 2}\n", 200},
			{"rate_limit: {burst: 2, rate: 1/h}\n", 200},
			{"rate_limit: {burst: 2, rate: 1/h}\n", 429},
		} {
			set, problems := rules.Compile([]rules.File{ruleFile("a", "http: /", step.rule)})
			if set == nil {
				t.Fatal(problems)
			}
			car.Rules.Swap(set)
			got := testbed.Do(t, client, testbed.Request(t, "POST", "http://x/", "{}", "Content-Type", "application/json"))
			if got.StatusCode != step.want {
				t.Errorf("%s: %d: got %d, want %d", l.name, i, got.StatusCode, step.want)
			}
		}
		client.CloseIdleConnections()
	}
}

// Calls are counted at their beginning: by their head, or by their first message.
func TestRatesOfCallsAreLimitedInEveryLane(t *testing.T) {
	testbed.Leaks(t)
	up, service := startUpstream(t), newItems(t)
	for _, l := range lanes(t) {
		for _, m := range methods {
			for _, test := range []struct{ name, rule string }{
				{"head", "rate_limit: {rate: 1/h, burst: 1, key: '$request.headers[\"x-tenant\"]'}\n"},
				{"head and steps", "rate_limit: {rate: 1/h, burst: 1, key: '$request.headers[\"x-tenant\"]'}\nrequest: [{jq: '.note = \"1\"'}]\n"},
				{"message", "rate_limit: {rate: 1/h, burst: 1, key: .name}\n"},
				{"message and steps", "rate_limit: {rate: 1/h, burst: 1, key: .name}\nrequest: [{jq: '.note = \"1\"'}]\n"},
			} {
				car := startSidecar(t, l, up.addr, []rules.File{ruleFile("a", "grpc: matrix.v1.Items/*", test.rule)})
				conn := dial(t, car.addr)
				for i, tenant := range []string{"a", "b", "a", "b"} {
					id := fmt.Sprintf("%s-%s-%s-%d", l.name, m.name, strings.ReplaceAll(test.name, " ", "-"), i)
					up.expect(id, script{call: func(w http.ResponseWriter, r *http.Request, s1 *seen) {
						service.serve(new(callAction), m, w, r, s1)
					}})
					in := [][]byte{service.named(tenant)}
					if m.streamed {
						in = append(in, service.named("a"), service.named("other"))
					}
					got := service.callOf(t, conn, "/matrix.v1.Items/"+m.name, in, "", false, caseField, id, "x-tenant", tenant)
					want := "OK"
					if i >= 2 {
						want = "ResourceExhausted"
					}
					record, _ := car.record(t, id)
					said := append(slices.Clone(got.Fields), got.Trailers...)
					refused := slices.Contains(said, "x-sluice-error: a/rate_limit; rate_limited") && slices.ContainsFunc(said, func(f string) bool { return strings.HasPrefix(f, "retry-after: 3") })
					if got.Code != want || refused != (i >= 2) || (record.Answered == "rate_limit") != refused || record.Lane != l.shown {
						t.Errorf("%s: got %s, %v, answered by %q, want %s", id, got.Code, said, record.Answered, want)
					}
				}
				conn.Close()
			}
		}
	}
}

// faults are faults, what a request with and without x-chaos is answered, and
// whether the upstream is asked.
var faults = []struct{ name, rule, with, without string }{
	{"abort", "fault: {abort: {status: 418}}\n", "418 fault; fault", "418 fault; fault"},
	{"when", "fault: {when: '.headers[\"x-chaos\"] == \"1\"', abort: {}}\n", "503 fault; fault", "200"},
	{"after steps", "fault: {when: '.headers[\"x-chaos\"] == \"2\"', abort: {}}\nrequest:\n  - head: '.headers[\"x-chaos\"] |= if . then \"2\" else . end'\n  - jq: .added = 1\n", "503 fault; fault", "200"},
	{"by body", "fault: {when: '$body.chaos == \"1\"', abort: {grpc: NOT_FOUND}}\n", "404 fault; fault", "200"},
	{"by body after steps", "fault: {when: '$body.chaos == \"2\" and .headers[\"x-chaos\"] == \"1\"', abort: {grpc: NOT_FOUND}}\nrequest:\n  - when: .chaos != null\n    jq: .chaos = \"2\"\n", "404 fault; fault", "200"},
	{"delay", "fault: {when: '.headers[\"x-chaos\"] == \"1\"', delay: 20ms}\n", "200", "200"},
	{"delay and abort", "fault: {when: '.headers[\"x-chaos\"] == \"1\"', delay: 20ms, abort: {status: 500}}\n", "500 fault; fault", "200"},
	{"never", "fault: {abort: {}, sample: 0%}\n", "200", "200"},
	{"fails", "fault: {when: '.headers[\"x-chaos\"]', abort: {}}\n", "502 fault.when; not_boolean", "502 fault.when; not_boolean"},
	{"fails, pass", "on_error: pass\nfault: {when: '.headers[\"x-chaos\"]', abort: {}}\n", "200", "200"},
	{"breaker", "fault: {when: '.headers[\"x-chaos\"] == \"1\"', abort: {}}\nupstream:\n  breaker: {trip: .failures > 0}\n", "503 fault; fault", "200"},
}

func TestFaultsAreInjectedInEveryLane(t *testing.T) {
	testbed.Leaks(t)
	m := &mirror{seen: map[string]string{}}
	upstream := testbed.HTTP(t, testbed.Loopback(t), m)
	var files []rules.File
	for i, f := range faults {
		files = append(files, ruleFile(fmt.Sprintf("f%d", i), fmt.Sprintf("http: /fault%d", i), f.rule))
	}
	for _, l := range lanes(t) {
		car := startSidecar(t, l, upstream, files)
		for _, protocol := range protocols {
			client := testbed.Client(t, protocol == "http2", car.addr)
			for i, f := range faults {
				for round := range 4 {
					id := fmt.Sprintf("%s %s %s %d", l.name, protocol, f.name, round)
					want, body := f.without, `{"n":1}`
					q := testbed.Request(t, "POST", fmt.Sprintf("http://x/fault%d", i), "")
					if round%2 == 0 {
						want, body = f.with, `{"chaos":"1"}`
					}
					q = testbed.Request(t, "POST", q.URL.String(), body, "Content-Type", "application/json", caseField, id)
					if round%2 == 0 {
						q.Header.Set("X-Chaos", "1")
					}
					began := time.Now()
					got := testbed.Do(t, client, q)
					took := time.Since(began)
					said := strings.TrimSpace(fmt.Sprint(got.StatusCode, " ", strings.TrimPrefix(got.Header.Get("X-Sluice-Error"), fmt.Sprintf("f%d/", i))))
					record, _ := car.record(t, id)
					if aborted := strings.HasSuffix(want, "; fault"); said != want || got.Err != nil || aborted != (record.Answered == "fault") || record.Lane != l.shown || (m.seen[id] != "") != (want == "200") {
						t.Errorf("%s: got %s, %v, answered by %q, sent %q, want %s", id, said, got.Err, record.Answered, m.seen[id], want)
					}
					if delayed := strings.HasPrefix(f.name, "delay") && round%2 == 0; delayed && took < 20*time.Millisecond || delayed != slices.ContainsFunc(record.Request.Steps, func(s rules.StepReport) bool { return s.Step == "fault" && s.Took >= 20*time.Millisecond }) {
						t.Errorf("%s: took %v, %+v", id, took, record.Request.Steps)
					}
				}
			}
			client.CloseIdleConnections()
		}
		for _, b := range car.Breakers() {
			if b.Counts.Failures > 0 || b.State != "closed" || b.Counts.Requests == 0 {
				t.Errorf("%s: breaker %+v", l.name, b)
			}
		}
	}
}

func TestFaultsOfCallsAreInjectedInEveryLane(t *testing.T) {
	testbed.Leaks(t)
	up, service := startUpstream(t), newItems(t)
	for _, l := range lanes(t) {
		for _, m := range methods {
			for _, test := range []struct{ name, rule string }{
				{"head", "fault: {when: '.headers[\"x-chaos\"] == \"1\"', delay: 5ms, abort: {grpc: DATA_LOSS}}\n"},
				{"head and steps", "fault: {when: '.headers[\"x-chaos\"] == \"1\"', abort: {grpc: DATA_LOSS}}\nresponse: [{jq: '.note = \"1\"'}]\n"},
				{"message", "fault: {when: '$body.name == \"chaos\"', abort: {grpc: DATA_LOSS}}\n"},
			} {
				car := startSidecar(t, l, up.addr, []rules.File{ruleFile("a", "grpc: matrix.v1.Items/*", test.rule)})
				conn := dial(t, car.addr)
				for i, name := range []string{"chaos", "calm", "chaos"} {
					id := fmt.Sprintf("fault-%s-%s-%s-%d", l.name, m.name, strings.ReplaceAll(test.name, " ", "-"), i)
					up.expect(id, script{call: func(w http.ResponseWriter, r *http.Request, s1 *seen) {
						service.serve(new(callAction), m, w, r, s1)
					}})
					fields, want := []string{caseField, id}, "OK"
					if name == "chaos" {
						fields, want = append(fields, "x-chaos", "1"), "DataLoss"
					}
					got := service.callOf(t, conn, "/matrix.v1.Items/"+m.name, [][]byte{service.named(name)}, "", false, fields...)
					record, _ := car.record(t, id)
					if got.Code != want || (record.Answered == "fault") != (want != "OK") || (len(up.saw(id)) > 0) != (want == "OK") {
						t.Errorf("%s: got %s %s, answered by %q, %d asked", id, got.Code, got.Message, record.Answered, len(up.saw(id)))
					}
				}
				conn.Close()
			}
		}
	}
}

// A share of the exchanges has the fault, and the same ones for the same seed.
func TestFaultsAreSampled(t *testing.T) {
	testbed.Leaks(t)
	upstream := testbed.HTTP(t, testbed.Loopback(t), &mirror{seen: map[string]string{}})
	for _, l := range lanes(t) {
		var rounds []string
		for range 2 {
			car := startSidecar(t, l, upstream, []rules.File{ruleFile("a", "http: /", "fault: {abort: {status: 500}, sample: 25%}\n")})
			client := testbed.Client(t, false, car.addr)
			round := ""
			for range 80 {
				round += fmt.Sprint(testbed.Do(t, client, testbed.Request(t, "GET", "http://x/", "")).StatusCode / 100)
			}
			client.CloseIdleConnections()
			rounds = append(rounds, round)
		}
		if hit := strings.Count(rounds[0], "5"); rounds[0] != rounds[1] || hit < 5 || hit > 40 {
			t.Errorf("%s: %d of 80, %s, then %s", l.name, hit, rounds[0], rounds[1])
		}
	}
}

// Whoever hangs up while a fault delays is not waited for, and nobody is while the
// proxy drains.
func TestDelaysEndWithTheirCallersAndWhileDraining(t *testing.T) {
	testbed.Leaks(t)
	upstream := testbed.HTTP(t, testbed.Loopback(t), &mirror{seen: map[string]string{}})
	gone := func(car *sidecar, id string) {
		if record, _ := car.record(t, id); record.Error == nil || record.Error.Origin != proxy.OriginCaller || record.Attempts > 0 {
			t.Errorf("%s: record %+v", id, record)
		}
	}
	for _, l := range lanes(t) {
		car := startSidecar(t, l, upstream, []rules.File{ruleFile("a", "grpc: matrix.v1.Items/*", "fault: {delay: 1h}\n"), ruleFile("b", "http: /", "fault: {delay: 1h}\n")})
		ctx, hangUp := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), caseField, l.name+" call"))
		if _, err := dial(t, car.addr).NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/matrix.v1.Items/Bidi"); err != nil {
			t.Fatal(err)
		}
		hangUp()
		gone(car, l.name+" call")

		c := testbed.Dial(t, car.addr)
		if err := testbed.Play(c, testbed.Send("GET / HTTP/1.1\r\nHost: x\r\n"+caseField+": "+l.name+" reset\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		c.SetLinger(0)
		c.Close()
		gone(car, l.name+" reset")

		var waiting sync.WaitGroup
		for _, protocol := range protocols {
			client := testbed.Client(t, protocol == "http2", car.addr)
			waiting.Go(func() {
				if got := testbed.Do(t, client, testbed.Request(t, "POST", "http://x/", "sent")); got.StatusCode != 200 || got.Text != "sent" {
					t.Errorf("%s %s: while draining: got %d %q, %v", l.name, protocol, got.StatusCode, got.Text, got.Err)
				}
				client.CloseIdleConnections()
			})
		}
		if err := car.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		waiting.Wait()
	}
}
