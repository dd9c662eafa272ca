package jq

import (
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"strings"
)

// operands returns l and r as two numbers of one type: both int, float64 or
// *big.Int. ok is false if one is no number.
func (m *machine) operands(l, r any) (a, b any, ok bool, err error) {
	if rank(l) != 3 || rank(r) != 3 {
		return nil, nil, false, nil
	}
	for _, v := range [...]any{l, r} {
		if err := m.number(v); err != nil {
			return nil, nil, true, err
		}
	}
	l, _ = number(l)
	r, _ = number(r)
	_, li := l.(int)
	_, ri := r.(int)
	if li && ri {
		return l, r, true, nil
	}
	if x, ok := asBig(l); ok {
		if y, ok := asBig(r); ok {
			return x, y, true, m.charge((x.BitLen()+y.BitLen())/64 + 8)
		}
	}
	return asFloat(l), asFloat(r), true, nil
}

// big returns i, or an error if it has become too long to work with.
func (m *machine) big(i *big.Int) any {
	if err := m.checkNumber(i); err != nil {
		return err
	}
	return i
}

func nativeAdd(m *machine, _ any, args []any) any { return m.add(args[0], args[1]) }

func addInts(a, b int) any {
	if sum := a + b; (sum >= a) == (b >= 0) {
		return sum
	}
	return new(big.Int).Add(big.NewInt(int64(a)), big.NewInt(int64(b)))
}

func (m *machine) add(l, r any) any {
	if l, ok := l.(int); ok {
		if r, ok := r.(int); ok {
			return addInts(l, r)
		}
	}
	if a, b, ok := floats(l, r); ok {
		return a + b
	}
	a, b, ok, err := m.operands(l, r)
	if err != nil {
		return err
	}
	if ok {
		switch a := a.(type) {
		case int:
			return addInts(a, b.(int))
		case float64:
			return a + b.(float64)
		case *big.Int:
			return m.big(new(big.Int).Add(a, b.(*big.Int)))
		}
	}
	switch l := l.(type) {
	case nil:
		return m.plain(r)
	case string:
		if r, ok := r.(string); ok {
			if err := m.text(len(l) + len(r)); err != nil {
				return err
			}
			return l + r
		}
	case []any:
		if r, ok := r.([]any); ok {
			switch {
			case len(l) == 0:
				return r
			case len(r) == 0:
				return l
			}
			if err := m.charge(len(l) + len(r)); err != nil {
				return err
			}
			sum := make([]any, 0, len(l)+len(r))
			return append(append(sum, l...), r...)
		}
	case map[string]any:
		if r, ok := r.(map[string]any); ok {
			switch {
			case len(l) == 0:
				return r
			case len(r) == 0:
				return l
			}
			if err := m.charge(objectCost(len(l)+len(r)) + len(r)); err != nil {
				return err
			}
			sum := maps.Clone(l)
			maps.Copy(sum, r)
			return sum
		}
	}
	if r == nil {
		return m.plain(l)
	}
	return failBinary("add", l, r)
}

// plain is v, parsed if it is a number in its own spelling.
func (m *machine) plain(v any) any {
	if err := m.checkNumber(v); err != nil {
		return err
	}
	if n, ok := number(v); ok {
		return n
	}
	return v
}

func nativeSubtract(m *machine, _ any, args []any) any {
	l, r := args[0], args[1]
	if a, b, ok := floats(l, r); ok {
		return a - b
	}
	a, b, ok, err := m.operands(l, r)
	if err != nil {
		return err
	}
	if ok {
		switch a := a.(type) {
		case int:
			b := b.(int)
			if d := a - b; (d <= a) == (b >= 0) {
				return d
			}
			return new(big.Int).Sub(big.NewInt(int64(a)), big.NewInt(int64(b)))
		case float64:
			return a - b.(float64)
		case *big.Int:
			return m.big(new(big.Int).Sub(a, b.(*big.Int)))
		}
	}
	if l, ok := l.([]any); ok {
		if r, ok := r.([]any); ok {
			return m.without(l, r)
		}
	}
	return failBinary("subtract", l, r)
}

// without returns the elements of l that equal none of r. Strings are looked
// up; anything else is compared.
func (m *machine) without(l, r []any) any {
	if err := m.charge(len(l) + 8*len(r)); err != nil {
		return err
	}
	texts, others := make(map[string]bool), []any(nil)
	for _, e := range r {
		if s, ok := e.(string); ok {
			texts[s] = true
		} else {
			others = append(others, e)
		}
	}
	kept := make([]any, 0, len(l))
elements:
	for _, e := range l {
		if s, ok := e.(string); ok {
			m.pay(len(s) / 16)
			if !texts[s] {
				kept = append(kept, e)
			}
			continue
		}
		for _, o := range others {
			if !m.pay(1) {
				return m.over
			}
			if m.equal(e, o) {
				continue elements
			}
		}
		kept = append(kept, e)
	}
	return kept
}

