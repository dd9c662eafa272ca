package jq

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/itchyny/gojq"
)

// Program is a compiled program. It is immutable and safe for concurrent use.
type Program struct {
	query     *gojq.Query
	direct    *direct // nil if only gojq can run it
	variables []string
	uses      map[string]bool
	reads     reading
	natives   map[string]bool
	regexps   map[regexKey]*regex
	texts     map[string]bool // its string literals
	idle      chan *machine   // machines that wait for a run
}

// machine is what one run at a time needs: gojq's code, whose functions are
// bound to the machine, and the state of the run.
type machine struct {
	meter
	program *Program
	code    *gojq.Code
	now     time.Time
	regexps map[regexKey]*regex // not known when the program was compiled

	slots   []any  // the variables of a direct program
	scratch [4]any // arguments of a native, while it runs
	made    []byte // of the strings that are being made
}

func (p *Program) machine() (*machine, error) {
	select {
	case m := <-p.idle:
		return m, nil
	default:
		return p.newMachine()
	}
}

// maxIdleText is how long a buffer may be that waits for the next run, in bytes.
const maxIdleText = 1 << 10

func (p *Program) release(m *machine) {
	if m.account != nil {
		*m.account = max(m.left, 0)
	}
	m.account, m.parent, m.now = nil, nil, time.Time{}
	clear(m.slots)
	clear(m.scratch[:])
	if cap(m.made) > maxIdleText {
		m.made = nil
	}
	clear(m.made[:cap(m.made)])
	select {
	case p.idle <- m:
	default:
	}
}

func idleMachines() chan *machine { return make(chan *machine, runtime.GOMAXPROCS(0)) }

// Run runs the program over input and calls emit with each result, in order.
// values stand in the order of the variables of [Compile]; nil is fine for one
// that the program does not use. Results share parts with input and values:
// neither may be changed, before or after. now is what the clock shows.
//
// The error is what emit returned, a [*BudgetError], a [*RuntimeError], a
// [*PanicError], or the error of ctx.
func (p *Program) Run(ctx context.Context, input any, values []any, limits Limits, now time.Time, emit func(any) error) (err error) {
	m, err := p.machine()
	if err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{Kind: panicKind(r), Stack: debug.Stack()}
			return // m is in an unknown state: let it go
		}
		p.release(m)
	}()
	m.start(ctx, limits.withDefaults())
	m.now = now
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.direct != nil {
		return p.runDirect(m, input, values, emit)
	}
	results := m.code.RunWithContext(m, input, values...)
	for {
		v, ok := results.Next()
		if m.over != nil {
			return m.over
		}
		if !ok {
			return nil
		}
		if err, ok := v.(error); ok {
			return p.runtimeError(err)
		}
		if err := m.result(v); err != nil {
			if m.over != nil {
				return m.over
			}
			return p.runtimeError(err)
		}
		if err := emit(v); err != nil {
			return err
		}
	}
}

func (p *Program) runDirect(m *machine, input any, values []any, emit func(any) error) error {
	copy(m.slots, values)
	var emitted error
	err := p.direct.run(m, input, func(v any) error {
		if m.over != nil {
			return m.over
		}
		if err := m.result(v); err != nil {
			return err
		}
		emitted = emit(v)
		return emitted
	})
	switch {
	case emitted != nil:
		return emitted
	case m.over != nil:
		return m.over
	case err != nil:
		return p.runtimeError(err)
	}
	return nil
}

// panicKind says what kind of panic it was without any of its values.
func panicKind(r any) string {
	if err, ok := r.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", r)
}
