package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/demo"
)

// What the rates rule says, in numbers.
const (
	breakerFailures = 3
	breakerOpen     = time.Second
)

// breaker lets the shop's rates fail until the breaker opens, and heals them.
func (p *demoPlay) breaker(ctx context.Context) error {
	p.Title("3. A breaker around a failing dependency")
	if err := p.Rule(demo.Rates); err != nil {
		return err
	}
	p.Space()
	if err := p.tell(ctx, "fail on", "the shop's rates fail from now on"); err != nil {
		return err
	}
	for i := range breakerFailures {
		if err := p.rates(ctx, "503 ", false, fmt.Sprintf("failure %d of %d", i+1, breakerFailures)); err != nil {
			return err
		}
	}
	if err := p.breakerBecomes(ctx, "open", ""); err != nil {
		return err
	}
	if err := p.rates(ctx, `200 {"base":"EUR","rates":{},"stale":true}`, true, "the fallback; the shop was not asked"); err != nil {
		return err
	}
	if err := p.tell(ctx, "fail off", fmt.Sprintf("the rates are well again; the breaker stays open for %v", breakerOpen)); err != nil {
		return err
	}
	select {
	case <-time.After(breakerOpen):
	case <-ctx.Done():
		return ctx.Err()
	}
	probe, err := p.inside.ask(ctx, "rates 1")
	if err != nil {
		return err
	}
	if err := p.breakerBecomes(ctx, "half_open", "one probe may pass"); err != nil {
		return err
	}
	p.Exchange(probe.call, probe.text, true, "the probe reached the shop")
	return errors.Join(want("the probe", probe.text, "200 ", `"GBP":`), p.breakerBecomes(ctx, "closed", "it succeeded"))
}

// tell changes the shop's mood, beside Sluice.
func (p *demoPlay) tell(ctx context.Context, command, what string) error {
	told, err := p.outside.ask(ctx, command)
	if err == nil && !strings.HasPrefix(told.text, "200 ") {
		err = fmt.Errorf("%s -> %s", told.call, told.text)
	}
	if err != nil {
		return fmt.Errorf("tell the shop: %w", err)
	}
	p.Exchange(told.call, told.text, true, what)
	return nil
}

// rates asks for the rates through Sluice, and wants part in the answer.
func (p *demoPlay) rates(ctx context.Context, part string, good bool, remark string) error {
	got, err := p.inside.ask(ctx, "rates 1")
	if err != nil {
		return err
	}
	p.Exchange(got.call, got.text, good, remark)
	return want("rates", got.text, part)
}

// breakerBecomes waits for the next state change that the observers were told
// of, and prints it: why, or without one the counts that came with it.
func (p *demoPlay) breakerBecomes(ctx context.Context, state, why string) error {
	ctx, cancel := context.WithTimeout(ctx, answerBudget)
	defer cancel()
	select {
	case change := <-p.breakers:
		if why == "" {
			why = fmt.Sprintf("%d requests, %d failures", change.Counts.Requests, change.Counts.Failures)
		}
		p.Breaker(change.At.Local().Format("15:04:05.000"), change.Name, change.From, change.To, why)
		if change.To != state {
			return fmt.Errorf("breaker %s became %s, want %s", change.Name, change.To, state)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the breaker did not become %s", state)
	}
}
