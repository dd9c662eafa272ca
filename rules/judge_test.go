package rules

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
)

// judging compiles a route with this breaker and where.
func judging(t testing.TB, failure, where string) *Route {
	t.Helper()
	text := "match:\n  http: /\n"
	if where != "" {
		text += "  where: '" + where + "'\n"
	}
	text += "upstream:\n  breaker:\n    window: 10s\n"
	if failure != "" {
		text += "    failure: '" + failure + "'\n"
	}
	set, problems := Compile([]File{{Name: "rules/a.yaml", Text: []byte(text)}})
	if set == nil {
		t.Fatalf("%s: %+v", failure, problems)
	}
	return set.Routes()[0]
}

func answers() []Outcome {
	return []Outcome{
		{Status: 200, Headers: Fields{{"Content-Type", "application/json"}, {"X-A", "1"}, {"x-a", "2"}}, Duration: 1500 * time.Microsecond},
		{Status: 503, GRPCStatus: "UNAVAILABLE", Trailers: Fields{{"X-B", "\xff"}}},
		{Error: "reset"},
		{},
	}
}

// A failure says of a text what it says of its value, where it is sure.
func TestAFailureOnATextIsThatOnItsValue(t *testing.T) {
	texts := []string{
		`{"error": {"code": 7}, "errors": ["x"], "n": 1.0}`, `{"error": null, "errors": []}`, `{}`, `[]`, `null`, `"x"`, `7`, `{"error": 1, "error": null}`, `{"error": `, `{"errors": {"a": 1}}`, ` `,
	}
	for _, test := range []struct {
		failure string
		sure    bool // of the first text
	}{
		{`.body.error != null`, true},
		{`.status >= 500 or (.body.errors | length) > 0`, true},
		{`.body == null`, true},
		{`.body.error.code == 7 and .headers["x-a"] == "1, 2"`, true},
		{`.trailers["x-b"] == .body or .body.n == 1`, true},
		{`any(.body.errors[]; . == "x") and .duration_ms < 2 and $now > 1`, true},
		{`.body.error`, false},
		{`.body | has("error")`, true},
		{`[.body.errors[] | length] == [1]`, false},
		{`.body as $b | $b.error != null`, false},
		{`. | length > 3`, false},
		{`.body.n.m == 1`, false},
	} {
		b := judging(t, test.failure, "").Breaker()
		if !b.FailureReadsBody() || (b.failure.why == "") != (b.failure.plan != nil) {
			t.Errorf("%s: why %q", test.failure, b.failure.why)
		}
		for i, text := range texts {
			for k, o := range answers() {
				failed, sure := b.FailedOn(o, json.Codec{}, []byte(text), codec.Limits{}, time.Unix(5, 0))
				if i == 0 && k == 0 && sure != test.sure {
					t.Errorf("%s: sure %v, want %v", test.failure, sure, test.sure)
				}
				if !sure {
					continue
				}
				v, _, err := json.Codec{}.Decode([]byte(text), codec.Limits{})
				if err != nil {
					t.Errorf("%s of %s: sure of what is no JSON", test.failure, text)
				}
				o.Body = v
				want, err := b.failure.condition(t.Context(), viewOutcome(&o, b.failure.program), &scope{now: time.Unix(5, 0)}, b.route.limits)
				if failed != want || err != nil {
					t.Errorf("%s of %s, %+v: got %v, want %v %v", test.failure, text, o, failed, want, err)
				}
			}
		}
	}
}

