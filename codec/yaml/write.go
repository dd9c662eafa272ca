package yaml

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// writer writes values from scratch.
type writer struct {
	out     []byte
	newline string
}

const (
	step     = 2    // of indentation
	maxBlock = 16   // levels of blocks; what is deeper is flow, or its indentation would be most of it
	maxKey   = 1000 // bytes of a key that needs no "? " (YAML 1.2.2, 7.4.2: 1024 characters)
)

func (w *writer) document(v codec.Value) error {
	if err := w.block(v, 0, 0); err != nil {
		return err
	}
	w.out = append(w.out, w.newline...)
	return nil
}

func inexpressible(msg string) error {
	return &codec.ExpressError{Format: name, Path: ".", Msg: msg}
}

func (w *writer) write(s string) { w.out = append(w.out, s...) }

// startLine begins a line at an indentation.
func (w *writer) startLine(indent int) {
	w.write(w.newline)
	w.write(strings.Repeat(" ", indent))
}

// block writes v where a line has come to indent, so that its further lines
// begin there.
func (w *writer) block(v codec.Value, indent, level int) error {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 || level > maxBlock {
			return w.flow(v)
		}
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				w.startLine(indent)
			}
			if err := w.member(k, v[k], indent, level); err != nil {
				return err
			}
		}
		return nil
	case []any:
		if len(v) == 0 || level > maxBlock {
			return w.flow(v)
		}
		for i, e := range v {
			if i > 0 {
				w.startLine(indent)
			}
			w.write("- ")
			if err := w.block(e, indent+step, level+1); err != nil {
				return value.Within(value.Index(i), err)
			}
		}
		return nil
	}
	return w.flow(v)
}

// member writes a member of a block mapping whose keys stand at indent.
func (w *writer) member(k string, v codec.Value, indent, level int) error {
	key := stringText(k)
	if len(key) > maxKey {
		w.write("? ")
		w.write(key)
		w.startLine(indent)
	} else {
		w.write(key)
	}
	w.write(":")
	if sizeOf(v) > 0 && level < maxBlock {
		w.startLine(indent + step)
	} else {
		w.write(" ")
	}
	if err := w.block(v, indent+step, level+1); err != nil {
		return value.Within(value.Key(k), err)
	}
	return nil
}

// sizeOf is how many members or elements v has.
func sizeOf(v codec.Value) int {
	switch v := v.(type) {
	case map[string]any:
		return len(v)
	case []any:
		return len(v)
	}
	return 0
}

// flow writes v on one line.
func (w *writer) flow(v codec.Value) error {
	switch v := v.(type) {
	case map[string]any:
		w.write("{")
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				w.write(", ")
			}
			if err := w.flowMember(k, v[k]); err != nil {
				return err
			}
		}
		w.write("}")
		return nil
	case []any:
		w.write("[")
		for i, e := range v {
			if i > 0 {
				w.write(", ")
			}
			if err := w.flow(e); err != nil {
				return value.Within(value.Index(i), err)
			}
		}
		w.write("]")
		return nil
	}
	s, err := scalarText(v)
	w.write(s)
	return err
}

func (w *writer) flowMember(k string, v codec.Value) error {
	key := stringText(k)
	if len(key) > maxKey {
		key = "? " + key
	}
	w.write(key)
	w.write(": ")
	if err := w.flow(v); err != nil {
		return value.Within(value.Key(k), err)
	}
	return nil
}

// scalarText is a scalar on one line, in any place.
func scalarText(v codec.Value) (string, error) {
	switch v := v.(type) {
	case nil:
		return "null", nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case *big.Int:
		return v.String(), nil
	case float64:
		return floatText(v), nil
	case json.Number:
		if !jsonNumber.MatchString(string(v)) {
			return "", inexpressible("a number that is none")
		}
		return spelled(string(v)), nil
	case string:
		return stringText(v), nil
	}
	return "", inexpressible(value.TypeName(v) + " is no value")
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return ".nan"
	case math.IsInf(f, 1):
		return ".inf"
	case math.IsInf(f, -1):
		return "-.inf"
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return spelled(strconv.FormatFloat(f, format, -1, 64))
}

// spelled gives a number with an exponent the point and the sign that YAML 1.1
// wants of it: 1e5 is a string there. An exponent that no reader has the room
// for stays as it is.
func spelled(s string) string {
	const most = 8 // digits
	at := strings.IndexAny(s, "eE")
	if at < 0 || len(s)-at > most {
		return s
	}
	mantissa, exponent := s[:at], s[at+1:]
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	if exponent[0] != '-' && exponent[0] != '+' {
		exponent = "+" + exponent
	}
	return mantissa + s[at:at+1] + exponent
}

// stringText is a string on one line: plain if every reader takes it for a
// string, else in double quotes.
func stringText(s string) string {
	if isPlain(s) {
		return s
	}
	return doubleQuoted(s)
}

// plainText is what needs no quotes in any place and is too unlike numbers and
// dates to be one.
var plainText = regexp.MustCompile(`^[A-Za-z_/\p{L}][A-Za-z0-9_/.@+$()\p{L}-]*( [A-Za-z0-9_/.@+$()\p{L}-]+)*$`)

// isPlain reports whether a string may stand without quotes.
func isPlain(s string) bool {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false // to YAML 1.1 or 1.2
	}
	return len(s) <= maxKey && plainText.MatchString(s)
}

func doubleQuoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"):
			b.WriteRune(utf8.RuneError)
		case isPrintable(r):
			b.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// isPrintable reports whether r may stand as it is and is seen.
func isPrintable(r rune) bool { return r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r) }

// singleQuoted is false for what has no form in single quotes on one line.
func singleQuoted(s string) (string, bool) {
	for i, r := range s {
		if !isPrintable(r) || r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd") {
			return "", false
		}
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'", true
}
