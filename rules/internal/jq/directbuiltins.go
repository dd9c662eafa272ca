package jq

import (
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

type directBuiltin func(d *director, args []filter) filter

// directBuiltins is made once and never changed.
var directBuiltins = sync.OnceValue(func() map[string]directBuiltin {
	table := map[string]directBuiltin{
		"empty/0":  func(*director, []filter) filter { return emptyFilter() },
		"error/0":  func(*director, []filter) filter { return raises(identityFilter()) },
		"error/1":  func(_ *director, a []filter) filter { return raises(a[0]) },
		"not/0":    plain(func(v any) (any, error) { return !truth(v), nil }),
		"select/1": func(_ *director, a []filter) filter { return selects(a[0]) },
		"map/1":    func(_ *director, a []filter) filter { return collect(pipeFilter(iterate(), a[0])) },
		"recurse/0": func(*director, []filter) filter {
			return filter{stream: func(m *machine, v any, yield func(any) error) error { return m.recurse(v, 0, yield) }}
		},
		"walk/1": func(d *director, a []filter) filter {
			f := a[0].one
			if !a[0].strict() {
				return d.not()
			}
			return filter{one: func(m *machine, v any) (any, error) { return m.rebuilt(f, v, 0) }}
		},
		"to_entries/0":   func(*director, []filter) filter { return filter{one: entries} },
		"from_entries/0": func(*director, []filter) filter { return filter{one: fromEntries} },
		"with_entries/1": func(_ *director, a []filter) filter {
			return pipeFilter(pipeFilter(filter{one: entries}, collect(pipeFilter(iterate(), a[0]))), filter{one: fromEntries})
		},
		"first/0":   func(*director, []filter) filter { return ends(0) },
		"last/0":    func(*director, []filter) filter { return ends(-1) },
		"first/1":   func(_ *director, a []filter) filter { return filter{one: a[0].first(), sparse: true} },
		"isempty/1": func(_ *director, a []filter) filter { return has(a[0], true) },
		"any/0":     func(*director, []filter) filter { return has(pipeFilter(iterate(), selects(identityFilter())), false) },
		"any/1":     func(_ *director, a []filter) filter { return has(pipeFilter(iterate(), selects(a[0])), false) },
		"any/2":     func(_ *director, a []filter) filter { return has(pipeFilter(a[0], selects(a[1])), false) },
		"all/0": func(*director, []filter) filter {
			return has(pipeFilter(iterate(), selects(negated(identityFilter()))), true)
		},
		"all/1":   func(_ *director, a []filter) filter { return has(pipeFilter(iterate(), selects(negated(a[0]))), true) },
		"all/2":   func(_ *director, a []filter) filter { return has(pipeFilter(a[0], selects(negated(a[1]))), true) },
		"until/2": until,
		"range/1": func(d *director, a []filter) filter { return d.ranges(constantFilter(0), a[0], constantFilter(1)) },
		"range/2": func(d *director, a []filter) filter { return d.ranges(a[0], a[1], constantFilter(1)) },
		"range/3": func(d *director, a []filter) filter { return d.ranges(a[0], a[1], a[2]) },
		"in/1": func(d *director, a []filter) filter {
			return d.apply(3, func(_ *machine, v any, args []any) any { return hasKey(args[0], v) }, a[0])
		},
		"has/1": func(d *director, a []filter) filter {
			return d.apply(3, func(_ *machine, v any, args []any) any { return hasKey(v, args[0]) }, a[0])
		},
		"type/0":     plain(func(v any) (any, error) { return gojq.TypeOf(v), nil }),
		"length/0":   plain(lengthOf),
		"tostring/0": plain(func(v any) (any, error) { return asText(v), nil }),
		"keys/0":     func(*director, []filter) filter { return filter{one: keysList} },
		"tonumber/0": func(d *director, _ []filter) filter { return d.toNumber() },

		"ascii_downcase/0": textual("ascii_downcase", func(s string) string { return strings.Map(lower, s) }),
		"ascii_upcase/0":   textual("ascii_upcase", func(s string) string { return strings.Map(upper, s) }),
		"trim/0":           textual("trim", strings.TrimSpace),
		"startswith/1":     affix("startswith", func(s, t string) any { return strings.HasPrefix(s, t) }),
		"endswith/1":       affix("endswith", func(s, t string) any { return strings.HasSuffix(s, t) }),
		"ltrimstr/1":       affix("ltrimstr", func(s, t string) any { return strings.TrimPrefix(s, t) }),
		"rtrimstr/1":       affix("rtrimstr", func(s, t string) any { return strings.TrimSuffix(s, t) }),
		"trimstr/1":        affix("trimstr", func(s, t string) any { return strings.TrimSuffix(strings.TrimPrefix(s, t), t) }),
	}
	for _, name := range []string{"nulls", "booleans", "numbers", "strings", "arrays", "objects", "iterables", "scalars", "values"} {
		table[name+"/0"] = func(*director, []filter) filter { return selects(filter{one: isKind(kindsOf(name))}) }
	}
	for name, f := range map[string]func(float64) float64{
		"floor": math.Floor, "ceil": math.Ceil, "round": math.Round, "fabs": math.Abs, "sqrt": math.Sqrt,
	} {
		table[name+"/0"] = plain(func(v any) (any, error) {
			if x, ok := gojq.ToFloat64(v); ok {
				return f(x), nil
			}
			return nil, &gojqError{name + " cannot be applied to", v}
		})
	}
	return table
})

// plain is a builtin without arguments.
func plain(f func(v any) (any, error)) directBuiltin {
	return func(*director, []filter) filter {
		return filter{one: func(m *machine, v any) (any, error) {
			if err := m.take(2); err != nil {
				return nil, err
			}
			return f(v)
		}}
	}
}

func textual(name string, f func(string) string) directBuiltin {
	return plain(func(v any) (any, error) {
		if s, ok := v.(string); ok {
			return f(s), nil
		}
		return nil, &gojqError{name + " cannot be applied to", v}
	})
}

func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + ('a' - 'A')
	}
	return r
}

