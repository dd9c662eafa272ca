package proxy

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/rules"
)

// This file is what a route does to exchanges for their number or on purpose:
// rate limits, before the steps, and faults, behind those of the request. What
// either decides by the message is a step of the request's.

var _ rules.Limiter = (*exchange)(nil)

// Allow implements [rules.Limiter]: the instant is that of the exchange. An
// explanation never runs into a limit, however many there are of one route.
func (x *exchange) Allow(l *rules.RateLimit, key string) (wait time.Duration, ok bool) {
	if x.inShadow || x.record.Lane == LaneNone {
		return 0, true
	}
	return x.p.limiters.Get(x.route.Name(), l.Spec, l.Interval, l.Burst).Allow(key, x.record.Started)
}

// limit counts the exchange where its head says by what. Its error is a rejection,
// or that of a key.
func (x *exchange) limit() error {
	if x.route == nil {
		return nil
	}
	l := x.route.RateLimit()
	if l == nil || l.ReadsMessage() {
		return nil
	}
	seen := &x.record.Request
	key, err := x.route.LimitKey(x.ctx, x.record.Call, x.params, x.record.Started)
	if err != nil {
		seen.Steps = append(seen.Steps, rules.StepReport{Step: "rate_limit", Result: "failed"})
		return x.stepFailed(err, nil, "")
	}
	if wait, ok := x.Allow(l, key); !ok {
		seen.Steps = append(seen.Steps, rules.StepReport{Step: "rate_limit", Result: "rejected"})
		return &rejection{l.Refusal(wait)}
	}
	seen.Steps = append(seen.Steps, rules.StepReport{Step: "rate_limit", Result: "allowed"})
	return nil
}

// injectFault does to the exchange what its route's fault says. Its error is a
// rejection, that of a condition, or says that the caller did not wait. Nobody has
// asked the breaker yet, nor the upstream. An explanation waits for nothing, and
// takes every sample.
func (x *exchange) injectFault(ctx context.Context) error {
	if x.route == nil || x.route.Fault() == nil || x.inShadow {
		return nil
	}
	f, hit := x.route.Fault(), x.faulty
	if !f.ReadsBody() {
		var err error
		if hit, err = x.route.HasFault(x.ctx, x.request.out, x.record.Call, x.params, x.record.Started); err != nil {
			return x.stepFailed(err, nil, "")
		}
	}
	explained := x.record.Lane == LaneNone
	if !hit || !explained && !x.p.draws.hits(f.Sample) {
		return nil
	}
	report := rules.StepReport{Step: "fault", Result: "delayed"}
	var err error
	if f.Delay > 0 && !explained {
		began := time.Now()
		err = x.pause(ctx, f.Delay)
		report.Took = time.Since(began)
	}
	if err == nil && f.Abort != nil {
		report.Result, err = "rejected", &rejection{f.Abort}
	}
	x.record.Request.Steps = append(x.record.Request.Steps, report)
	return err
}

// pause waits for d, or until the proxy drains. It errs if the caller is gone, or
// its time is up.
func (x *exchange) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-x.p.drains:
	case <-ctx.Done():
		return x.callerGone()
	}
	return nil
}

// draws decides by lot. It is safe for concurrent use.
type draws struct {
	mu     sync.Mutex // guards source
	source *rand.Rand
}

// newDraws draws the same lots for the same seed, but for zero.
func newDraws(seed uint64) draws {
	if seed == 0 {
		seed = rand.Uint64()
	}
	return draws{source: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // nobody gains by guessing who has a fault
}

// hits reports whether one of a share, from 0 to 1, is drawn.
func (d *draws) hits(share float64) bool {
	if share >= 1 {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.source.Float64() < share
}