func nativeMultiply(m *machine, _ any, args []any) any {
	l, r := args[0], args[1]
	if a, b, ok := floats(l, r); ok {
		return a * b
	}
	a, b, ok, err := m.operands(l, r)
	if err != nil {
		return err
	}
	if ok {
		switch a := a.(type) {
		case int:
			b := b.(int)
			if p := a * b; a == 0 || p/a == b && !(a == -1 && b == math.MinInt) {
				return p
			}
			return new(big.Int).Mul(big.NewInt(int64(a)), big.NewInt(int64(b)))
		case float64:
			return a * b.(float64)
		case *big.Int:
			b := b.(*big.Int)
			if err := m.charge(a.BitLen() / 64 * b.BitLen() / 64); err != nil {
				return err
			}
			return m.big(new(big.Int).Mul(a, b))
		}
	}
	if lo, ok := l.(map[string]any); ok {
		if ro, ok := r.(map[string]any); ok {
			merged := m.merge(lo, ro, 0)
			if m.over != nil {
				return m.over
			}
			return merged
		}
	}
	if s, ok := l.(string); ok && rank(r) == 3 {
		return m.repeat(s, r)
	}
	if s, ok := r.(string); ok && rank(l) == 3 {
		return m.repeat(s, l)
	}
	return failBinary("multiply", l, r)
}

func (m *machine) repeat(s string, by any) any {
	if err := m.checkNumber(by); err != nil {
		return err
	}
	by, _ = number(by)
	n := asFloat(by)
	if n < 0 || math.IsNaN(n) {
		return nil
	}
	n = math.Trunc(n)
	if err := m.text(int(min(float64(len(s))*n, math.MaxInt32))); err != nil {
		return err
	}
	if s == "" {
		return ""
	}
	return strings.Repeat(s, int(n))
}

// merge returns l with the members of r, objects in both merged in turn.
func (m *machine) merge(l, r map[string]any, depth int) map[string]any {
	if !m.pay(objectCost(len(l)+len(r))+len(r)) || m.deep(depth) {
		return nil
	}
	merged := maps.Clone(l)
	if merged == nil {
		merged = make(map[string]any, len(r))
	}
	for k, v := range r {
		if v, ok := v.(map[string]any); ok {
			if old, ok := merged[k].(map[string]any); ok {
				merged[k] = m.merge(old, v, depth+1)
				continue
			}
		}
		merged[k] = v
	}
	return merged
}

func nativeDivide(m *machine, v any, args []any) any {
	l, r := args[0], args[1]
	if a, b, ok := floats(l, r); ok && b != 0 {
		return a / b
	}
	a, b, ok, err := m.operands(l, r)
	switch {
	case err != nil:
		return err
	case !ok:
		if s, ok := l.(string); ok {
			if by, ok := r.(string); ok {
				return m.split(s, by)
			}
		}
		return failBinary("divide", l, r)
	case asFloat(b) == 0:
		return failBinary("divide by zero", l, r)
	}
	switch a := a.(type) {
	case int:
		b := b.(int)
		switch {
		case b == -1 && a == math.MinInt:
			return new(big.Int).Neg(big.NewInt(int64(a)))
		case a%b == 0:
			return a / b
		}
		return float64(a) / float64(b)
	case float64:
		return a / b.(float64)
	}
	x, y := a.(*big.Int), b.(*big.Int)
	if err := m.charge(x.BitLen() / 64 * y.BitLen() / 64); err != nil {
		return err
	}
	if q, rest := new(big.Int).DivMod(x, y, new(big.Int)); rest.Sign() == 0 {
		return q
	}
	return asFloat(x) / asFloat(y)
}

func nativeModulo(m *machine, _ any, args []any) any {
	l, r := args[0], args[1]
	a, b, ok, err := m.operands(l, r)
	switch {
	case err != nil:
		return err
	case !ok:
		return failBinary("take the remainder", l, r)
	}
	switch a := a.(type) {
	case float64:
		b := b.(float64)
		if math.IsNaN(a) || math.IsNaN(b) {
			return math.NaN()
		}
		return remainder(clampInt(a), clampInt(b))
	case int:
		return remainder(a, b.(int))
	}
	x, y := a.(*big.Int), b.(*big.Int)
	if y.Sign() == 0 {
		return failBinary("divide by zero", l, r)
	}
	if err := m.charge(x.BitLen() / 64 * y.BitLen() / 64); err != nil {
		return err
	}
	return new(big.Int).Rem(x, y)
}

func remainder(a, b int) any {
	switch b {
	case 0:
		return failBinary("divide by zero", a, b)
	case -1: // MinInt % -1 traps on some processors
		return 0
	}
	return a % b
}

// clampInt is f cut to an int.
func clampInt(f float64) int {
	switch {
	case f >= math.MinInt && f < math.MaxInt:
		return int(f)
	case f > 0:
		return math.MaxInt
	}
	return math.MinInt
}

// asInt is v cut to an int, if it is a number that was checked.
func asInt(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case float64:
		return clampInt(v), true
	case *big.Int:
		if v.IsInt64() {
			return int(v.Int64()), true
		}
		if v.Sign() > 0 {
			return math.MaxInt, true
		}
		return math.MinInt, true
	case json.Number:
		n, _ := number(v)
		return asInt(n)
	}
	return 0, false
}

// bessel is jn or yn, whose work grows with their order.
func (m *machine) bessel(name string, order, x any, f func(int, float64) float64) any {
	for _, v := range [...]any{order, x} {
		if err := m.checkNumber(v); err != nil {
			return err
		}
		if rank(v) != 3 {
			return failType(name, v)
		}
	}
	n, _ := asInt(order)
	if err := m.charge(int(min(math.Abs(float64(n)), 1<<40))); err != nil {
		return err
	}
	x, _ = number(x)
	return f(n, asFloat(x))
}
