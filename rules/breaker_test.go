package rules_test

import (
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/rules"
)

func breaker(t *testing.T, text string) *rules.Breaker {
	t.Helper()
	return compile(t, "a", "upstream:\n  breaker: "+text).Routes()[0].Breaker()
}

func TestBreakerDefaults(t *testing.T) {
	b := breaker(t, "{}")
	if b.Window != 10*time.Second || b.Open != 30*time.Second || b.Probes != 1 || b.Fallback != nil || b.FailureReadsBody() {
		t.Errorf("got %+v", b)
	}
	for _, tt := range []struct {
		outcome rules.Outcome
		want    bool
	}{
		{rules.Outcome{Status: 200}, false},
		{rules.Outcome{Status: 499}, false},
		{rules.Outcome{Status: 500}, true},
		{rules.Outcome{Error: "refused"}, true},
		{rules.Outcome{Status: 200, GRPCStatus: "OK"}, false},
		{rules.Outcome{Status: 200, GRPCStatus: "NOT_FOUND"}, false},
		{rules.Outcome{Status: 200, GRPCStatus: "UNAVAILABLE"}, true},
	} {
		if got, err := b.Failed(t.Context(), tt.outcome, instant); got != tt.want || err != nil {
			t.Errorf("%+v: got %t, %v", tt.outcome, got, err)
		}
	}
	for _, tt := range []struct {
		counts rules.Counts
		want   bool
	}{
		{rules.Counts{}, false},
		{rules.Counts{Requests: 19, Failures: 19}, false},
		{rules.Counts{Requests: 20, Failures: 10}, false},
		{rules.Counts{Requests: 20, Failures: 11}, true},
	} {
		if got, err := b.Trips(tt.counts); got != tt.want || err != nil {
			t.Errorf("%+v: got %t, %v", tt.counts, got, err)
		}
	}
}

func TestBreakerLooksIntoThePayload(t *testing.T) {
	b := breaker(t, "{failure: '.status >= 500 or (.body.errors | length) > 0'}")
	if !b.FailureReadsBody() {
		t.Error("the body is not read")
	}
	for _, tt := range []struct {
		body any
		want bool
	}{
		{nil, false},
		{map[string]any{"errors": []any{}}, false},
		{map[string]any{"errors": []any{"x"}}, true},
	} {
		if got, err := b.Failed(t.Context(), rules.Outcome{Status: 200, Body: tt.body}, instant); got != tt.want || err != nil {
			t.Errorf("%v: got %t, %v", tt.body, got, err)
		}
	}
}

func TestBreakerSeesTheWholeOutcome(t *testing.T) {
	b := breaker(t, `
    {failure: '.status == null and .grpc_status == null and .error == "timeout" and .duration_ms == 1500.5
      and .headers == {"a": "1, 2"} and .trailers == {"b": "3"} and .body == null and $now == 1767323045.5'}`)
	outcome := rules.Outcome{
		Error: "timeout", Duration: 1500*time.Millisecond + 500*time.Microsecond,
		Headers: rules.Fields{{Name: "A", Value: "1"}, {Name: "a", Value: "2"}}, Trailers: rules.Fields{{Name: "B", Value: "3"}},
	}
	if got, err := b.Failed(t.Context(), outcome, instant); !got || err != nil {
		t.Errorf("got %t, %v", got, err)
	}
}

func TestBreakerThatCannotTellHasNotTripped(t *testing.T) {
	b := breaker(t, "{trip: .failures / .requests > 0.5, failure: .status}")
	got, err := b.Trips(rules.Counts{})
	step, ok := err.(*rules.StepError)
	if got || !ok || step.Step != "upstream.breaker.trip" || step.Reason != rules.ReasonRuntime || step.Route.Name() != "a" {
		t.Errorf("got %t, %v", got, err)
	}
	failed, err := b.Failed(t.Context(), rules.Outcome{Status: 200}, instant)
	if step, ok := err.(*rules.StepError); failed || !ok || step.Reason != rules.ReasonNotBool {
		t.Errorf("got %t, %v", failed, err)
	}
}

func TestBreakerSpecChangesWithTheBlockAlone(t *testing.T) {
	spec := func(text string) string { return compile(t, "a", text).Routes()[0].Breaker().Spec }
	base := spec(`upstream: {breaker: {window: 10s}}`)
	if spec("match: {http: /a}\nupstream:\n  breaker: {probes: 1} # the default") != base {
		t.Error("a block that means the same has another spec")
	}
	for _, other := range []string{"window: 11s", "open: 1s", "probes: 2", "trip: .failures > 1", "failure: .status == 500", "fallback: {}"} {
		if spec("upstream: {breaker: {"+other+"}}") == base {
			t.Errorf("%s: the same spec", other)
		}
	}
}

func TestFallback(t *testing.T) {
	got := breaker(t, `{fallback: {status: 200, headers: {X-A: [a, b], b: c}, body: {n: 12345678901234567890, f: 1.50, l: [null, true, x]}}}`).Fallback
	if got.Status != 200 || got.GRPC != "OK" || !got.HasBody {
		t.Errorf("got %+v", got)
	}
	if want := `{"f":1.50,"l":[null,true,"x"],"n":12345678901234567890}`; encode(got.Body) != want {
		t.Errorf("got %s, want %s", encode(got.Body), want)
	}
	if want := (rules.Fields{{Name: "X-A", Value: "a"}, {Name: "X-A", Value: "b"}, {Name: "b", Value: "c"}}); len(got.Headers) != 3 || got.Headers[1] != want[1] {
		t.Errorf("got %v, want %v", got.Headers, want)
	}
	if got := breaker(t, `{fallback: {status: 503}}`).Fallback; got.GRPC != "UNAVAILABLE" || got.HasBody {
		t.Errorf("got %+v", got)
	}
	if got := breaker(t, `{fallback: {grpc: NOT_FOUND, body: null}}`).Fallback; got.Status != 404 || !got.HasBody || got.Body != nil {
		t.Errorf("got %+v", got)
	}
}

func TestLimitsHaveDefaults(t *testing.T) {
	got := compile(t, "a", "limits: {body: 1KiB}").Routes()[0].Limits()
	if want := (rules.Limits{Body: 1 << 10, Message: 4 << 20, Steps: 5_000_000, Time: time.Second}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
