package xml

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// illegal returns the offset of the first byte of s that is part of no
// character that XML 1.0 section 2.2 allows, or -1.
func illegal(s string) int {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' && !isSpace(c) {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || !isChar(r) {
			return i
		}
		i += size
	}
	return -1
}

// described names the character at the start of s, which is no legal one.
func described(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size <= 1 {
		return "a byte that is not UTF-8"
	}
	return fmt.Sprintf("U+%04X, which is no character of XML", r)
}

func isChar(r rune) bool {
	return r >= ' ' && r <= 0xd7ff || r == '\t' || r == '\n' || r == '\r' || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= unicode.MaxRune
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// isBlank reports whether s is white space alone.
func isBlank(s string) bool {
	for i := range len(s) {
		if !isSpace(s[i]) {
			return false
		}
	}
	return true
}

// nameLength is the length of the qualified name that s begins with (Namespaces
// in XML 1.0, section 4), and 0 if that is none. What follows is no character of
// a name.
func nameLength(s string) int {
	colons, fresh := 0, true // fresh: at the start of a part
	i := 0
	for i < len(s) {
		c := s[i]
		if c == ':' {
			if fresh || colons == 1 {
				return 0
			}
			colons, fresh = 1, true
			i++
			continue
		}
		size := 1
		var ok bool
		if c < utf8.RuneSelf {
			ok = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || !fresh && ('0' <= c && c <= '9' || c == '-' || c == '.')
		} else {
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			ok = unicode.Is(nameStart, r) || !fresh && unicode.Is(nameMore, r)
		}
		if !ok {
			break
		}
		fresh = false
		i += size
	}
	if fresh {
		return 0
	}
	return i
}

// isName reports whether s is a qualified name.
func isName(s string) bool { return s != "" && nameLength(s) == len(s) }

// nameStart is NameStartChar beyond ASCII, XML 1.0 fifth edition, section 2.3.
var nameStart = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0xc0, Hi: 0xd6, Stride: 1},
		{Lo: 0xd8, Hi: 0xf6, Stride: 1},
		{Lo: 0xf8, Hi: 0x2ff, Stride: 1},
		{Lo: 0x370, Hi: 0x37d, Stride: 1},
		{Lo: 0x37f, Hi: 0x1fff, Stride: 1},
		{Lo: 0x200c, Hi: 0x200d, Stride: 1},
		{Lo: 0x2070, Hi: 0x218f, Stride: 1},
		{Lo: 0x2c00, Hi: 0x2fef, Stride: 1},
		{Lo: 0x3001, Hi: 0xd7ff, Stride: 1},
		{Lo: 0xf900, Hi: 0xfdcf, Stride: 1},
		{Lo: 0xfdf0, Hi: 0xfffd, Stride: 1},
	},
	R32:         []unicode.Range32{{Lo: 0x10000, Hi: 0xeffff, Stride: 1}},
	LatinOffset: 3,
}

// nameMore is what NameChar has more than NameStartChar beyond ASCII.
var nameMore = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0xb7, Hi: 0xb7, Stride: 1},
		{Lo: 0x300, Hi: 0x36f, Stride: 1},
		{Lo: 0x203f, Hi: 0x2040, Stride: 1},
	},
	LatinOffset: 1,
}
