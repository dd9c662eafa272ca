package jq

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// function compiles the call of a variable, a function of the program, a native
// or a builtin of gojq's.
func (d *director) function(f *gojq.Func, scope *known) filter {
	if f.Name[0] == '$' {
		k := scope.lookUp(f.Name, variable)
		if k == nil {
			return d.not()
		}
		slot := k.slot
		return filter{one: func(m *machine, _ any) (any, error) { return m.slots[slot], nil }}
	}
	switch f.Name {
	case hash + hash + "modify":
		return d.modify(f.Args[0], f.Args[1], scope)
	case hash + hash + "assign":
		return d.assign(f.Args[0], f.Args[1], scope)
	case hash + "setpath":
		if steps, ok := d.fixedPath(f.Args[0]); ok {
			return assignFilter(steps, d.query(f.Args[1], scope))
		}
	case hash + "delpaths":
		if out, ok := d.deletes(f.Args[0], scope); ok {
			return out
		}
	case hash + hash + "sort_by", hash + hash + "group_by", hash + hash + "unique_by", hash + hash + "min_by", hash + hash + "max_by":
		if by := d.query(f.Args[0], scope); by.strict() { // one key needs no array around it
			return d.native(f.Name[1:], []filter{collect(pipeFilter(iterate(), by))})
		}
	case hash + "shown", hash + "new": // of what gojq makes, and shows in its errors
		return identityFilter()
	case "path":
		return d.not()
	}
	if name, ok := strings.CutPrefix(f.Name, hash+hash); ok {
		if b, ok := directBuiltins()[name+"/"+strconv.Itoa(len(f.Args))]; ok {
			args := make([]filter, len(f.Args))
			for i, a := range f.Args {
				args[i] = d.query(a, scope)
			}
			return b(d, args)
		}
	}
	if k := scope.lookUp(f.Name, len(f.Args)); k != nil {
		return d.call(k, f.Args, scope)
	}
	args := make([]filter, len(f.Args))
	for i, a := range f.Args {
		args[i] = d.query(a, scope)
	}
	if f.Name[:1] == hash {
		return d.native(f.Name, args)
	}
	return d.builtin(f, args)
}

func (d *director) native(name string, args []filter) filter {
	if test, ok := comparisons()[name]; ok && args[0].strict() && args[1].strict() {
		return compareFilter(test, args[0].one, args[1].one)
	}
	def, ok := nativeTable()[name]
	if !ok || len(args) > len(machine{}.scratch) {
		return d.not()
	}
	return d.apply(2, def.f, args...)
}

// comparisons are the natives that make a boolean of two values.
func comparisons() map[string]func(m *machine, l, r any) bool {
	return map[string]func(m *machine, l, r any) bool{
		hash + "equal":    (*machine).equal,
		hash + "unequal":  func(m *machine, l, r any) bool { return !m.equal(l, r) },
		hash + "greater":  func(m *machine, l, r any) bool { return m.compare(l, r) > 0 },
		hash + "less":     func(m *machine, l, r any) bool { return m.compare(l, r) < 0 },
		hash + "at_least": func(m *machine, l, r any) bool { return m.compare(l, r) >= 0 },
		hash + "at_most":  func(m *machine, l, r any) bool { return m.compare(l, r) <= 0 },
	}
}

func compareFilter(test func(m *machine, l, r any) bool, l, r one) filter {
	return filter{one: func(m *machine, v any) (any, error) {
		b, err := r(m, v)
		if err != nil {
			return nil, err
		}
		a, err := l(m, v)
		if err != nil {
			return nil, err
		}
		if err := m.take(2); err != nil {
			return nil, err
		}
		return test(m, a, b), m.over
	}}
}

// apply calls f with the results of args, the last of which is asked first. A
// call takes steps.
func (d *director) apply(steps int64, f nativeFunc, args ...filter) filter {
	done := func(m *machine, v any, n int) (any, error) {
		if err := m.take(steps); err != nil {
			return nil, err
		}
		out := f(m, v, m.scratch[:n])
		if m.over != nil {
			return nil, m.over
		}
		switch out := out.(type) { // what most are is asked for first
		case string, bool, int, nil, map[string]any, []any:
			return out, nil
		case error:
			m.pay(errorCost)
			return nil, out
		}
		return out, nil
	}
	strict := true
	for i := range args {
		strict = strict && args[i].strict()
	}
	switch {
	case len(args) == 0:
		return filter{one: func(m *machine, v any) (any, error) { return done(m, v, 0) }}
	case strict && len(args) == 1:
		a := args[0].one
		return filter{one: func(m *machine, v any) (any, error) {
			x, err := a(m, v)
			if err != nil {
				return nil, err
			}
			m.scratch[0] = x
			return done(m, v, 1)
		}}
	case strict && len(args) == 2:
		a, b := args[0].one, args[1].one
		return filter{one: func(m *machine, v any) (any, error) {
			y, err := b(m, v)
			if err != nil {
				return nil, err
			}
			x, err := a(m, v)
			if err != nil {
				return nil, err
			}
			m.scratch[0], m.scratch[1] = x, y
			return done(m, v, 2)
		}}
	}
	return filter{stream: func(m *machine, v any, yield func(any) error) error {
		values := make([]any, len(args))
		var from func(i int) error
		from = func(i int) error {
			if i < 0 {
				copy(m.scratch[:], values)
				x, err := done(m, v, len(args))
				if err != nil {
					return err
				}
				return yield(x)
			}
			return args[i].run(m, v, func(x any) error {
				values[i] = x
				return from(i - 1)
			})
		}
		return from(len(args) - 1)
	}}
}

// stock runs q, a builtin of gojq's that makes one result of its input in a
// bounded number of instructions.
func (d *director) stock(q *gojq.Query) filter {
	if d.failed {
		return d.not()
	}
	code, err := gojq.Compile(q)
	if err != nil {
		return d.not()
	}
	return filter{one: func(m *machine, v any) (any, error) {
		if err := m.take(16); err != nil {
			return nil, err
		}
		return stockRun(code, v)
	}}
}

func stockRun(code *gojq.Code, v any) (any, error) {
	x, _ := code.RunWithContext(context.Background(), v).Next()
	if err, ok := x.(error); ok {
		return nil, err
	}
	return x, nil
}

// builtin compiles a call of a builtin of gojq's.
func (d *director) builtin(f *gojq.Func, args []filter) filter {
	key := f.Name + "/" + strconv.Itoa(len(args))
	if b, ok := directBuiltins()[key]; ok {
		return b(d, args)
	}
	if slices.Contains(strings.Fields(stockBuiltins), key) {
		for _, a := range f.Args {
			if !isConstant(a) {
				return d.not()
			}
		}
		return d.stock(call(f.Name, f.Args...))
	}
	return d.not()
}

// stockBuiltins are those that stock runs, with constants as arguments.
const stockBuiltins = `fromjson/0 explode/0 implode/0 reverse/0 utf8bytelength/0 toboolean/0 format/1 keys/0
 ltrim/0 rtrim/0 tojson/0 gmtime/0 mktime/0 todate/0 fromdate/0 todateiso8601/0 fromdateiso8601/0 strftime/1 strptime/1
 sin/0 cos/0 tan/0 log/0 log2/0 log10/0 exp/0 exp2/0 exp10/0 significand/0 trunc/0 cbrt/0 infinite/0 nan/0
 isfinite/0 isinfinite/0 isnan/0 isnormal/0 pow/2`
