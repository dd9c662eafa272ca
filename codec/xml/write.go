package xml

import (
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
	sluicejson "github.com/sluice-proxy/sluice/codec/json"
)

const noName = "an element's name that is no name of XML"

// writer writes elements from scratch.
type writer struct {
	out   []byte
	depth int

	// moved, if set, writes a decoded element under a name as it was, and
	// reports whether members are one.
	moved func(name string, members map[string]any) bool
}

// element writes v, which is no array, as the element name.
func (w *writer) element(name string, v codec.Value) error {
	if !isName(name) {
		return inexpressible(noName)
	}
	members, text, err := partsOf(v)
	if err != nil {
		return err
	}
	if members != nil && w.moved != nil && w.moved(name, members) {
		return nil
	}
	if w.depth == maxDepth { // and a value without end is no endless call
		return inexpressible("elements nest " + strconv.Itoa(maxDepth) + " deep at most")
	}
	w.depth++
	defer func() { w.depth-- }()
	keys := slices.Sorted(maps.Keys(members))
	w.out = append(append(w.out, '<'), name...)
	children := 0
	for _, k := range keys {
		switch {
		case strings.HasPrefix(k, "@"):
			w.out = append(w.out, ' ')
			if err := w.attribute(k, members[k], '"'); err != nil {
				return err
			}
		case k == textKey:
		case !isName(k):
			return value.Within(value.Key(k), inexpressible(noName))
		default:
			children += count(members[k])
		}
	}
	if children == 0 && text == "" {
		w.out = append(w.out, "/>"...)
		return nil
	}
	w.out = append(w.out, '>')
	if children > 0 && text != "" && isBlank(text) {
		w.out = appendBlank(w.out, text)
	} else {
		w.out = appendText(w.out, text)
	}
	for _, k := range keys {
		if isChild(k) {
			if err := w.children(k, members[k], nil); err != nil {
				return err
			}
		}
	}
	w.close(name)
	return nil
}

func (w *writer) close(name string) {
	w.out = append(append(append(w.out, "</"...), name...), '>')
}

// children writes v, an array or one, as elements of one name, each behind lead.
func (w *writer) children(name string, v codec.Value, lead []byte) error {
	array, ok := v.([]any)
	if !ok {
		w.out = append(w.out, lead...)
		return step{name, -1}.within(w.element(name, v))
	}
	for i, v := range array {
		w.out = append(w.out, lead...)
		if err := w.element(name, v); err != nil {
			return step{name, i}.within(err)
		}
	}
	return nil
}

// attribute writes the member key as an attribute.
func (w *writer) attribute(key string, v codec.Value, quote byte) error {
	if !isName(key[1:]) {
		return value.Within(value.Key(key), inexpressible("an attribute's name that is no name of XML"))
	}
	s, err := spell(v, "an attribute")
	if err != nil {
		return value.Within(value.Key(key), err)
	}
	w.out = append(append(append(w.out, key[1:]...), '='), quote)
	w.out = append(appendAttribute(w.out, s, quote), quote)
	return nil
}

// isChild reports whether a member is an element, or several.
func isChild(key string) bool { return key != textKey && !strings.HasPrefix(key, "@") }

// count is how many elements a member is.
func count(v codec.Value) int {
	if a, ok := v.([]any); ok {
		return len(a)
	}
	return 1
}

// partsOf returns an element's members, nil if it has none, and its text.
func partsOf(v codec.Value) (members map[string]any, text string, err error) {
	switch v := v.(type) {
	case map[string]any:
		text, err = spell(v[textKey], "text")
		if err != nil {
			err = value.Within(value.Key(textKey), err)
		}
		return v, text, err
	case []any:
		return nil, "", inexpressible("an array in an array has no form in XML")
	}
	text, err = spell(v, "an element")
	return nil, text, err
}

// spell is the text that a scalar is written as; what says where.
func spell(v codec.Value, what string) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		if at := illegal(v); at >= 0 {
			return "", inexpressible("text with " + described(v[at:]))
		}
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case *big.Int:
		return v.String(), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", inexpressible("a number that is infinite or none")
		}
		return string(sluicejson.AppendCompact(nil, v)), nil
	case json.Number:
		if !isNumber(string(v)) {
			return "", inexpressible("a number that is none")
		}
		return string(v), nil
	}
	return "", inexpressible(what + " cannot be " + article(v))
}

// isNumber reports whether s is a number as JSON spells it.
func isNumber(s string) bool {
	digits := func() bool {
		rest := strings.TrimLeft(s, "0123456789")
		some := len(rest) < len(s)
		s = rest
		return some
	}
	s = strings.TrimPrefix(s, "-")
	if rest, ok := strings.CutPrefix(s, "0"); ok {
		s = rest
	} else if !digits() {
		return false
	}
	if rest, ok := strings.CutPrefix(s, "."); ok {
		s = rest
		if !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}

// keeps reports whether writing v where the document says before is no edit.
// text is v's spelling.
func keeps(before string, v codec.Value, text string) bool {
	return before == text || value.IsNumber(v) && isNumber(before) && value.Equal(json.Number(before), v)
}
