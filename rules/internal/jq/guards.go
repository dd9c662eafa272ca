package jq

import (
	"encoding/json"
	"math/big"
	"math/bits"
)

const (
	// maxDigits is the longest number that is worked with, in digits. Parsing
	// and printing long ones is quadratic.
	maxDigits = 4096
	// maxDepth is the deepest nesting that is walked: recursion costs stack.
	maxDepth = 10_000
)

// What is made costs a step for about every 24 bytes, so that no run can make more
// than some 128 MiB out of the default of steps, whatever becomes of it.

// objectCost is what an object of n members costs to make.
func objectCost(n int) int {
	if n <= 8 {
		return 13
	}
	return 4 + 4*n
}

// sortCost is what it costs to bring n keys into their order.
func sortCost(n int) int { return n * (1 + bits.Len(uint(n))) }

// numberCost is what it costs to parse or to print v, which was checked.
func numberCost(v any) int {
	switch v := v.(type) {
	case json.Number:
		return len(v) / 4
	case *big.Int:
		return v.BitLen() / 12
	}
	return 0
}

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
		n = sortCost(len(v))
	}
	return m.paid(v, n)
}

// paid is v, or an error if n steps are not left.
func (m *machine) paid(v any, n int) any {
	if n > 0 {
		if err := m.charge(n); err != nil {
			return err
		}
	}
	return v
}

// guardSize pays for one look at all characters.
func guardSize(m *machine, v any, _ []any) any {
	s, _ := v.(string)
	return m.paid(v, len(s)/8)
}

// guardCharacters pays for making an element of each character.
func guardCharacters(m *machine, v any, _ []any) any {
	s, _ := v.(string)
	return m.paid(v, len(s))
}

// enterCost is what a call of a function that calls itself costs: gojq keeps what
// it has to come back to, without an end.
const enterCost = 32

func guardEnter(m *machine, v any, _ []any) any { return m.paid(v, enterCost) }

// guardNew pays for an object that gojq makes.
func guardNew(m *machine, v any, _ []any) any { return m.paid(v, objectCost(1)) }

// guardShown pays for v in the text of an error, where the program may catch it:
// gojq sorts all keys of an object of which it shows the beginning.
func guardShown(m *machine, v any, _ []any) any {
	n := 24
	for part := v; ; {
		switch of := part.(type) {
		case []any:
			if part = nil; len(of) > 0 {
				part = of[0]
			}
		case map[string]any:
			n, part = n+sortCost(len(of)), nil
			least := ""
			for k, e := range of {
				if part == nil || k < least {
					least, part = k, e
				}
			}
		default:
			return m.paid(v, n)
		}
		if n++; int64(n) > m.left {
			return m.paid(v, n)
		}
	}
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
		if err := m.number(v); err != nil {
			return err
		}
	}
	if err := m.text(n); err != nil {
		return err
	}
	return m.paid(v, n/8+4)
}

// guardSpelled pays for v as text in which a character may become several.
func guardSpelled(m *machine, v any, _ []any) any {
	if err, ok := guardText(m, v, nil).(error); ok {
		return err
	}
	n := 0
	switch v := v.(type) {
	case string:
		n = len(v)
	case []any:
		n = 2 * len(v)
	}
	return m.paid(v, n/2+8)
}

// guardJSON pays for parsing JSON, which makes values of twenty times its size.
func guardJSON(m *machine, v any, _ []any) any {
	s, _ := v.(string)
	return m.paid(v, 2*len(s)+48)
}

// guardShort errs on strings too long for a number, a date or a format.
func guardShort(m *machine, v any, _ []any) any {
	s, ok := v.(string)
	switch {
	case !ok:
		return guardNumber(m, v, nil)
	case len(s) > maxDigits:
		return &failure{what: "string too long", v: s, valued: true}
	}
	return m.paid(v, len(s)/4)
}

// guardLayout is guardShort for the format of a date.
func guardLayout(m *machine, v any, _ []any) any {
	if err, ok := guardShort(m, v, nil).(error); ok {
		return err
	}
	s, _ := v.(string)
	return m.paid(v, 3*len(s))
}

func guardNumber(m *machine, v any, _ []any) any {
	if err := m.number(v); err != nil {
		return err
	}
	return v
}

// guardParts is guardNumber before what makes an array of a number, or a date.
func guardParts(m *machine, v any, _ []any) any {
	if err := m.number(v); err != nil {
		return err
	}
	return m.paid(v, 16)
}

// maxBound is the longest integer that is a bound of a range, in bits.
const maxBound = 128

// guardBound is guardNumber for a bound of a range, which is worked with each time.
func guardBound(m *machine, v any, _ []any) any {
	if err := m.number(v); err != nil {
		return err
	}
	n, ok := number(v)
	if i, long := n.(*big.Int); long && i.BitLen() > maxBound {
		return errDigits()
	}
	if ok {
		return n
	}
	return v
}

// guardNumbers is guardNumber for a number or an array of them.
func guardNumbers(m *machine, v any, _ []any) any {
	list, ok := v.([]any)
	if !ok {
		return guardNumber(m, v, nil)
	}
	if err := m.charge(len(list) + 16); err != nil {
		return err
	}
	for _, e := range list {
		if err := m.number(e); err != nil {
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

// number pays for parsing v, and errs if it is a number with too many digits.
func (m *machine) number(v any) error {
	switch v.(type) {
	case json.Number, *big.Int:
		if err := m.checkNumber(v); err != nil {
			return err
		}
		return m.charge(numberCost(v))
	}
	return nil
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
		if pays {
			if err := m.charge(sortCost(len(v))); err != nil {
				return err
			}
		}
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
	if pays {
		if err := m.charge(numberCost(v)); err != nil {
			return err
		}
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
