package msgpack

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// writer writes values from scratch, each in the shortest form.
type writer struct {
	out []byte

	// moved, if set, returns the bytes of a container that was decoded.
	moved func(codec.Value) (string, bool)
}

func (w *writer) value(v codec.Value) error {
	switch v := v.(type) {
	case nil:
		w.out = append(w.out, formNil)
	case bool:
		w.bool(v)
	case int, *big.Int, float64, json.Number:
		return w.number(head{}, v)
	case string:
		w.string(head{}, v)
	case []any:
		return w.array(v)
	case map[string]any:
		return w.object(v)
	default:
		return inexpressible(value.TypeName(v) + " is no value")
	}
	return nil
}

func inexpressible(msg string) error {
	return &codec.ExpressError{Format: name, Path: ".", Msg: msg}
}

func (w *writer) bool(v bool) {
	if v {
		w.out = append(w.out, formTrue)
	} else {
		w.out = append(w.out, formFalse)
	}
}

func (w *writer) array(a []any) error {
	if w.copyMoved(a) {
		return nil
	}
	w.count(head{kind: kindArray}, len(a))
	for i, e := range a {
		if err := w.value(e); err != nil {
			return value.Within(value.Index(i), err)
		}
	}
	return nil
}

func (w *writer) object(o map[string]any) error {
	if w.copyMoved(o) {
		return nil
	}
	if typ, data, ok := extOf(o); ok {
		w.ext(head{}, typ, data)
		return nil
	}
	w.count(head{kind: kindMap}, len(o))
	for _, k := range slices.Sorted(maps.Keys(o)) {
		w.string(head{}, k)
		if err := w.value(o[k]); err != nil {
			return value.Within(value.Key(k), err)
		}
	}
	return nil
}

func (w *writer) copyMoved(v codec.Value) bool {
	if w.moved == nil {
		return false
	}
	text, ok := w.moved(v)
	w.out = append(w.out, text...)
	return ok
}

// extOf returns the ext that o stands for.
func extOf(o map[string]any) (typ int8, data []byte, ok bool) {
	if len(o) != 2 {
		return 0, nil, false
	}
	n, isInt := integerOf(o["$ext"])
	s, isString := o["data"].(string)
	if !isInt || !isString || !n.fits(-128, 127) {
		return 0, nil, false
	}
	data, err := fromBase64(s)
	return int8(n.bits), data, err == nil
}

func fromBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which the decoder passes over
		return nil, base64.CorruptInputError(0)
	}
	return base64.StdEncoding.Strict().DecodeString(s)
}

// sized writes the first bytes of a family of forms that begins at form and
// whose lengths take 1, 2 and 4 bytes, or only 2 and 4 if least is 2. Of was,
// the head that this one replaces, it keeps the width if that is enough.
func (w *writer) sized(was head, form byte, least, n int) {
	bytes := 4
	switch {
	case least == 1 && n <= math.MaxUint8:
		bytes = 1
	case n <= math.MaxUint16:
		bytes = 2
	}
	if was.form >= formNil {
		bytes = max(bytes, int(forms[was.form-formNil].bytes))
	}
	for b := least; b < bytes; b *= 2 {
		form++
	}
	w.out = appendNumber(append(w.out, form), uint64(n), bytes)
}

// count writes the head of a container of was's kind. As with all that replace
// a head, the zero form is none.
func (w *writer) count(was head, n int) {
	fix, form := byte(formFixarr), byte(formArray16)
	if was.kind == kindMap {
		fix, form = formFixmap, formMap16
	}
	if n < 16 && (was.form == 0 || was.form == fix) {
		w.out = append(w.out, fix|byte(n))
		return
	}
	w.sized(was, form, 2, n)
}

func (w *writer) string(was head, s string) {
	s = valid(s)
	if len(s) < 32 && (was.kind != kindStr || was.form == formFixstr) {
		w.out = append(append(w.out, formFixstr|byte(len(s))), s...)
		return
	}
	if was.kind != kindStr {
		was = head{}
	}
	w.sized(was, formStr8, 1, len(s))
	w.out = append(w.out, s...)
}

func (w *writer) bin(was head, data []byte) {
	w.sized(was, formBin8, 1, len(data))
	w.out = append(w.out, data...)
}

func (w *writer) ext(was head, typ int8, data []byte) {
	fixed := was.kind != kindExt || was.form >= formFixext
	if n := len(data); fixed && n > 0 && n <= 16 && n&(n-1) == 0 {
		form := byte(formFixext)
		for ; n > 1; n /= 2 {
			form++
		}
		w.out = append(append(w.out, form, byte(typ)), data...)
		return
	}
	if fixed {
		was = head{}
	}
	w.sized(was, formExt8, 1, len(data))
	w.out = append(append(w.out, byte(typ)), data...)
}

// key writes the name of a new member of a map whose keys are all integers, or
// are not.
func (w *writer) key(name string, integers bool) {
	if integers {
		if n, err := strconv.ParseInt(name, 10, 64); err == nil && strconv.FormatInt(n, 10) == name {
			w.integer(head{}, signed(n))
			return
		}
		if n, err := strconv.ParseUint(name, 10, 64); err == nil && strconv.FormatUint(n, 10) == name {
			w.integer(head{}, integer{bits: n})
			return
		}
	}
	w.string(head{}, name)
}
