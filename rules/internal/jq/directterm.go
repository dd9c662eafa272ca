package jq

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// gojqError is an error in the words of gojq's.
type gojqError struct {
	what string
	v    any
}

func (e *gojqError) Error() string { return e.what + ": " + stockText(e.v) }

func stockText(v any) string {
	if v == nil {
		return "null"
	}
	return typeOf(v) + " (" + preview(v) + ")"
}

// term compiles t with the first n of its suffixes.
func (d *director) term(t *gojq.Term, n int, scope *known) filter {
	if n == 0 {
		return d.bare(t, scope)
	}
	s := t.SuffixList[n-1]
	switch {
	case s.Index != nil:
		return d.index(d.term(t, n-1, scope), s.Index, scope)
	case s.Iter:
		return pipeFilter(d.term(t, n-1, scope), iterate())
	case s.Optional && n > 1 && t.SuffixList[n-2].Index != nil: // only the last suffix is tried
		return pipeFilter(d.term(t, n-2, scope), attempt(d.index(identityFilter(), t.SuffixList[n-2].Index, scope), emptyFilter()))
	case s.Optional && n > 1 && t.SuffixList[n-2].Iter:
		return pipeFilter(d.term(t, n-2, scope), attempt(iterate(), emptyFilter()))
	case s.Optional:
		return attempt(d.term(t, n-1, scope), emptyFilter())
	}
	return d.not()
}

func (d *director) bare(t *gojq.Term, scope *known) filter {
	switch t.Type {
	case gojq.TermTypeIdentity:
		return identityFilter()
	case gojq.TermTypeRecurse:
		return filter{stream: func(m *machine, v any, yield func(any) error) error { return m.recurse(v, 0, yield) }}
	case gojq.TermTypeNull:
		return constantFilter(nil)
	case gojq.TermTypeTrue:
		return constantFilter(true)
	case gojq.TermTypeFalse:
		return constantFilter(false)
	case gojq.TermTypeNumber:
		n, _ := number(json.Number(t.Number))
		return constantFilter(n)
	case gojq.TermTypeIndex:
		return d.index(identityFilter(), t.Index, scope)
	case gojq.TermTypeFunc:
		return d.function(t.Func, scope)
	case gojq.TermTypeObject:
		return d.object(t.Object, scope)
	case gojq.TermTypeArray:
		if t.Array.Query == nil {
			return constantFilter([]any{})
		}
		return collect(d.query(t.Array.Query, scope))
	case gojq.TermTypeUnary:
		return d.unary(t.Unary, scope)
	case gojq.TermTypeString:
		return d.text(t.Str, scope)
	case gojq.TermTypeFormat:
		if t.Str == nil {
			return d.stock(asQuery(&gojq.Term{Type: t.Type, Format: t.Format}))
		}
	case gojq.TermTypeIf:
		return d.conditions(t.If.Cond, t.If.Then, t.If.Elif, t.If.Else, scope)
	case gojq.TermTypeTry:
		instead := emptyFilter()
		if t.Try.Catch != nil {
			if instead = d.query(t.Try.Catch, scope); !instead.constant {
				return d.not() // the text of an error is gojq's
			}
		}
		return attempt(d.query(t.Try.Body, scope), instead)
	case gojq.TermTypeReduce:
		return d.fold(t.Reduce.Query, t.Reduce.Patterns, t.Reduce.Start, t.Reduce.Update, nil, scope)
	case gojq.TermTypeForeach:
		extract := t.Foreach.Extract
		if extract == nil {
			extract = identity()
		}
		return d.fold(t.Foreach.Query, t.Foreach.Patterns, t.Foreach.Start, t.Foreach.Update, extract, scope)
	case gojq.TermTypeLabel:
		return d.labelled(t.Label, scope)
	case gojq.TermTypeBreak:
		if k := scope.lookUp(t.Break, label); k != nil {
			return filter{one: func(*machine, any) (any, error) { return nil, k.label }}
		}
	case gojq.TermTypeQuery:
		return d.query(t.Query, scope)
	}
	return d.not()
}

func (d *director) conditions(c, yes *gojq.Query, others []*gojq.IfElif, no *gojq.Query, scope *known) filter {
	otherwise := identityFilter()
	switch {
	case len(others) > 0:
		otherwise = d.conditions(others[0].Cond, others[0].Then, others[1:], no, scope)
	case no != nil:
		otherwise = d.query(no, scope)
	}
	return condition(d.query(c, scope), d.query(yes, scope), otherwise)
}

func (d *director) unary(u *gojq.Unary, scope *known) filter {
	f := d.term(u.Term, len(u.Term.SuffixList), scope)
	if u.Op != gojq.OpSub {
		return d.not()
	}
	if f.constant {
		if v, err := negate(nil, f.value); err == nil {
			return constantFilter(v)
		}
	}
	return pipeFilter(f, filter{one: negate})
}

func negate(_ *machine, v any) (any, error) {
	switch v := v.(type) {
	case int:
		if v == math.MinInt {
			return new(big.Int).Neg(big.NewInt(int64(v))), nil
		}
		return -v, nil
	case float64:
		return -v, nil
	case *big.Int:
		return new(big.Int).Neg(v), nil
	case json.Number:
		if v[0] == '-' {
			return v[1:], nil
		}
		return "-" + v, nil
	}
	return nil, &gojqError{"cannot negate", v}
}

