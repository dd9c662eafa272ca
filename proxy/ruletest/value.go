package ruletest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"

	"github.com/sluice-proxy/sluice/codec"
)

// equal compares two values as jq does: numbers by what they are worth.
func equal(a, b codec.Value) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for key, v := range a {
			if w, ok := b[key]; !ok || !equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case nil, bool, string:
		return a == b
	}
	x, ok := numberText(a)
	y, also := numberText(b)
	return ok && also && (x == y || sameNumber(x, y))
}

func numberText(v codec.Value) (string, bool) {
	switch v := v.(type) {
	case int:
		return strconv.Itoa(v), true
	case *big.Int:
		return v.String(), true
	case json.Number:
		return v.String(), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	}
	return "", false
}

// sameNumber compares integers exactly, and all else as the nearest floats.
func sameNumber(x, y string) bool {
	i, ok := new(big.Int).SetString(x, 10)
	j, also := new(big.Int).SetString(y, 10)
	if ok && also {
		return i.Cmp(j) == 0
	}
	f, err := strconv.ParseFloat(x, 64)
	g, otherErr := strconv.ParseFloat(y, 64)
	return err == nil && otherErr == nil && f == g
}

// indented is a value as JSON of several lines, keys sorted.
func indented(v codec.Value) string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v) // a number that JSON does not have
	}
	return string(bytes.TrimRight(out.Bytes(), "\n"))
}

// through is v as it comes back from a format: with the fields that are always
// there, or as texts where the format has nothing else.
func through(format codec.Codec, v codec.Value) codec.Value {
	if format == nil || v == nil || format.Name() == "json" {
		return v
	}
	data, err := format.Encode(nil, v)
	if err != nil {
		return v
	}
	if back, _, err := format.Decode(data, codec.Limits{}); err == nil {
		return back
	}
	return v
}