func upper(r rune) rune {
	if 'a' <= r && r <= 'z' {
		return r - ('a' - 'A')
	}
	return r
}

// affix is a builtin of two strings.
func affix(name string, f func(s, t string) any) directBuiltin {
	return func(d *director, args []filter) filter {
		return d.apply(3, func(_ *machine, v any, args []any) any {
			s, ok := v.(string)
			t, also := args[0].(string)
			if !ok || !also {
				return &gojqError{name + "(" + preview(args[0]) + ") cannot be applied to", v}
			}
			return f(s, t)
		}, args...)
	}
}

// raised is an error that a program raises.
type raised struct{ v any }

func (e *raised) Error() string { return "error: " + asText(e.v) }

// Value implements [gojq.ValueError].
func (e *raised) Value() any { return e.v }

func raises(f filter) filter {
	return pipeFilter(f, filter{one: func(_ *machine, v any) (any, error) { return nil, &raised{v} }})
}

func negated(f filter) filter { return condition(f, constantFilter(false), constantFilter(true)) }

// has is whether f has a result, or none.
func has(f filter, none bool) filter {
	first := f.first()
	return filter{one: func(m *machine, v any) (any, error) {
		x, err := first(m, v)
		return isNothing(x) == none, err
	}}
}

func ends(i int) filter {
	return filter{one: func(m *machine, v any) (any, error) { return m.elementOf(v, i) }}
}

func until(d *director, a []filter) filter {
	if !a[0].strict() || !a[1].strict() {
		return d.not()
	}
	done, next := a[0].one, a[1].one
	return filter{one: func(m *machine, v any) (any, error) {
		for {
			if err := m.take(6); err != nil {
				return nil, err
			}
			x, err := done(m, v)
			if err != nil || truth(x) {
				return v, err
			}
			if v, err = next(m, v); err != nil {
				return nil, err
			}
		}
	}}
}

func (d *director) ranges(from, to, by filter) filter {
	if !from.strict() || !to.strict() || !by.strict() {
		return d.not()
	}
	return filter{stream: func(m *machine, v any, yield func(any) error) error {
		var bounds [3]any
		for i, f := range [...]one{from.one, to.one, by.one} {
			x, err := f(m, v)
			if err != nil {
				return err
			}
			bounds[i] = x
		}
		for _, x := range bounds {
			if rank(x) != 3 {
				return &gojqError{"range cannot be applied to", x}
			}
		}
		at, end, step := bounds[0], bounds[1], bounds[2]
		up := m.compare(step, 0)
		for {
			if err := m.take(8); err != nil {
				return err
			}
			if c := m.compare(at, end); up*c >= 0 || m.over != nil {
				return m.over
			}
			next := m.add(at, step)
			if err, ok := next.(error); ok {
				return err
			}
			if err := yield(at); err != nil {
				return err
			}
			at = next
		}
	}}
}

func hasKey(v, key any) any {
	switch v := v.(type) {
	case []any:
		if i, ok := gojq.ToInt(key); ok {
			return 0 <= i && i < len(v)
		}
	case map[string]any:
		if k, ok := key.(string); ok {
			_, ok := v[k]
			return ok
		}
	case nil:
		return false
	}
	return &gojqError{"has(" + preview(key) + ") cannot be applied to", v}
}

func lengthOf(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return 0, nil
	case string:
		return utf8.RuneCountInString(v), nil
	case []any:
		return len(v), nil
	case map[string]any:
		return len(v), nil
	case int:
		if v >= 0 {
			return v, nil
		}
		return negate(nil, v)
	case float64:
		return math.Abs(v), nil
	case *big.Int:
		return new(big.Int).Abs(v), nil
	case json.Number:
		return json.Number(strings.TrimPrefix(string(v), "-")), nil
	}
	return nil, &gojqError{"length cannot be applied to", v}
}

func keysList(m *machine, v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		keys, err := m.keysOf(v)
		if err != nil {
			return nil, err
		}
		out := make([]any, len(keys))
		for i, k := range keys {
			out[i] = k
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = i
		}
		return out, nil
	}
	return nil, &gojqError{"keys cannot be applied to", v}
}

// toNumber is tonumber. Numbers that JSON would not spell so are left to gojq.
func (d *director) toNumber() filter {
	rest := d.stock(call("tonumber")).one
	return filter{one: func(m *machine, v any) (any, error) {
		if s, ok := v.(string); ok && len(s) < 16 && len(s) > 0 && s[0] >= '1' && s[0] <= '9' && strings.Trim(s, "0123456789") == "" {
			n, _ := number(json.Number(s))
			return n, nil
		}
		return rest(m, v)
	}}
}

// kindsOf returns the types that the builtin selects, nil if it selects none.
func kindsOf(builtin string) []int {
	return map[string][]int{
		"nulls": {0}, "booleans": {1, 2}, "numbers": {3}, "strings": {4}, "arrays": {5}, "objects": {6},
		"iterables": {5, 6}, "scalars": {0, 1, 2, 3, 4}, "values": {1, 2, 3, 4, 5, 6},
	}[builtin]
}

func isKind(ranks []int) one {
	return func(_ *machine, v any) (any, error) { return slices.Contains(ranks, rank(v)), nil }
}
