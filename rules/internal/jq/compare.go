package jq

import (
	"cmp"
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// number returns v as int, float64 or *big.Int if it is a number, with the
// same result as gojq's own parser.
func number(v any) (any, bool) {
	switch v := v.(type) {
	case int, float64, *big.Int:
		return v, true
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			if f, err := strconv.ParseFloat(string(v), 64); err == nil {
				return f, true
			}
		} else if i, err := strconv.ParseInt(string(v), 10, strconv.IntSize); err == nil {
			return int(i), true
		}
		if i, ok := new(big.Int).SetString(string(v), 10); ok {
			return i, true
		}
		if strings.HasPrefix(string(v), "-") {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	}
	return nil, false
}

// floats returns l and r if arithmetic with them is that of floats: both are
// numbers of one word, and not both integers.
func floats(l, r any) (a, b float64, ok bool) {
	a, af, aok := oneWord(l)
	b, bf, bok := oneWord(r)
	return a, b, aok && bok && (af || bf)
}

func oneWord(v any) (f float64, float, ok bool) {
	switch v := v.(type) {
	case int:
		return float64(v), false, true
	case float64:
		return v, true, true
	case json.Number:
		if len(v) > 32 || !strings.ContainsAny(string(v), ".eE") {
			return 0, false, false
		}
		f, err := strconv.ParseFloat(string(v), 64)
		return f, true, err == nil
	}
	return 0, false, false
}

// rank orders the types.
func rank(v any) int {
	switch v := v.(type) {
	case nil:
		return 0
	case bool:
		if v {
			return 2
		}
		return 1
	case int, float64, *big.Int, json.Number:
		return 3
	case string:
		return 4
	case []any:
		return 5
	case map[string]any:
		return 6
	}
	return 0
}

// compare orders any two values as jq does, and pays for it. The result means
// nothing once the meter is over; neither does that of equal.
func (m *machine) compare(l, r any) int { return m.compareAt(l, r, 0) }

func (m *machine) compareAt(l, r any, depth int) int {
	if l, ok := l.(int); ok {
		if r, ok := r.(int); ok {
			return cmp.Compare(l, r)
		}
	}
	if a, b := rank(l), rank(r); a != b {
		return cmp.Compare(a, b)
	}
	switch l := l.(type) {
	case string:
		r := r.(string)
		m.pay(min(len(l), len(r)) / 256)
		return strings.Compare(l, r)
	case []any:
		r := r.([]any)
		if !m.pay(1) || m.deep(depth) {
			return 0
		}
		for i := range min(len(l), len(r)) {
			m.pay(1)
			if c := m.compareAt(l[i], r[i], depth+1); c != 0 || m.over != nil {
				return c
			}
		}
		return cmp.Compare(len(l), len(r))
	case map[string]any:
		return m.compareObjects(l, r.(map[string]any), depth)
	case nil, bool:
		return 0
	}
	return m.compareNumbers(l, r)
}

func (m *machine) compareObjects(l, r map[string]any, depth int) int {
	if !m.pay(sortCost(len(l))+sortCost(len(r))) || m.deep(depth) {
		return 0
	}
	left, right := sortedKeys(l), sortedKeys(r)
	if c := slices.Compare(left, right); c != 0 {
		return c
	}
	for _, k := range left {
		if c := m.compareAt(l[k], r[k], depth+1); c != 0 || m.over != nil {
			return c
		}
	}
	return 0
}

func (m *machine) compareNumbers(l, r any) int {
	if m.checkNumber(l) != nil || m.checkNumber(r) != nil {
		m.end(&RuntimeError{Msg: errDigits().Error()})
		return 0
	}
	if a, b, ok := floats(l, r); ok {
		return compareFloats(a, b)
	}
	if !m.pay(numberCost(l) + numberCost(r)) {
		return 0
	}
	l, _ = number(l)
	r, _ = number(r)
	if a, ok := asBig(l); ok {
		if b, ok := asBig(r); ok {
			return a.Cmp(b)
		}
	}
	if a, ok := l.(int); ok {
		if b, ok := r.(int); ok {
			return cmp.Compare(a, b)
		}
	}
	return compareFloats(asFloat(l), asFloat(r))
}

func compareFloats(a, b float64) int {
	switch {
	case a < b || math.IsNaN(a):
		return -1
	case a == b:
		return 0
	}
	return 1
}

// asBig is l as a big integer, unless it is a float.
func asBig(v any) (*big.Int, bool) {
	switch v := v.(type) {
	case int:
		return big.NewInt(int64(v)), true
	case *big.Int:
		return v, true
	}
	return nil, false
}

func asFloat(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case float64:
		return v
	case *big.Int:
		if v.IsInt64() {
			return float64(v.Int64())
		}
		f, _ := new(big.Float).SetInt(v).Float64() // the nearest, or infinity
		return f
	}
	return math.NaN()
}

// equal is compare == 0 without the sorting of keys.
func (m *machine) equal(l, r any) bool { return m.equalAt(l, r, 0) }

func (m *machine) equalAt(l, r any, depth int) bool {
	switch l := l.(type) {
	case string:
		r, ok := r.(string)
		return ok && len(l) == len(r) && m.pay(len(l)/256) && l == r
	case []any:
		r, ok := r.([]any)
		if !ok || len(l) != len(r) || !m.pay(len(l)) || m.deep(depth) {
			return false
		}
		for i := range l {
			if !m.equalAt(l[i], r[i], depth+1) {
				return false
			}
		}
		return true
	case map[string]any:
		r, ok := r.(map[string]any)
		if !ok || len(l) != len(r) || !m.pay(lookCost(len(l))) || m.deep(depth) {
			return false
		}
		for k, v := range l {
			if w, ok := r[k]; !ok || !m.equalAt(v, w, depth+1) {
				return false
			}
		}
		return true
	}
	return m.compareAt(l, r, depth) == 0
}

// lookCost is what it costs to look up all n members of an object: those of a large one
// are in no cache.
func lookCost(n int) int {
	if n <= 1<<10 {
		return 2 * n
	}
	return 8 * n
}

// deep ends the run if depth is too deep to go on.
func (m *machine) deep(depth int) bool {
	if depth > maxDepth {
		m.end(&RuntimeError{Msg: "nested too deeply"})
	}
	return depth > maxDepth
}

func sortedKeys(o map[string]any) []string {
	keys := make([]string, 0, len(o))
	for k := range o {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
