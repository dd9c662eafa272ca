package yaml

import (
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"github.com/sluice-proxy/sluice/codec"
)

const (
	quoted    = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	maxNumber = 4096 // characters
)

// scalarOf returns what a scalar is, false if it is not what its tag says.
func scalarOf(n *yaml.Node) (codec.Value, bool) {
	if n.Style&yaml.TaggedStyle == 0 {
		if n.Style&quoted != 0 || n.Tag == "!" {
			return n.Value, true
		}
		return resolve(n.Value), true
	}
	var ok bool
	v := resolve(n.Value)
	switch n.Tag {
	case "!!int":
		switch v.(type) {
		case int, *big.Int:
			ok = true
		}
	case "!!float":
		switch v.(type) {
		case int, *big.Int, float64, json.Number:
			ok = true
		}
	case "!!bool":
		_, ok = v.(bool)
	case "!!null":
		ok = v == nil
	default:
		return n.Value, true
	}
	return v, ok
}

// The forms of the core schema (YAML 1.2.2, 10.3.2).
var (
	decimal = regexp.MustCompile(`^[-+]?[0-9]+$`)
	octal   = regexp.MustCompile(`^0o[0-7]+$`)
	hex     = regexp.MustCompile(`^0x[0-9a-fA-F]+$`)
	float   = regexp.MustCompile(`^([-+]?)(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

// resolve returns what a plain scalar is in the core schema.
func resolve(s string) codec.Value {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF":
		return math.Inf(1)
	case "-.inf", "-.Inf", "-.INF":
		return math.Inf(-1)
	case ".nan", ".NaN", ".NAN":
		return math.NaN()
	}
	if c := s[0]; c != '-' && c != '+' && c != '.' && (c < '0' || c > '9') {
		return s
	}
	isDecimal := decimal.MatchString(s)
	if !isDecimal && !octal.MatchString(s) && !hex.MatchString(s) {
		if !float.MatchString(s) {
			return s
		}
		return numberOf(s)
	}
	if len(s) > maxNumber {
		return json.Number("0") // over a limit: converting it would cost the square of its length
	}
	if strings.HasPrefix(s, "-") && strings.Trim(s, "-0") == "" {
		return json.Number("-0")
	}
	digits, base := strings.TrimPrefix(s, "+"), 10
	if !isDecimal {
		base = map[byte]int{'o': 8, 'x': 16}[s[1]]
		digits = s[2:]
	}
	if n, err := strconv.Atoi(digits); err == nil && base == 10 {
		return n
	}
	n, _ := new(big.Int).SetString(digits, base)
	if n.IsInt64() {
		return int(n.Int64())
	}
	return n
}

// numberOf returns a float as JSON spells it, with the digits that it has.
func numberOf(s string) codec.Value {
	s = strings.TrimPrefix(s, "+")
	s, negative := strings.CutPrefix(s, "-")
	end := strings.IndexAny(s, "eE")
	if end < 0 {
		end = len(s)
	}
	whole, fraction, point := strings.Cut(s[:end], ".")
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if point && fraction == "" {
		fraction = "0"
	}
	if point {
		whole += "." + fraction
	}
	if negative {
		whole = "-" + whole
	}
	return json.Number(whole + s[end:])
}
