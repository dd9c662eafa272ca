// Package jq runs jq programs that come from rule files over values that come
// from anywhere. It wraps gojq, whose builtins look at no context, so that a
// harmless program cannot be made to burn a processor or the memory by a
// hostile value.
//
// [Compile] resolves every name of a program itself. A builtin whose work grows
// with its operands is replaced by one of this package that is linear and pays
// for what it does; what would reach outside of the program is refused; the
// rest stays gojq's. What a program costs is counted in steps: one for each
// instruction, and one for about every sixteen bytes that a builtin touches.
// Steps depend on nothing but the program and its operands, so a run ends at
// the same place everywhere. The clock is only a backstop.
package jq

import (
	"errors"
	"fmt"
	"time"
)

// Problem is one thing wrong with a program.
type Problem struct {
	Offset, End int    // the place in the source, in bytes
	Code        string // jq-syntax, jq-undefined, jq-refused or jq-regex
	Message     string // one sentence, lower case, no final dot
	Hint        string // may be empty
}

// The codes of a [Problem].
const (
	CodeSyntax    = "jq-syntax"
	CodeUndefined = "jq-undefined"
	CodeRefused   = "jq-refused"
	CodeRegex     = "jq-regex"
)

// Limits bound one run. A zero field means the default beside it.
type Limits struct {
	Steps  int64         // 5,000,000
	Time   time.Duration // looked at every few thousand steps; 1 s
	Output int64         // of all results together, and of any one string made on the way, in bytes of JSON; 8 MiB

	// Account, if there is one, has the steps that are left to several runs, in place of
	// Steps. A run takes what it uses from it.
	Account *int64
}

func (l Limits) withDefaults() Limits {
	if l.Steps == 0 {
		l.Steps = 5_000_000
	}
	if l.Time == 0 {
		l.Time = time.Second
	}
	if l.Output == 0 {
		l.Output = 8 << 20
	}
	return l
}

// ErrBudget is what every [*BudgetError] wraps.
var ErrBudget = errors.New("over the budget")

// Budget names one of the [Limits].
type Budget string

// The budgets.
const (
	BudgetSteps  Budget = "steps"
	BudgetTime   Budget = "time"
	BudgetOutput Budget = "output"
)

// BudgetError says that a run was ended because it was over one of its limits.
// A program cannot catch it.
type BudgetError struct{ Which Budget }

func (e *BudgetError) Error() string { return "over the budget of " + string(e.Which) }

// Unwrap returns [ErrBudget].
func (e *BudgetError) Unwrap() error { return ErrBudget }

// RuntimeError says that a program raised an error. Msg holds nothing of the
// values that the program worked on, unless the program's own text says so.
type RuntimeError struct {
	Msg     string
	Preview string // of the value at fault, at most 32 bytes; may be empty
}

func (e *RuntimeError) Error() string {
	if e.Preview == "" {
		return e.Msg
	}
	return e.Msg + ": " + e.Preview
}

// PanicError says that a run panicked, which is a defect of this package or of
// gojq. It shows nothing of the values.
type PanicError struct {
	Kind  string // the panic's type, or its text if it came from the runtime
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %s", e.Kind) }