// index is an index behind f.
func (d *director) index(f filter, x *gojq.Index, scope *known) filter {
	if key, ok := staticKey(x); ok {
		switch key := d.query(key, nil).value.(type) {
		case string:
			return pipeFilter(f, filter{one: memberOf(key)})
		case int:
			return pipeFilter(f, filter{one: func(m *machine, v any) (any, error) { return m.elementOf(v, key) }})
		}
		return d.not()
	}
	if !x.IsSlice {
		key := x.Start
		if x.Str != nil {
			key = asQuery(&gojq.Term{Type: gojq.TermTypeString, Str: x.Str})
		}
		return d.apply(2, func(m *machine, _ any, args []any) any { return m.indexOf(args[0], args[1]) }, f, d.query(key, scope))
	}
	from, to := constantFilter(nil), constantFilter(nil)
	if x.Start != nil {
		from = d.query(x.Start, scope)
	}
	if x.End != nil {
		to = d.query(x.End, scope)
	}
	return d.apply(2, func(m *machine, _ any, args []any) any { return m.sliceOf(args[0], args[2], args[1]) }, f, to, from)
}

func memberOf(key string) one {
	return func(_ *machine, v any) (any, error) {
		switch v := v.(type) {
		case map[string]any:
			return v[key], nil
		case nil:
			return nil, nil
		}
		return nil, &gojqError{"expected an object but got", v}
	}
}

func (m *machine) elementOf(v any, i int) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		if i < 0 {
			i += len(v)
		}
		if i < 0 || i >= len(v) {
			return nil, nil
		}
		return v[i], nil
	case string:
		if err := m.charge(len(v) / 8); err != nil {
			return nil, err
		}
		if i < 0 {
			i += utf8.RuneCountInString(v)
		}
		for _, r := range v {
			if i--; i == -1 {
				return string(r), nil
			}
		}
		return nil, nil
	}
	return nil, &gojqError{"expected an array but got", v}
}

// indexOf is v[key] for a key that has passed guardKey.
func (m *machine) indexOf(v, key any) any {
	switch k := key.(type) {
	case string:
		switch v := v.(type) {
		case map[string]any:
			return v[k]
		case nil:
			return nil
		}
		return &gojqError{"expected an object but got", v}
	case int, float64, *big.Int, json.Number:
		i, _ := gojq.ToInt(k)
		x, err := m.elementOf(v, i)
		if err != nil {
			return err
		}
		return x
	case map[string]any:
		if v == nil {
			return nil
		}
		from, ok := k["start"]
		to, also := k["end"]
		if !ok || !also {
			return &gojqError{`expected "start" and "end" for slicing but got`, k}
		}
		return m.sliceOf(v, from, to)
	}
	switch v.(type) {
	case []any:
		return &gojqError{"expected a number for indexing an array but got", key}
	case string:
		return &gojqError{"expected a number for indexing a string but got", key}
	}
	return &gojqError{"expected a string for object key but got", key}
}

// sliceOf is v[from:to].
func (m *machine) sliceOf(v, from, to any) any {
	var n int
	what := "expected a number for indexing an array but got"
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		n = len(v)
	case string:
		n, what = utf8.RuneCountInString(v), "expected a number for indexing a string but got"
	default:
		return &gojqError{"expected an array but got", v}
	}
	start, end := 0, n
	if from != nil {
		var ok bool
		if start, ok = m.bound(from, math.Floor); !ok {
			return &gojqError{what, from}
		}
		start = clamp(start, 0, n)
	}
	if to != nil {
		var ok bool
		if end, ok = m.bound(to, ceiling); !ok {
			return &gojqError{what, to}
		}
		end = clamp(end, start, n)
	}
	if list, ok := v.([]any); ok {
		return list[start:end]
	}
	return m.sliceText(v.(string), start, end)
}

// sliceText is s[from:to] in characters.
func (m *machine) sliceText(s string, from, to int) any {
	if err := m.charge(len(s) / 8); err != nil {
		return err
	}
	start, end, at := len(s), len(s), 0
	for i := range s {
		if at == from {
			start = i
		}
		if at == to {
			end = i
			break
		}
		at++
	}
	return s[start:end]
}

// text is a string with interpolations.
func (d *director) text(s *gojq.String, scope *known) filter {
	if s.Queries == nil {
		return constantFilter(s.Str)
	}
	parts := make([]filter, len(s.Queries))
	for i, q := range s.Queries {
		if parts[i] = d.query(q, scope); !parts[i].strict() {
			return d.not() // in which order?
		}
	}
	return filter{one: func(m *machine, v any) (any, error) {
		base := len(m.made)
		defer func() { m.made = m.made[:base] }()
		for i := range parts {
			x, err := parts[i].one(m, v)
			if err != nil {
				return nil, err
			}
			s := asText(x)
			if err := m.text(len(m.made) - base + len(s)); err != nil {
				return nil, err
			}
			m.made = append(m.made, s...)
		}
		return string(m.made[base:]), nil
	}}
}

// asText is tostring.
func asText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	}
	b, _ := gojq.Marshal(v) // never errs
	return string(b)
}
