package http1

import (
	"encoding/binary"
	"math/bits"
)

// class says what a byte may stand in.
type class uint8

const (
	tokenByte  class = 1 << iota // RFC 9110, 5.6.2
	valueByte                    // a field value or reason phrase: HTAB, SP, VCHAR, obs-text
	targetByte                   // a request target: VCHAR but `#`, and obs-text, which real callers send unescaped
	hostByte                     // a registered name or IPv4 address: unreserved and sub-delims (RFC 3986, 3.2.2)
	hexByte                      // HEXDIG
)

var classes = makeClasses()

func makeClasses() (t [256]class) {
	for i := range t {
		c := byte(i)
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		if letter || digit {
			t[c] |= tokenByte | hostByte
		}
		if digit || c|0x20 >= 'a' && c|0x20 <= 'f' {
			t[c] |= hexByte
		}
		if c == '\t' || c >= ' ' && c != 0x7f {
			t[c] |= valueByte
		}
		if c > ' ' && c != 0x7f && c != '#' {
			t[c] |= targetByte
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] |= tokenByte
	}
	for _, c := range []byte("-._~!$&'()*+,;=") {
		t[c] |= hostByte
	}
	return t
}

// run is the number of bytes that b begins with that are of class c.
func run(b []byte, c class) int {
	for i, x := range b {
		if classes[x]&c == 0 {
			return i
		}
	}
	return len(b)
}

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// valueEnd is the place at or behind i of the first byte that a field value may
// not have, and len(b) if there is none. It looks at eight bytes at once: values
// are most of a head.
func valueEnd(b []byte, i int) int {
	for i+8 <= len(b) {
		m := controls(binary.LittleEndian.Uint64(b[i:]))
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) / 8
		if b[i] != '\t' {
			return i
		}
		i++
	}
	return i + run(b[i:], valueByte)
}

// controls marks, in its highest bit, the lowest of eight bytes that is below
// SP, or DEL. Marks above that one mean nothing, and no marks that there is none.
func controls(x uint64) uint64 {
	del := x ^ 0x7f*ones
	return ((x-' '*ones)&^x | (del-ones)&^del) & highs
}

// reasonOf says what is wrong with a byte that may not stand where it does.
func reasonOf(c byte, otherwise string) string {
	switch {
	case c == 0:
		return reasonNUL
	case c == '\r':
		return reasonBareCR
	case c == '\n':
		return reasonBareLF
	case c < ' ' || c == 0x7f:
		return reasonControl
	}
	return otherwise
}

// equalFold compares b and with, which is in lower case. bytes.EqualFold would
// take a Kelvin sign for a k.
func equalFold(b []byte, with string) bool {
	if len(b) != len(with) {
		return false
	}
	for i, c := range b {
		if lower(c) != with[i] {
			return false
		}
	}
	return true
}

func sameFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

func isOWS(c byte) bool { return c == ' ' || c == '\t' }

// trimOWS cuts optional white space off both ends (RFC 9110, 5.6.3).
func trimOWS(b []byte) []byte {
	for len(b) > 0 && isOWS(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isOWS(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// ValidName reports whether s can be the name of a field.
func ValidName(s string) bool { return s != "" && all(s, tokenByte) }

// ValidValue reports whether s can be the value of a field: no control
// characters but HTAB, no white space around it.
func ValidValue(s string) bool {
	return s == "" || !isOWS(s[0]) && !isOWS(s[len(s)-1]) && all(s, valueByte)
}

func all(s string, c class) bool {
	for i := range len(s) {
		if classes[s[i]]&c == 0 {
			return false
		}
	}
	return true
}
