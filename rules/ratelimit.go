package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules/document"
)

// rateLimitText is a rate_limit block as it is written.
type rateLimitText struct {
	rate  document.Value[document.Rate]
	burst number
	key   text
}

func rateLimitTable() document.Table[rateLimitText] {
	type r = rateLimitText
	return document.Table[r]{
		document.Required(document.Key("rate", document.RateOf(), func(t *r) *document.Value[document.Rate] { return &t.rate },
			"How many exchanges may begin in a second, minute or hour.").Such("100/s", "1000/h")),
		document.Key("burst", document.Int(1, 1_000_000), func(t *r) *number { return &t.burst },
			"How many may begin at once after a pause; as many as the rate counts if absent."),
		document.Key("key", document.Program(), func(t *r) *text { return &t.key },
			"jq over the message, of a stream over its first one: each result has a limit of its own. Absent: there is one.").Such(".tenant.id", `$request.headers["x-tenant"]`),
	}
}

// RateLimit is the compiled rate_limit of a route. Its state lives with the caller.
type RateLimit struct {
	Interval time.Duration // in which one exchange may begin
	Burst    int           // that may begin at once

	// Spec is the block's normal form: state survives a reload that leaves it
	// equal.
	Spec string

	at  document.Position
	key *program // nil: there is one limit for all
}

// Limiter decides whether an exchange may begin by a rate limit. wait is how long
// one that may not would have to wait.
type Limiter interface {
	Allow(l *RateLimit, key string) (wait time.Duration, ok bool)
}

func keySees() sees {
	return sees{place: "rate_limit.key", allowed: []string{"$request", "$body", "$now"}}
}

func (c *compiler) rateLimit(v document.Value[rateLimitText]) *RateLimit {
	t := v.V
	key := compileProgram(t.key, keySees())
	if t.rate.At == nil {
		return nil
	}
	l := &RateLimit{
		Interval: t.rate.V.Per / time.Duration(t.rate.V.Count), Burst: int(t.burst.Or(t.rate.V.Count)),
		at: v.At.Position(), key: key,
	}
	l.Spec = fmt.Sprintf("%v %d %s", l.Interval, l.Burst, t.key.V)
	return l
}

// ReadsMessage reports whether the key is made of the message, so that a step of
// the request asks for it. Otherwise [Route.LimitKey] makes it.
func (l *RateLimit) ReadsMessage() bool { return l.key.readsMessage() }

// LimitKey is the key by which a request that was matched with params is counted, ""
// if all are counted together. It errs with a [*StepError].
func (r *Route) LimitKey(ctx context.Context, q *Request, params Params, now time.Time) (string, error) {
	if r.rateLimit.key == nil {
		return "", nil
	}
	key, err := r.rateLimit.keyOf(ctx, nil, &scope{request: q, params: params, now: now}, r.limits)
	if err != nil {
		return "", &StepError{Route: r, Step: limitKeyPath, Reason: reasonOf(err), Err: err}
	}
	return key, nil
}

const (
	limitPath    = "rate_limit"
	limitKeyPath = "rate_limit.key"
)

// errNoKey is a key that is no text, number, boolean or null.
var errNoKey = errors.New("the key is an array or an object")

// keyOf runs the key. Of different values the keys differ.
func (l *RateLimit) keyOf(ctx context.Context, message any, s *scope, limits Limits) (string, error) {
	s.body = message
	v, err := l.key.one(ctx, message, s, limits)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case map[string]any, []any:
		return "", errNoKey
	case string:
		return "\"" + v, nil
	case json.Number:
		return v.String(), nil
	}
	return fmt.Sprint(v), nil
}

// Refusal is what a caller is answered who has to wait.
func (l *RateLimit) Refusal(wait time.Duration) *Reject {
	return &Reject{Step: limitPath, Status: 429, GRPC: "RESOURCE_EXHAUSTED", Message: "too many requests", Reason: ReasonLimited, RetryAfter: wait}
}

// limitStep is the step that asks for a key of the message.
func (r *Route) limitStep() []step {
	if r.rateLimit == nil || !r.rateLimit.ReadsMessage() {
		return nil
	}
	return []step{{name: limitPath, at: r.rateLimit.at, limit: r.rateLimit}}
}

// limit refuses the exchange if too many have begun with its key.
func (r *run) limit(ctx context.Context, s *step, report *StepReport) error {
	var message codec.Value
	if r.Phase != StreamHead {
		if err := r.decoded(s.limit.key); err != nil {
			return err
		}
		message = r.Body.Value
	}
	key, err := s.limit.keyOf(ctx, message, &r.scope, r.limits)
	if err != nil {
		return err
	}
	report.Result = resultAllowed
	if r.Limiter == nil {
		return nil
	}
	if wait, ok := r.Limiter.Allow(s.limit, key); !ok {
		r.out.Reject, report.Result = s.limit.Refusal(wait), "rejected"
	}
	return nil
}

const resultAllowed = "allowed"
