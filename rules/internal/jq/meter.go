package jq

import (
	"context"
	"time"
)

// stride is how many steps pass between two looks at the clock and at the
// caller's context.
const stride = 4096

// meter counts the steps of one run. It is the context gojq runs under: gojq
// asks for Done once an instruction. Builtins of this package pay for what
// they do by charge. Once over, it stays over: whatever the program catches,
// the next instruction ends the run.
type meter struct {
	left    int64 // steps
	lookAt  int64 // look at the clock once left is at or below
	output  int64 // bytes left
	longest int64 // bytes of the longest string
	over    error

	account *int64          // nil if nothing is left to other runs
	parent  context.Context //nolint:containedctx // a meter is a context: gojq asks it once for each instruction
	allowed time.Duration
	began   time.Time // zero until the first look: short runs never ask the clock
	closed  chan struct{}
}

func (m *meter) start(ctx context.Context, l Limits) {
	m.parent, m.over, m.allowed, m.began = ctx, nil, l.Time, time.Time{}
	m.left, m.output, m.longest = l.Steps, l.Output, l.Output
	if m.account = l.Account; m.account != nil {
		m.left = *m.account
	}
	m.lookAt = max(m.left-stride, -1)
}

// Done implements [context.Context] and takes one step.
func (m *meter) Done() <-chan struct{} {
	m.left--
	if m.left > m.lookAt {
		return nil
	}
	m.look()
	if m.over != nil {
		return m.closed
	}
	return nil
}

// Err implements [context.Context].
func (m *meter) Err() error { return m.over }

// Deadline implements [context.Context].
func (m *meter) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements [context.Context].
func (m *meter) Value(any) any { return nil }

// charge takes n steps at once, before the work they stand for is done. It
// errs if they are not left.
func (m *meter) charge(n int) error {
	if int64(n) > m.left {
		m.fail(BudgetSteps)
		return m.over
	}
	m.left -= int64(n)
	if m.left <= m.lookAt {
		m.look()
	}
	return m.over
}

// take is charge for what costs little.
func (m *meter) take(n int64) error {
	if m.left -= n; m.left > m.lookAt {
		return nil
	}
	m.look()
	return m.over
}

// text charges for making or reading n bytes of text, and errs if no string
// may be as long.
func (m *meter) text(n int) error {
	if int64(n) > m.longest {
		m.fail(BudgetOutput)
		return m.over
	}
	return m.charge(n/16 + 1)
}

// pay is charge for code that goes on until it can stop: it reports whether
// the run goes on.
func (m *meter) pay(n int) bool { return m.charge(n) == nil }

func (m *meter) fail(which Budget) { m.end(&BudgetError{which}) }

// end ends the run with err, which the program cannot catch.
func (m *meter) end(err error) {
	if m.over == nil {
		m.over = err
	}
	m.left, m.lookAt = 0, 0
}

func (m *meter) look() {
	switch {
	case m.over != nil:
		return
	case m.left < 0:
		m.fail(BudgetSteps)
		return
	case m.began.IsZero():
		m.began = time.Now()
	case time.Since(m.began) > m.allowed:
		m.fail(BudgetTime)
		return
	}
	if err := m.parent.Err(); err != nil {
		m.end(err)
		return
	}
	m.lookAt = max(m.left-stride, -1)
}
