package jq

import (
	"errors"
	"slices"

	"github.com/itchyny/gojq"
)

// Most programs need no virtual machine: no recursion, no path that is made
// while it is followed. A direct program is such a one as closures over the
// machine, several times as fast as gojq's instructions and with the same
// results. It is made from the rewritten query, so that it calls the same
// natives and pays the same guards. Whatever it does not know makes it nil, and
// gojq runs the program.
//
// A step of a direct program stands for about what an instruction of gojq's
// does. Closures never call each other in a circle: what a run needs of the
// stack depends on the program's text and on the depth of values, which is
// bounded.

// one makes the only result for v. If its filter is sparse it may return
// nothing.
type one func(m *machine, v any) (any, error)

// stream calls yield with each result for v and ends at yield's first error,
// which it returns as it is.
type stream func(m *machine, v any, yield func(any) error) error

// filter is a compiled part of a program: a one or a stream.
type filter struct {
	one    one
	sparse bool
	stream stream // if one is nil

	identity bool
	constant bool
	value    any // of a constant

	// A stream that makes at most one result for each element of a value.
	source, each one
	sparseEach   bool
}

// nothing stands in the place of a result where there is none.
type nothing struct{}

func isNothing(v any) bool {
	_, ok := v.(nothing)
	return ok
}

// strict reports whether f always makes exactly one result.
func (f *filter) strict() bool { return f.one != nil && !f.sparse }

func (f *filter) run(m *machine, v any, yield func(any) error) error {
	if f.one == nil {
		return f.stream(m, v, yield)
	}
	x, err := f.one(m, v)
	if err != nil || f.sparse && isNothing(x) {
		return err
	}
	return yield(x)
}

// breakError ends a label's body. A label runs at most once at a time, so that
// its signal is made with the program.
type breakError struct{ _ byte } // with an address of its own

func (*breakError) Error() string { return "break" }

// first makes the first result of f, or nothing.
func (f *filter) first() one {
	if f.one != nil {
		return f.one
	}
	return func(m *machine, v any) (any, error) {
		var found any = nothing{}
		stop := &breakError{}
		err := f.stream(m, v, func(x any) error {
			found = x
			return stop
		})
		if err != nil && !errors.Is(err, stop) {
			return nil, err
		}
		return found, nil
	}
}

// direct is a program that needs no virtual machine.
type direct struct {
	filter
	slots int // variables; the caller's come first
}

const (
	maxDirectNodes = 4000 // functions are copied where they are called
	maxDirectDepth = 64   // of calls; deeper is recursion
)

// director compiles a rewritten query.
type director struct {
	slots  int
	nodes  int
	depth  int
	failed bool // something is not known here
}

// known is a name of the program: a variable, a function, a parameter or a
// label. Each points to the one that was known before it.
type known struct {
	up    *known
	name  string
	arity int // of a function; variable or label if there is none
	slot  int // of a variable

	def   *gojq.FuncDef // of a function, which sees itself and what is up
	arg   *gojq.Query   // of a parameter, which sees scope
	scope *known
	label *breakError
}

func (k *known) lookUp(name string, arity int) *known {
	for ; k != nil; k = k.up {
		if k.arity == arity && k.name == name {
			return k
		}
	}
	return nil
}

// compileDirect returns nil if query has a part that only gojq knows.
func compileDirect(query *gojq.Query, variables []string) *direct {
	d := &director{}
	var scope *known
	for _, name := range variables {
		scope = d.variable(name, scope)
	}
	f := d.query(query, scope)
	if d.failed {
		return nil
	}
	return &direct{filter: f, slots: d.slots}
}

func (d *director) variable(name string, up *known) *known {
	d.slots++
	return &known{up: up, name: name, arity: variable, slot: d.slots - 1}
}

func (d *director) not() filter {
	d.failed = true
	return identityFilter()
}

func identityFilter() filter {
	return filter{identity: true, one: func(_ *machine, v any) (any, error) { return v, nil }}
}

func constantFilter(value any) filter {
	return filter{constant: true, value: value, one: func(*machine, any) (any, error) { return value, nil }}
}

func emptyFilter() filter {
	return filter{sparse: true, one: func(*machine, any) (any, error) { return nothing{}, nil }}
}

func (d *director) query(q *gojq.Query, scope *known) filter {
	if d.nodes++; d.failed || d.nodes > maxDirectNodes {
		return d.not()
	}
	for _, def := range q.FuncDefs {
		scope = &known{up: scope, name: def.Name, arity: len(def.Args), def: def}
	}
	switch {
	case q.Term != nil:
		return d.term(q.Term, len(q.Term.SuffixList), scope)
	case q.Op == gojq.OpPipe && len(q.Patterns) > 0:
		return d.bind(q, scope)
	case q.Op == gojq.OpPipe:
		return pipeFilter(d.query(q.Left, scope), d.query(q.Right, scope))
	case q.Op == gojq.OpComma:
		return commaFilter(d.query(q.Left, scope), d.query(q.Right, scope))
	case q.Op == gojq.OpAlt:
		return alternative(d.query(q.Left, scope), d.query(q.Right, scope))
	case q.Op == gojq.OpAnd:
		return condition(d.query(q.Left, scope), asBool(d.query(q.Right, scope)), constantFilter(false))
	case q.Op == gojq.OpOr:
		return condition(d.query(q.Left, scope), constantFilter(true), asBool(d.query(q.Right, scope)))
	}
	return d.not()
}

// call compiles the call of a function in its own copy.
func (d *director) call(f *known, args []*gojq.Query, scope *known) filter {
	if d.depth++; d.depth > maxDirectDepth {
		return d.not()
	}
	defer func() { d.depth-- }()
	if f.arg != nil {
		return d.query(f.arg, f.scope)
	}
	inner := f
	var values []filter // of the arguments that are variables
	var slots []int
	for i, name := range f.def.Args {
		if name[0] != '$' {
			inner = &known{up: inner, name: name, arg: args[i], scope: scope}
			continue
		}
		values = append(values, d.query(args[i], scope))
		inner = d.variable(name, inner)
		slots = append(slots, inner.slot)
		inner = &known{up: inner, name: name[1:], arg: call(name), scope: inner}
	}
	body := d.query(f.def.Body, inner)
	if len(values) > 1 && slices.ContainsFunc(values, func(f filter) bool { return !f.strict() }) {
		return d.not() // in which order?
	}
	for i := range values {
		body = bound(values[i], func(m *machine, x any) error {
			m.slots[slots[i]] = x
			return nil
		}, body)
	}
	return body
}

// truth is what counts as true.
func truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	}
	return true
}