// Conditions that no message is part of are the same as a plan, and fail alike.
func TestConditionsAsPlansAreTheirPrograms(t *testing.T) {
	same := func(j *judge, input map[string]any, s *scope) {
		t.Helper()
		got, gotErr := j.holds(t.Context(), input, s, limitsOf(nil))
		want, wantErr := j.condition(t.Context(), input, s, limitsOf(nil))
		if got != want || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Errorf("%s of %v: got %v %v, want %v %v", j.source, input, got, gotErr, want, wantErr)
		}
	}
	for _, failure := range []string{"", `.status == null`, `.headers["x-a"] | test("^1")`, `.trailers | length > 0`, `.status`, `.body.a == null`, `.error | ascii_downcase == "reset"`} {
		b := judging(t, failure, "").Breaker()
		for _, o := range answers() {
			same(b.failure, viewOutcome(&o, b.failure.program), &scope{})
		}
		for _, c := range []Counts{{}, {Requests: 20, Failures: 11}, {Requests: 20, Failures: 10}} {
			same(b.trip, viewCounts(c), &scope{})
		}
	}
	q := &Request{ID: "7", Direction: Inbound, Head: &Head{Method: "GET", Path: "/a%2fb", Query: "dry_run=true&n=%ff", Host: "x", Fields: Fields{{"X-A", "1"}, {"X-A", "\xff"}}}}
	for _, where := range []string{
		`.query.dry_run != "true"`, `.headers["x-a"] == "1, \ufffd"`, `.path | startswith("/a")`, `.params.id == null`, `$request.id == "7" and $request.direction == .method`, `.query.n | length == 1`,
		`.headers`, `.query | keys | length == 2`, `.host | test("X"; "i")`, `.method | IN("GET", "HEAD")`, `.query.n < "b"`,
	} {
		r := judging(t, "", where)
		same(r.match.where, viewHead(q.Head, Params{}), &scope{request: q})
	}
}

// ordersOf is a text of about size bytes as services send them.
func ordersOf(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"error":null,"errors":[],"items":[`)
	for i := 0; b.Len() < size-80; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"sku":"A-%05d","price":%d.50,"tags":["new","sale"],"ok":true,"note":null}`, i, i, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// BenchmarkFailureOfABody is a breaker's failure on a response that nobody else
// looks into: on its text, and on its value, as it has to be for other programs.
func BenchmarkFailureOfABody(b *testing.B) {
	breaker := judging(b, ".status >= 500 or .body.error != null", "").Breaker()
	outcome := Outcome{Status: 200, Headers: Fields{{"Content-Type", "application/json"}, {"Date", "today"}}, Duration: time.Millisecond}
	for _, size := range []int{1 << 10, 16 << 10} {
		text := ordersOf(size)
		b.Run(fmt.Sprintf("%d/text", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if failed, sure := breaker.FailedOn(outcome, json.Codec{}, text, codec.Limits{}, time.Time{}); failed || !sure {
					b.Fatal(failed, sure)
				}
			}
		})
		b.Run(fmt.Sprintf("%d/value", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				value, _, err := json.Codec{}.Decode(text, codec.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				o := outcome
				o.Body = value
				if failed, err := breaker.Failed(context.Background(), o, time.Time{}); failed || err != nil {
					b.Fatal(failed, err)
				}
			}
		})
	}
}

// BenchmarkConditions are those that look at no message, as a plan and as a
// program.
func BenchmarkConditions(b *testing.B) {
	breaker := judging(b, "", "").Breaker()
	outcome := &Outcome{Status: 200, Headers: Fields{{"Content-Type", "application/json"}, {"Date", "today"}}, Duration: time.Millisecond}
	run := func(name string, j *judge, input func() map[string]any) {
		for _, planned := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/plan=%v", name, planned), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					var err error
					if planned {
						_, err = j.holds(b.Context(), input(), &scope{}, breaker.route.limits)
					} else {
						_, err = j.condition(b.Context(), input(), &scope{}, breaker.route.limits)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	run("failure", breaker.failure, func() map[string]any { return viewOutcome(outcome, breaker.failure.program) })
	where := judging(b, "", `.query.dry_run != "true" and .headers["x-tenant"] == "acme"`).match.where
	head := &Head{Method: "GET", Path: "/orders", Query: "dry_run=false", Host: "orders", Fields: Fields{{"X-Tenant", "acme"}, {"Accept", "*/*"}}}
	run("where", where, func() map[string]any { return viewHead(head, Params{}) })
	run("trip", breaker.trip, func() map[string]any { return viewCounts(Counts{Requests: 100, Failures: 3}) })
}
