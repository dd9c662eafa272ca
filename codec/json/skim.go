package json

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// The functions of this file read a text as strictly as the decoder does, and
// keep nothing. Each begins at a place in the text and returns the place behind
// what it read, or refused: what was wrong and where, the decoder knows.
const refused = -1

// A word is eight bytes of text. Of the marks that the functions below leave in
// the highest bits of its bytes, the lowest is always right.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// marks marks what ends a string or is odd in it: quotes, backslashes, control
// characters and all that is not ASCII.
func marks(w uint64) uint64 {
	quote, escape := w^'"'*ones, w^'\\'*ones
	return ((quote-ones)&^quote | (escape-ones)&^escape | (w - ' '*ones) | w) & highs
}

func skimSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\n' || text[i] == '\r' || text[i] == '\t') {
		i++
	}
	return i
}

// skimValue reads the value that begins at i, in which at most depth
// containers may be open at once.
func skimValue(text []byte, i, depth int) int {
	var objects uint64 // a bit for each open container, the innermost lowest
	open := 0
value:
	for i < len(text) {
		switch c := text[i]; {
		case c == '"':
			if i = skimString(text, i); i < 0 {
				return refused
			}
		case c == '-' || '0' <= c && c <= '9':
			if i = skimNumber(text, i); i < 0 {
				return refused
			}
		case c == '{' || c == '[':
			if open == depth {
				return refused
			}
			if open == 64 { // the bits are used up
				if i = skimValue(text, i, depth-open); i < 0 {
					return refused
				}
				break
			}
			if i++; i < len(text) && text[i] <= ' ' {
				i = skimSpace(text, i)
			}
			if i < len(text) && text[i] == c+2 { // the closing bracket, in ASCII
				i++
				break
			}
			open++
			objects <<= 1
			if c == '{' {
				objects |= 1
				if i = skimName(text, i); i < 0 {
					return refused
				}
			}
			continue
		default:
			if i = skimWord(text, i); i < 0 {
				return refused
			}
		}
		for open > 0 {
			if i < len(text) && text[i] <= ' ' {
				i = skimSpace(text, i)
			}
			if i >= len(text) {
				return refused
			}
			c := text[i]
			i++
			if c == ',' {
				if i < len(text) && text[i] <= ' ' {
					i = skimSpace(text, i)
				}
				if objects&1 != 0 {
					if i = skimName(text, i); i < 0 {
						return refused
					}
				}
				continue value
			}
			if c != ']'+byte(objects&1)<<5 {
				return refused
			}
			open--
			objects >>= 1
		}
		return i
	}
	return refused
}

// skimName reads a member's name up to where its value begins.
func skimName(text []byte, i int) int {
	if i >= len(text) || text[i] != '"' {
		return refused
	}
	if i = skimString(text, i); i < 0 {
		return refused
	}
	return skimColon(text, i)
}

// skimColon reads what is between a name and its value.
func skimColon(text []byte, i int) int {
	if i < len(text) && text[i] <= ' ' {
		i = skimSpace(text, i)
	}
	if i >= len(text) || text[i] != ':' {
		return refused
	}
	if i++; i < len(text) && text[i] <= ' ' {
		i = skimSpace(text, i)
	}
	return i
}

// skimString reads the string whose first quote is at i.
func skimString(text []byte, i int) int {
	i++
	for i+8 <= len(text) {
		mark := marks(binary.LittleEndian.Uint64(text[i:]))
		if mark == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(mark) >> 3
		if text[i] == '"' {
			return i + 1
		}
		return skimOddString(text, i)
	}
	return skimOddString(text, i)
}

// skimOddString reads on in a string, at i, where skimString cannot.
func skimOddString(text []byte, i int) int {
	start, ascii := i, true
	for i < len(text) {
		switch c := text[i]; {
		case c == '"':
			if !ascii && !utf8.Valid(text[start:i]) {
				return refused
			}
			return i + 1
		case c == '\\':
			if i = skimEscape(text, i+1); i < 0 {
				return refused
			}
			continue
		case c < ' ':
			return refused
		case c >= utf8.RuneSelf:
			ascii = false
		}
		if i++; i+8 > len(text) {
			continue
		}
		w := binary.LittleEndian.Uint64(text[i:])
		quote, escape := w^'"'*ones, w^'\\'*ones
		mark := ((quote-ones)&^quote | (escape-ones)&^escape | (w-' '*ones)&^w) & highs
		if w&highs != 0 {
			ascii = false // or the text behind the string: then it is only looked at for nothing
		}
		if mark == 0 {
			i += 8
		} else {
			i += bits.TrailingZeros64(mark) >> 3
		}
	}
	return refused
}

// skimEscape reads an escape behind its backslash.
func skimEscape(text []byte, i int) int {
	if i >= len(text) {
		return refused
	}
	switch text[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
	default:
		return refused
	}
	if i+5 > len(text) {
		return refused
	}
	for _, c := range text[i+1 : i+5] {
		if !isHex(c) {
			return refused
		}
	}
	return i + 5
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func skimNumber(text []byte, i int) int {
	start := i
	if text[i] == '-' {
		i++
	}
	if i < len(text) && text[i] == '0' {
		i++
	} else if i = skimDigits(text, i); i < 0 {
		return refused
	}
	if i < len(text) && text[i] == '.' {
		if i = skimDigits(text, i+1); i < 0 {
			return refused
		}
	}
	if i < len(text) && text[i]|0x20 == 'e' {
		if i++; i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		if i = skimDigits(text, i); i < 0 {
			return refused
		}
	}
	if i-start > maxNumber {
		return refused
	}
	return i
}

// skimDigits reads one digit at least.
func skimDigits(text []byte, i int) int {
	start := i
	for i < len(text) && text[i]-'0' <= 9 {
		i++
	}
	if i == start {
		return refused
	}
	return i
}

func skimWord(text []byte, i int) int {
	switch rest := text[i:]; {
	case len(rest) >= 4 && (string(rest[:4]) == "true" || string(rest[:4]) == "null"):
		return i + 4
	case len(rest) >= 5 && string(rest[:5]) == "false":
		return i + 5
	}
	return refused
}

// skimDocument reports whether the decoder accepts text.
func skimDocument(text []byte, depth int) bool {
	i := skimSpace(text, startOf(text))
	if i = skimValue(text, i, depth); i < 0 {
		return false
	}
	return skimSpace(text, i) == len(text)
}

// startOf is behind the byte order mark, if there is one.
func startOf(text []byte) int {
	if len(text) >= len(bom) && string(text[:len(bom)]) == bom {
		return len(bom)
	}
	return 0
}
