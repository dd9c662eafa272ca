package jq

import (
	"encoding/json"
	"math/big"
)

const (
	// maxDigits is the longest number that is worked with, in digits. Parsing
	// and printing long ones is quadratic.
	maxDigits = 4096
	// maxDepth is the deepest nesting that is walked: recursion costs stack.
	maxDepth = 10_000
)

// The guards return what they are given: they stand before a builtin of gojq's
// and pay for it. gojq takes the very value for the same path.

// guardCost pays for one look at all elements or characters.
func guardCost(m *machine, v any, _ []any) any {
	n := 0
	switch v := v.(type) {
	case string:
		n = len(v) / 8
	case []any:
		n = len(v)
	case map[string]any:
		n = 4 * len(v) // their keys are sorted
	}
	if n > 0 {
		if err := m.charge(n); err != nil {
			return err
		}
	}
	return v
}

// guardText pays for v as text, and errs if it is too long or too deep.
func guardText(m *machine, v any, _ []any) any {
	n := 0
	switch v := v.(type) {
	case string:
		n = len(v)
	case []any, map[string]any:
		var err error
		if n, err = m.measure(v); err != nil {
			return err
		}
	default:
		if err := m.checkNumber(v); err != nil {
			return err
		}
	}
	if err := m.text(n); err != nil {
		return err
	}
	if err := m.charge(n / 8); err != nil {
		return err
	}
	return v
}

// guardJSON pays for parsing JSON, which makes values of twenty times its size.
func guardJSON(m *machine, v any, _ []any) any {
	if s, ok := v.(string); ok {
		if err := m.charge(len(s)); err != nil {
			return err
		}
	}
	return v
}

// guardShort errs on strings too long for a number, a date or a format.
func guardShort(m *machine, v any, _ []any) any {
	if s, ok := v.(string); ok && len(s) > maxDigits {
		return &failure{what: "string too long", v: s, valued: true}
	}
	return guardNumber(m, v, nil)
}

func guardNumber(m *machine, v any, _ []any) any {
	if err := m.checkNumber(v); err != nil {
		return err
	}
	return v
}

// guardNumbers is guardNumber for a number or an array of them.
func guardNumbers(m *machine, v any, _ []any) any {
	list, ok := v.([]any)
	if !ok {
		return guardNumber(m, v, nil)
	}
	if err := m.charge(len(list)); err != nil {
		return err
	}
	for _, e := range list {
		if err := m.checkNumber(e); err != nil {
			return err
		}
	}
	return v
}

// guardKey is for what stands in brackets.
func guardKey(m *machine, v any, _ []any) any {
	switch key := v.(type) {
	case []any: // gojq searches for it, at any cost
		return &failure{what: "an array is no index: use indices"}
	case map[string]any:
		for _, bound := range [...]any{key["start"], key["end"]} {
			if err := m.checkNumber(bound); err != nil {
				return err
			}
		}
		return v
	}
	return guardNumber(m, v, nil)
}

func guardPath(m *machine, v any, _ []any) any {
	path, ok := v.([]any)
	if !ok {
		return v
	}
	if err := m.charge(len(path)); err != nil {
		return err
	}
	for _, key := range path {
		if err, ok := guardKey(m, key, nil).(error); ok {
			return err
		}
	}
	return v
}

// checkNumber errs if v is a number with too many digits.
func (m *machine) checkNumber(v any) error {
	switch v := v.(type) {
	case json.Number:
		if len(v) > maxDigits {
			return errDigits()
		}
	case *big.Int:
		if v.BitLen() > maxDigits*3 {
			return errDigits()
		}
	}
	return nil
}

func errDigits() error { return &failure{what: "number with too many digits"} }

// measure returns about how long v is as JSON, paying for the walk. It errs
// if that is longer than any string may be, or v is too deep.
func (m *machine) measure(v any) (int, error) {
	left := m.longest
	if err := m.walk(v, &left, 0, true); err != nil {
		return 0, err
	}
	return int(m.longest - left), nil
}

// result pays for a result of the program.
func (m *machine) result(v any) error { return m.walk(v, &m.output, 0, false) }

// walk takes from left what v is long as JSON. A value may share its parts many
// times over: only the length bounds the walk.
func (m *machine) walk(v any, left *int64, depth int, pays bool) error {
	var n int
	switch v := v.(type) {
	case []any:
		n = len(v) + 2
	case map[string]any:
		n = 2*len(v) + 2
	default:
		n = scalarLength(v)
	}
	if err := m.walked(n, left, pays); err != nil {
		return err
	}
	if depth > maxDepth {
		return &failure{what: "nested too deeply"}
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := m.walkPart(e, 0, left, depth+1, pays); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, e := range v {
			if err := m.walkPart(e, len(key)+2, left, depth+1, pays); err != nil {
				return err
			}
		}
	}
	return nil
}

// walkPart is walk of a part that has a key of some length.
func (m *machine) walkPart(v any, key int, left *int64, depth int, pays bool) error {
	switch v.(type) {
	case []any, map[string]any:
		*left -= int64(key)
		return m.walk(v, left, depth, pays)
	}
	return m.walked(key+scalarLength(v), left, pays)
}

func (m *machine) walked(n int, left *int64, pays bool) error {
	if *left -= int64(n); *left < 0 {
		m.fail(BudgetOutput)
		return m.over
	}
	if pays {
		return m.charge(n/16 + 1)
	}
	return nil
}

// scalarLength is about how long v is as JSON.
func scalarLength(v any) int {
	switch v := v.(type) {
	case string:
		return len(v) + 2
	case json.Number:
		return len(v)
	case *big.Int:
		return v.BitLen()/3 + 1
	}
	return 4
}
