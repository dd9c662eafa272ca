package xml

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// expand appends what the text s means, or the attribute value s, to dst: with
// its references resolved (XML 1.0 section 4.1), its line ends as \n (2.11) and,
// in an attribute, white space as spaces (3.3.3). bad is the offset of a
// reference that is none or is to what XML does not define, or -1.
func expand(dst []byte, s string, attribute bool) (out []byte, bad int) {
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '&' && c != '\r' && (!attribute || c != '\n' && c != '\t') {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch {
		case c == '&':
			r, size := reference(s[i:])
			if size == 0 {
				return nil, i
			}
			dst = utf8.AppendRune(dst, r)
			i += size - 1
			from = i + 1
		case c == '\r' && i+1 < len(s) && s[i+1] == '\n': // one line end
		case attribute:
			dst = append(dst, ' ')
		default:
			dst = append(dst, '\n')
		}
	}
	return append(dst, s[from:]...), -1
}

// reference returns the character that the reference at the start of s stands
// for, and its length, which is 0 if it is none.
func reference(s string) (r rune, size int) {
	end := strings.IndexByte(s, ';')
	if end < 0 {
		return 0, 0
	}
	switch body := s[1:end]; {
	case body == "lt":
		r = '<'
	case body == "gt":
		r = '>'
	case body == "amp":
		r = '&'
	case body == "apos":
		r = '\''
	case body == "quot":
		r = '"'
	case strings.HasPrefix(body, "#"):
		digits, base := body[1:], 10
		if strings.HasPrefix(digits, "x") {
			digits, base = digits[1:], 16
		}
		if strings.Trim(digits, "0123456789abcdefABCDEF") != "" { // ParseUint takes more
			return 0, 0
		}
		n, err := strconv.ParseUint(digits, base, 31)
		if err != nil || !isChar(rune(n)) {
			return 0, 0
		}
		r = rune(n)
	default:
		return 0, 0
	}
	return r, end + 1
}

// appendText appends s as text between tags.
func appendText(dst []byte, s string) []byte {
	from := 0
	for i := range len(s) {
		var escape string
		switch s[i] {
		case '&':
			escape = "&amp;"
		case '<':
			escape = "&lt;"
		case '>': // always, as there may come to be "]]" before it
			escape = "&gt;"
		case '\r':
			escape = "&#13;"
		default:
			continue
		}
		dst = append(append(dst, s[from:i]...), escape...)
		from = i + 1
	}
	return append(dst, s[from:]...)
}

// appendBlank appends s, which is white space, so that it is data even between
// tags of children.
func appendBlank(dst []byte, s string) []byte {
	dst = append(dst, "&#"...)
	dst = strconv.AppendUint(dst, uint64(s[0]), 10)
	return appendText(append(dst, ';'), s[1:])
}

// appendAttribute appends s as an attribute's value between quotes.
func appendAttribute(dst []byte, s string, quote byte) []byte {
	from := 0
	for i := range len(s) {
		var escape string
		switch c := s[i]; {
		case c == '&':
			escape = "&amp;"
		case c == '<':
			escape = "&lt;"
		case c == '"' && c == quote:
			escape = "&quot;"
		case c == '\'' && c == quote:
			escape = "&apos;"
		case c == '\t':
			escape = "&#9;"
		case c == '\n':
			escape = "&#10;"
		case c == '\r':
			escape = "&#13;"
		default:
			continue
		}
		dst = append(append(dst, s[from:i]...), escape...)
		from = i + 1
	}
	return append(dst, s[from:]...)
}

const (
	cdataStart = "<![CDATA["
	cdataEnd   = "]]>"
)

// fitsCDATA reports whether a CDATA section can hold s.
func fitsCDATA(s string) bool {
	return !strings.Contains(s, cdataEnd) && strings.IndexByte(s, '\r') < 0
}
