package msgpack

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
)

// integer is any that MessagePack can write: bits of an int64 if negative, of
// a uint64 if not.
type integer struct {
	bits     uint64
	negative bool
}

func signed(n int64) integer { return integer{uint64(n), n < 0} }

func (n integer) fits(low int64, high uint64) bool {
	if n.negative {
		return int64(n.bits) >= low
	}
	return n.bits <= high
}

// integerOf returns the integer that v is, however it is spelled.
func integerOf(v codec.Value) (integer, bool) {
	switch v := v.(type) {
	case int:
		return signed(int64(v)), true
	case *big.Int:
		switch {
		case v.IsInt64():
			return signed(v.Int64()), true
		case v.IsUint64():
			return integer{bits: v.Uint64()}, true
		}
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= 1<<53 && (v != 0 || !math.Signbit(v)) {
			return signed(int64(v)), true
		}
	case json.Number:
		s := string(v)
		if s == "-0" {
			return integer{}, false
		}
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return signed(n), true
		}
		if n, err := strconv.ParseUint(s, 10, 64); err == nil {
			return integer{bits: n}, true
		}
	}
	return integer{}, false
}

// number writes v, in the form of was if it has one that can hold it.
func (w *writer) number(was head, v codec.Value) error {
	n, whole := integerOf(v)
	if whole && was.kind != kindFloat {
		w.integer(was, n)
		return nil
	}
	f, ok := floatOf(v)
	if !ok && whole {
		w.integer(head{}, n)
		return nil
	}
	if !ok {
		return inexpressible("a number beyond 64 bits")
	}
	narrow := float64(float32(f)) == f || math.IsNaN(f)
	if narrow && was.form != formFloat64 {
		w.out = appendNumber(append(w.out, formFloat32), uint64(math.Float32bits(float32(f))), 4)
	} else {
		w.out = appendNumber(append(w.out, formFloat64), math.Float64bits(f), 8)
	}
	return nil
}

// floatOf returns the float64 that v is. Of a [json.Number] it is what jq
// computes with; an integer has to be exact.
func floatOf(v codec.Value) (float64, bool) {
	switch v := v.(type) {
	case int:
		f := float64(v)
		return f, f < 1<<63 && int(f) == v
	case *big.Int:
		f, accuracy := v.Float64()
		return f, accuracy == big.Exact
	case float64:
		return v, true
	case json.Number:
		s := string(v)
		if strings.Trim(s, "0123456789-") == "" && s != "-0" {
			return wholeFloat(s)
		}
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil && strings.Trim(s, "0123456789+-.eE") == ""
	}
	return 0, false
}

// maxDigits bounds the integers that are converted, at the square of their
// length; longer ones are beyond float64.
const maxDigits = 400

func wholeFloat(s string) (float64, bool) {
	if len(s) > maxDigits {
		return 0, false
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return 0, false
	}
	return floatOf(n)
}

// integer writes n in the form of was if it fits, else in the shortest of the
// same sign, else in the shortest.
func (w *writer) integer(was head, n integer) {
	isSigned := was.kind == kindInt && was.form != formNegInt
	if form := was.form; form >= formUint8 && form <= formInt64 {
		bytes := int(forms[form-formNil].bytes)
		if fitsForm(form, n) {
			w.out = appendNumber(append(w.out, form), n.bits, bytes)
			return
		}
	}
	switch {
	case !n.negative && n.bits < formFixmap && !isSigned:
		w.out = append(w.out, byte(n.bits))
		return
	case n.negative && n.fits(-32, 0) && !isSigned:
		w.out = append(w.out, byte(n.bits))
		return
	}
	form := byte(formUint8)
	if n.negative || isSigned && n.fits(0, math.MaxInt64) {
		form = formInt8
	}
	for !fitsForm(form, n) {
		form++
	}
	w.out = appendNumber(append(w.out, form), n.bits, int(forms[form-formNil].bytes))
}

func fitsForm(form byte, n integer) bool {
	if form <= formUint64 {
		return n.fits(0, math.MaxUint64>>(64-8*uint(forms[form-formNil].bytes)))
	}
	high := int64(math.MaxInt64) >> (64 - 8*uint(forms[form-formNil].bytes))
	return n.fits(-high-1, uint64(high))
}
