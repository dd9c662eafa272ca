package jq

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

func nativeSplit(m *machine, v any, args []any) any {
	s, ok := v.(string)
	by, also := args[0].(string)
	if !ok || !also {
		return failBinary("split", v, args[0])
	}
	return m.split(s, by)
}

func (m *machine) split(s, by string) any {
	if s == "" {
		return []any{}
	}
	if err := m.charge(len(s) / 16); err != nil {
		return err
	}
	if err := m.charge(3 * strings.Count(s, by)); err != nil {
		return err
	}
	parts := strings.Split(s, by)
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return out
}

func nativeJoin(m *machine, v any, args []any) any {
	list, ok, err := m.elements(v)
	switch {
	case err != nil:
		return err
	case !ok:
		return failType("join", v)
	case len(list) == 0:
		return ""
	}
	by, ok := args[0].(string)
	if !ok && args[0] != nil && len(list) > 1 {
		return failBinary("join", list[0], args[0])
	}
	if err := m.charge(2 * len(list)); err != nil {
		return err
	}
	parts, total := make([]string, len(list)), len(by)*(len(list)-1)
	for i, e := range list {
		switch e := e.(type) {
		case nil:
		case string:
			parts[i] = e
		case int:
			parts[i] = strconv.Itoa(e)
		case bool, float64, *big.Int, json.Number:
			if err := m.number(e); err != nil {
				return err
			}
			m.pay(4)
			text, _ := gojq.Marshal(e) // it never errs
			parts[i] = string(text)
		default:
			return failBinary("join", "", e)
		}
		total += len(parts[i])
	}
	if err := m.text(total); err != nil {
		return err
	}
	return strings.Join(parts, by)
}

func nativeIndices(m *machine, v any, args []any) any {
	return m.search("indices", v, args[0], false, func(at []int) any {
		out := make([]any, len(at))
		for i, n := range at {
			out[i] = n
		}
		return out
	})
}

func nativeIndex(m *machine, v any, args []any) any {
	return m.search("index", v, args[0], true, func(at []int) any {
		if len(at) == 0 {
			return nil
		}
		return at[0]
	})
}

func nativeRindex(m *machine, v any, args []any) any {
	return m.search("rindex", v, args[0], false, func(at []int) any {
		if len(at) == 0 {
			return nil
		}
		return at[len(at)-1]
	})
}

// search finds every place of x in v, overlapping ones too, or the first, in
// characters of a string or elements of an array.
func (m *machine) search(name string, v, x any, first bool, result func([]int) any) any {
	var at []int
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		x, ok := x.(string)
		if !ok {
			return failType(name, x)
		}
		at = m.searchText(v, x, first)
	case []any:
		part, ok := x.([]any)
		if !ok {
			part = []any{x}
		}
		at = m.searchArray(v, part, first)
	default:
		return failType(name, v)
	}
	if m.over != nil {
		return m.over
	}
	return result(at)
}

// searchText returns the characters at which part begins, by the algorithm of
// Knuth, Morris and Pratt: it looks at each byte once.
func (m *machine) searchText(s, part string, first bool) []int {
	if part == "" || len(part) > len(s) || !m.pay(len(s)/4+len(part)+1) {
		return nil
	}
	border := make([]int, len(part)+1) // the longest border of each prefix
	border[0] = -1
	for i, k := 0, -1; i < len(part); i++ {
		for k >= 0 && part[i] != part[k] {
			k = border[k]
		}
		k++
		border[i+1] = k
	}
	var at []int
	counted, characters := 0, 0
	for i, k := 0, 0; i < len(s); i++ {
		for k >= 0 && s[i] != part[k] {
			k = border[k]
		}
		if k++; k < len(part) {
			continue
		}
		start := i + 1 - len(part)
		characters += utf8.RuneCountInString(s[counted:start])
		counted = start
		at = append(at, characters)
		if first || !m.pay(2) {
			return at
		}
		k = border[k]
	}
	return at
}

func (m *machine) searchArray(list, part []any, first bool) []int {
	if len(part) == 0 {
		return nil
	}
	var at []int
	for i := range len(list) - len(part) + 1 {
		if !m.pay(1) {
			return nil
		}
		if slices.EqualFunc(list[i:i+len(part)], part, func(a, b any) bool { return m.pay(1) && m.equal(a, b) }) {
			if at = append(at, i); first {
				return at
			}
		}
	}
	return at
}

// nativeNow is the run's instant, as the clock of every run shows it.
func nativeNow(m *machine, _ any, _ []any) any {
	return float64(m.now.Unix()) + float64(m.now.Nanosecond())/1e9
}
