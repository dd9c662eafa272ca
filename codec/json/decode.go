package json

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
)

const (
	bom       = "\ufeff"
	maxNumber = 4096 // characters
)

// decoder reads one text in one pass. Elements and members of the containers
// that are still open wait on stacks, so that each is made in its final size.
type decoder struct {
	text      string
	data      []byte // text again, to read eight bytes at a time; may be nil
	pos       int
	depth     int // containers that may still open
	memory    int // bytes, about, that values may still take
	values    []codec.Value
	names     []string
	duplicate bool
	words     *words // may be nil
}

func (d *decoder) document() (codec.Value, error) {
	if strings.HasPrefix(d.text, bom) {
		d.pos = len(bom)
	}
	maxDepth, items := d.depth, d.memory/memoryItem
	d.space()
	v, err := d.value()
	if err != nil {
		if l, ok := err.(*codec.LimitError); ok {
			switch l.Limit {
			case "depth":
				l.Max = int64(maxDepth)
			case "items":
				l.Max = int64(items)
			}
		}
		return nil, err
	}
	d.space()
	if d.pos < len(d.text) {
		return nil, d.unexpected("the end")
	}
	return v, nil
}

func (d *decoder) space() {
	for d.pos < len(d.text) {
		switch d.text[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

func (d *decoder) value() (codec.Value, error) {
	if d.pos >= len(d.text) {
		return nil, d.unexpected("a value")
	}
	switch c := d.text[d.pos]; {
	case c == '"':
		return d.string()
	case c == '{':
		return d.object()
	case c == '[':
		return d.array()
	case c == '-' || '0' <= c && c <= '9':
		return d.number()
	case c == 't':
		return true, d.literal("true")
	case c == 'f':
		return false, d.literal("false")
	case c == 'n':
		return nil, d.literal("null")
	}
	return nil, d.unexpected("a value")
}

func (d *decoder) literal(word string) error {
	if !strings.HasPrefix(d.text[d.pos:], word) {
		return d.unexpected(word)
	}
	d.pos += len(word)
	return nil
}

func (d *decoder) open() error {
	if d.depth == 0 {
		return &codec.LimitError{Format: name, Limit: "depth"} // document knows the limit
	}
	d.depth--
	d.pos++
	d.space()
	return nil
}

func (d *decoder) close() {
	d.depth++
	d.pos++
}

func (d *decoder) at(c byte) bool { return d.pos < len(d.text) && d.text[d.pos] == c }

func (d *decoder) array() (codec.Value, error) {
	if err := d.open(); err != nil {
		return nil, err
	}
	if d.at(']') {
		d.close()
		return make([]any, 0, 1), d.spend(memoryContainer) // a capacity gives it an identity
	}
	base := len(d.values)
	for {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		if d.values = append(d.values, v); len(d.values)-base > d.memory/memoryOpen {
			return nil, errItems()
		}
		d.space()
		if d.at(']') {
			break
		}
		if !d.at(',') {
			return nil, d.unexpected("',' or ']'")
		}
		d.pos++
		d.space()
	}
	d.close()
	if err := d.spend(memoryContainer + memoryItem*(len(d.values)-base)); err != nil {
		return nil, err
	}
	a := make([]any, len(d.values)-base)
	copy(a, d.values[base:])
	clear(d.values[base:])
	d.values = d.values[:base]
	return a, nil
}

func (d *decoder) object() (codec.Value, error) {
	if err := d.open(); err != nil {
		return nil, err
	}
	if d.at('}') {
		d.close()
		return map[string]any{}, d.spend(memoryContainer)
	}
	base, nameBase := len(d.values), len(d.names)
	for {
		if !d.at('"') {
			return nil, d.unexpected("a name in quotes")
		}
		name, err := d.rawString()
		if err != nil {
			return nil, err
		}
		d.space()
		if !d.at(':') {
			return nil, d.unexpected("':'")
		}
		d.pos++
		d.space()
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		if d.names, d.values = append(d.names, name), append(d.values, v); len(d.values)-base > d.memory/memoryOpening {
			return nil, errItems()
		}
		d.space()
		if d.at('}') {
			break
		}
		if !d.at(',') {
			return nil, d.unexpected("',' or '}'")
		}
		d.pos++
		d.space()
	}
	d.close()
	names := d.names[nameBase:]
	if err := d.spend(objectMemory(len(names))); err != nil {
		return nil, err
	}
	o := make(map[string]any, len(names))
	for i, n := range names {
		o[n] = d.values[base+i]
	}
	if len(o) < len(names) {
		d.duplicate = true
	}
	clear(d.values[base:])
	clear(names)
	d.values, d.names = d.values[:base], d.names[:nameBase]
	return o, nil
}

func (d *decoder) number() (codec.Value, error) {
	start := d.pos
	if d.at('-') {
		d.pos++
	}
	switch {
	case d.at('0'):
		d.pos++
	case d.digits() == 0:
		return nil, d.unexpected("a digit")
	}
	integer := true
	if d.at('.') {
		integer = false
		d.pos++
		if d.digits() == 0 {
			return nil, d.unexpected("a digit")
		}
	}
	if d.at('e') || d.at('E') {
		integer = false
		d.pos++
		if d.at('+') || d.at('-') {
			d.pos++
		}
		if d.digits() == 0 {
			return nil, d.unexpected("a digit")
		}
	}
	s := d.text[start:d.pos]
	switch {
	case len(s) > maxNumber:
		return nil, &codec.LimitError{Format: name, Limit: "number", Max: maxNumber}
	case !integer || s == "-0":
		return json.Number(s), nil
	case len(s) <= 18: // fits with its sign
		return smallInt(s), nil
	}
	n, _ := new(big.Int).SetString(s, 10)
	if n.IsInt64() {
		return int(n.Int64()), nil
	}
	return n, nil
}

func (d *decoder) digits() int {
	start := d.pos
	for d.pos < len(d.text) && '0' <= d.text[d.pos] && d.text[d.pos] <= '9' {
		d.pos++
	}
	return d.pos - start
}

func smallInt(s string) int {
	digits, negative := strings.CutPrefix(s, "-")
	n := 0
	for i := range len(digits) {
		n = n*10 + int(digits[i]-'0')
	}
	if negative {
		return -n
	}
	return n
}

func (d *decoder) string() (codec.Value, error) {
	s, err := d.rawString()
	if err != nil {
		return nil, err
	}
	if d.words != nil && 0 < len(s) && len(s) <= maxWord {
		return d.words.value(s), nil
	}
	return s, nil
}

func (d *decoder) rawString() (string, error) {
	if end := d.plainEnd(); end > 0 {
		s := d.text[d.pos+1 : end-1]
		d.pos = end
		return s, nil
	}
	d.pos++
	start := d.pos
	ascii := true
	for d.pos < len(d.text) {
		switch c := d.text[d.pos]; {
		case c == '"':
			s := d.text[start:d.pos]
			if !ascii && !utf8.ValidString(s) {
				return "", d.invalidUTF8(start)
			}
			d.pos++
			return s, nil
		case c == '\\':
			return d.escaped(start)
		case c < ' ':
			return "", d.unexpected("an escape in place of a control character")
		case c >= utf8.RuneSelf:
			ascii = false
		}
		d.pos++
	}
	return "", d.unexpected("'\"'")
}

// plainEnd returns the end of a string of ASCII without escapes, or 0.
func (d *decoder) plainEnd() int {
	for i := d.pos + 1; i+8 <= len(d.data); i += 8 {
		if mark := marks(binary.LittleEndian.Uint64(d.data[i:])); mark != 0 {
			if i += bits.TrailingZeros64(mark) >> 3; d.data[i] == '"' {
				return i + 1
			}
			return 0
		}
	}
	return 0
}

// escaped reads on at the first backslash of the string that began at start.
func (d *decoder) escaped(start int) (string, error) {
	b := append(make([]byte, 0, d.pos-start+32), d.text[start:d.pos]...)
	for d.pos < len(d.text) {
		switch c := d.text[d.pos]; {
		case c == '"':
			if !utf8.Valid(b) {
				return "", d.invalidUTF8(start)
			}
			d.pos++
			return string(b), nil
		case c == '\\':
			var err error
			if b, err = d.escape(b); err != nil {
				return "", err
			}
			continue
		case c < ' ':
			return "", d.unexpected("an escape in place of a control character")
		default:
			b = append(b, c)
		}
		d.pos++
	}
	return "", d.unexpected("'\"'")
}

func (d *decoder) escape(b []byte) ([]byte, error) {
	d.pos++
	if d.pos >= len(d.text) {
		return nil, d.unexpected("an escape")
	}
	c := d.text[d.pos]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r, err := d.unicode()
		if err != nil {
			return nil, err
		}
		if utf16.IsSurrogate(r) {
			second := rune(-1)
			if at := d.pos; strings.HasPrefix(d.text[at:], `\u`) {
				d.pos++
				if second, err = d.unicode(); err != nil {
					return nil, err
				}
				if utf16.DecodeRune(r, second) == utf8.RuneError {
					d.pos = at // two strangers, each read on its own
				}
			}
			r = utf16.DecodeRune(r, second)
		}
		return utf8.AppendRune(b, r), nil
	default:
		return nil, d.unexpected("an escape")
	}
	d.pos++
	return append(b, c), nil
}

// unicode reads four hexadecimal digits after the u that it stands on.
func (d *decoder) unicode() (rune, error) {
	d.pos++
	var r rune
	for range 4 {
		if d.pos >= len(d.text) {
			return 0, d.unexpected("a hexadecimal digit")
		}
		switch c := d.text[d.pos]; {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, d.unexpected("a hexadecimal digit")
		}
		d.pos++
	}
	return r, nil
}

func (d *decoder) invalidUTF8(start int) error {
	for i := start; i < len(d.text); {
		r, size := utf8.DecodeRuneInString(d.text[i:])
		if r == utf8.RuneError && size == 1 {
			d.pos = i
			break
		}
		i += size
	}
	return &codec.SyntaxError{Format: name, Offset: d.pos, Msg: "a string that is not UTF-8"}
}

func (d *decoder) unexpected(want string) error {
	found := "the end"
	if d.pos < len(d.text) {
		found = fmt.Sprintf("%q", d.text[d.pos])
	}
	return &codec.SyntaxError{Format: name, Offset: d.pos, Msg: "found " + found + ", expected " + want}
}
