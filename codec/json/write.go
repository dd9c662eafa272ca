package json

import (
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// AppendCompact appends v as JSON without white space, names sorted, nothing
// escaped that need not be. It never fails: what JSON cannot say is said as jq
// does, NaN as null and infinities as the largest numbers, and what is no
// [codec.Value] is null.
func AppendCompact(dst []byte, v codec.Value) []byte {
	w := writer{out: dst}
	_ = w.value(v) // only a strict writer fails
	return w.out
}

// writer writes values from scratch.
type writer struct {
	out    []byte
	strict bool     // fail where JSON cannot express a value
	keys   []string // of the objects that are being written

	// moved, if set, returns the text of a container that was decoded.
	moved func(codec.Value) ([]byte, bool)
}

func (w *writer) value(v codec.Value) error {
	switch v := v.(type) {
	case nil:
		w.out = append(w.out, "null"...)
	case bool:
		w.out = strconv.AppendBool(w.out, v)
	case int:
		w.out = strconv.AppendInt(w.out, int64(v), 10)
	case *big.Int:
		w.out = v.Append(w.out, 10)
	case float64:
		return w.float(v)
	case json.Number:
		return w.number(string(v))
	case string:
		w.string(v)
	case []any:
		return w.array(v)
	case map[string]any:
		return w.object(v)
	default:
		return w.inexpressible("null", value.TypeName(v)+" is no value")
	}
	return nil
}

// inexpressible writes instead, or fails if w is strict.
func (w *writer) inexpressible(instead, msg string) error {
	if w.strict {
		return &codec.ExpressError{Format: name, Path: ".", Msg: msg}
	}
	w.out = append(w.out, instead...)
	return nil
}

func (w *writer) array(a []any) error {
	if w.copyMoved(a) {
		return nil
	}
	w.out = append(w.out, '[')
	for i, e := range a {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if err := w.value(e); err != nil {
			return value.Within(value.Index(i), err)
		}
	}
	w.out = append(w.out, ']')
	return nil
}

func (w *writer) object(o map[string]any) error {
	if w.copyMoved(o) {
		return nil
	}
	w.out = append(w.out, '{')
	base := len(w.keys)
	for k := range o {
		w.keys = append(w.keys, k)
	}
	keys := w.keys[base:]
	defer func() { w.keys = w.keys[:base] }()
	slices.Sort(keys)
	for i, k := range keys {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.string(k)
		w.out = append(w.out, ':')
		if err := w.value(o[k]); err != nil {
			return value.Within(value.Key(k), err)
		}
	}
	w.out = append(w.out, '}')
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

func (w *writer) float(f float64) error {
	switch {
	case math.IsNaN(f):
		return w.inexpressible("null", "JSON has no NaN")
	case math.IsInf(f, 1):
		return w.inexpressible("1.7976931348623157e+308", "JSON has no infinity")
	case math.IsInf(f, -1):
		return w.inexpressible("-1.7976931348623157e+308", "JSON has no infinity")
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	w.out = strconv.AppendFloat(w.out, f, format, -1, 64)
	if n := len(w.out); format == 'e' && w.out[n-4] == 'e' && w.out[n-3] == '-' && w.out[n-2] == '0' {
		w.out = append(w.out[:n-2], w.out[n-1]) // e-07 as everyone else spells it: e-7
	}
	return nil
}

// number writes the spelling s, which gojq may have cut or signed.
func (w *writer) number(s string) error {
	d := decoder{text: s}
	if s == "" || (s[0] != '-' && (s[0] < '0' || s[0] > '9')) {
		return w.inexpressible("null", "a number that is none")
	}
	if _, err := d.number(); err != nil || d.pos != len(s) {
		return w.inexpressible("null", "a number that is none")
	}
	w.out = append(w.out, s...)
	return nil
}

func (w *writer) string(s string) {
	const hex = "0123456789abcdef"
	out := append(w.out, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				out = append(append(out, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += size
			continue
		}
		i++
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		out = append(out, s[from:i-1]...)
		from = i
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b':
			out = append(out, '\\', 'b')
		case '\f':
			out = append(out, '\\', 'f')
		case '\n':
			out = append(out, '\\', 'n')
		case '\r':
			out = append(out, '\\', 'r')
		case '\t':
			out = append(out, '\\', 't')
		default:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	w.out = append(append(out, s[from:]...), '"')
}
