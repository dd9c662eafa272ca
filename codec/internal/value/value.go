// Package value holds what every codec needs to compare a decoded value with
// the one that jq left: equality, the pairing of array elements, the keys that
// are new, and jq's notation for paths.
package value

import (
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"github.com/sluice-proxy/sluice/codec"
)

// Same reports whether a and b are one and the same: the same container by
// identity, or scalars of the same type and spelling. It looks at no element.
// Arrays of no capacity have no identity and are never the same.
func Same(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case bool:
		b, ok := b.(bool)
		return ok && a == b
	case int:
		b, ok := b.(int)
		return ok && a == b
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	case *big.Int:
		b, ok := b.(*big.Int)
		return ok && a.Cmp(b) == 0
	case json.Number:
		b, ok := b.(json.Number)
		return ok && a == b
	case string:
		b, ok := b.(string)
		return ok && a == b
	case []any:
		b, ok := b.([]any)
		return ok && cap(a) > 0 && cap(b) > 0 && len(a) == len(b) && &a[:1][0] == &b[:1][0]
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && a != nil && mapID(a) == mapID(b)
	}
	return false
}

// arrayID is the place of a's first element, of which a has room for one, while
// a is reachable.
func arrayID(a []any) uintptr { return reflect.ValueOf(&a[:1][0]).Pointer() }

// mapID is the identity of m while m is reachable.
func mapID(m map[string]any) uintptr { return reflect.ValueOf(m).Pointer() }

// Identity returns a key that equals another value's only if both are the same
// container, and false for scalars and arrays of no
// capacity.
func Identity(v any) (ID, bool) {
	switch v := v.(type) {
	case []any:
		if cap(v) > 0 {
			return ID{arrayID(v), len(v)}, true
		}
	case map[string]any:
		if v != nil {
			return ID{mapID(v), -1}, true
		}
	}
	return ID{}, false
}

// ID is the identity of a container for as long as it is reachable.
type ID struct {
	pointer uintptr
	length  int // of an array: a slice of it begins at the same place
}

// Equal reports whether a and b are equal as jq sees them, except that numbers
// compare exactly, 9007199254740993 being no 9007199254740992.0, and that NaN
// equals NaN.
func Equal(a, b any) bool {
	if Same(a, b) {
		return true
	}
	switch a := a.(type) {
	case string, bool, nil:
		return false // Same knows these
	case int:
		if _, ok := b.(int); ok {
			return false
		}
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !Equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			w, ok := b[k]
			if !ok || !Equal(v, w) {
				return false
			}
		}
		return true
	}
	return IsNumber(a) && IsNumber(b) && equalNumbers(a, b)
}

// IsNumber reports whether v is one of the four types of number.
func IsNumber(v any) bool {
	switch v.(type) {
	case int, float64, *big.Int, json.Number:
		return true
	}
	return false
}

func equalNumbers(a, b any) bool {
	if math.IsNaN(Float(a)) || math.IsNaN(Float(b)) {
		return math.IsNaN(Float(a)) && math.IsNaN(Float(b))
	}
	x, xok := a.(float64)
	y, yok := b.(float64)
	if xok && yok {
		return x == y
	}
	// gojq's arithmetic leaves a float64 where a json.Number was: the number as
	// jq saw it was not changed, so its digits beyond float64 stay.
	if n, ok := a.(json.Number); ok && yok {
		return Float(n) == y
	}
	if n, ok := b.(json.Number); ok && xok {
		return Float(n) == x
	}
	da, oka := decimalOf(a)
	db, okb := decimalOf(b)
	return oka && okb && da == db
}

// decimal is a number as 0.digits * 10^exponent, digits without zeros at
// either end, so that equal numbers have equal decimals.
type decimal struct {
	negative bool
	digits   string
	exponent int64
}

// decimalOf is false for exponents beyond int32 and for floats that are no
// integer: they equal no other type of number but as equalNumbers has it.
func decimalOf(v any) (decimal, bool) {
	var s string
	switch v := v.(type) {
	case int:
		s = strconv.Itoa(v)
	case *big.Int:
		s = v.String()
	case json.Number:
		s = string(v)
	case float64:
		if math.IsInf(v, 0) || v != math.Trunc(v) {
			return decimal{}, false
		}
		i, _ := big.NewFloat(v).Int(nil)
		s = i.String()
	}
	var d decimal
	s, d.negative = strings.CutPrefix(s, "-")
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	if exponent != "" {
		e, err := strconv.ParseInt(exponent, 10, 32)
		if err != nil {
			return decimal{}, false
		}
		d.exponent = e
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	d.exponent += int64(len(whole))
	all := whole + fraction
	d.digits = strings.TrimLeft(all, "0")
	d.exponent -= int64(len(all) - len(d.digits))
	d.digits = strings.TrimRight(d.digits, "0")
	if d.digits == "" {
		return decimal{}, true
	}
	return d, true
}

// Float is the number v as jq's arithmetic sees it, NaN for anything else.
func Float(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case float64:
		return v
	case *big.Int:
		f, _ := v.Float64()
		return f
	case json.Number:
		if f, err := strconv.ParseFloat(string(v), 64); err == nil || math.IsInf(f, 0) {
			return f
		}
	}
	return math.NaN()
}

// TypeName is the name that jq's type gives v, or the Go type of what is no
// value.
func TypeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case int, float64, *big.Int, json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "Go type " + reflect.TypeOf(v).String()
}

// Key is the step into an object member in jq's notation: .name or ["a b"].
func Key(name string) string {
	for i, r := range name {
		if r != '_' && (r > unicode.MaxASCII || !unicode.IsLetter(r)) && (i == 0 || !unicode.IsDigit(r)) {
			return "[" + strconv.Quote(preview(name)) + "]"
		}
	}
	if name == "" {
		return `[""]`
	}
	return "." + preview(name)
}

// Index is the step into an array element in jq's notation.
func Index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// preview cuts what a payload chose to a length fit for errors.
func preview(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// Within puts step, a [Key] or an [Index], before the path of an
// [*codec.ExpressError]; other errors stay as they are.
func Within(step string, err error) error {
	e, ok := err.(*codec.ExpressError)
	if !ok {
		return err
	}
	path := e.Path // "." is the root; ".[0]" is "[0]" below another step
	if path == "." || strings.HasPrefix(path, ".[") {
		path = path[1:]
	}
	if step[0] == '[' {
		step = "." + step
	}
	return &codec.ExpressError{Format: e.Format, Path: step + path, Msg: e.Msg}
}
