package pattern

import "strings"

// Canonical returns the one spelling of an escaped path that is matched and
// forwarded: unreserved characters stand for themselves, every other escape is
// in upper case, bytes beyond ASCII are escaped. It changes nothing that has a
// meaning to anyone (RFC 3986, 6.2.2).
//
// A path is ambiguous if servers are known to disagree about it: it has an
// escaped or a doubled slash, a backslash, a semicolon, an escaped percent
// sign, a dot segment, a NUL or a broken escape. [Lenient] shows how it may be
// read.
func Canonical(path string) (canonical string, ambiguous bool) {
	canonical = path
	for i := range len(path) {
		c := path[i]
		if c == '%' || c >= 0x80 {
			canonical, ambiguous = respell(path, i)
			break
		}
	}
	return canonical, ambiguous || hasAmbiguity(canonical)
}

// respell is the slow path of Canonical: path is canonical up to i.
func respell(path string, i int) (canonical string, broken bool) {
	var b strings.Builder
	b.Grow(len(path) + 8)
	b.WriteString(path[:i])
	near := 0 // characters that would make an escape of a broken one before them
	for ; i < len(path); i, near = i+1, max(near-1, 0) {
		c := path[i]
		switch {
		case c >= 0x80:
			writeEscaped(&b, c)
		case c != '%':
			b.WriteByte(c)
		case i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]):
			c = unhex(path[i+1])<<4 | unhex(path[i+2])
			if isUnreserved(c) && near == 0 {
				b.WriteByte(c)
			} else {
				writeEscaped(&b, c)
			}
			i += 2
		default:
			b.WriteByte(c)
			broken, near = true, 3 // this one and the two behind it
		}
	}
	return b.String(), broken
}

func hasAmbiguity(canonical string) bool {
	for i := range len(canonical) {
		switch canonical[i] {
		case '\\', ';', 0:
			return true
		case '%':
			if i+2 < len(canonical) {
				switch canonical[i+1 : i+3] {
				case "2F", "5C", "3B", "25", "00":
					return true
				}
			}
		case '/':
			segment, _ := cut(canonical[i:])
			if segment == "." || segment == ".." || segment == "" && i+1 < len(canonical) {
				return true
			}
		}
	}
	return false
}

// Lenient returns how the most forgiving server reads an ambiguous path: all
// escapes undone until none is left, backslashes as slashes, what follows a
// semicolon in a segment dropped, slashes merged, dot segments resolved. A rule
// that guards a path guards it only if it is matched against this reading too.
// The result is escaped again, and is equal to path if that is not ambiguous.
func Lenient(path string) string {
	canonical, ambiguous := Canonical(path)
	if !ambiguous || canonical[0] != '/' {
		return canonical
	}
	plain := canonical
	for range 3 { // no server decodes more often
		decoded := decodeAll(plain)
		if decoded == plain {
			break
		}
		plain = decoded
	}
	plain, _, _ = strings.Cut(plain, "\x00")
	plain = strings.ReplaceAll(plain, `\`, "/")
	var kept []string
	folder := false // the path names what is in a folder: it ends in a slash
	for part := range strings.SplitSeq(strings.TrimPrefix(plain, "/"), "/") {
		part, _, _ = strings.Cut(part, ";")
		folder = true
		switch part {
		case "", ".":
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		default:
			kept = append(kept, part)
			folder = false
		}
	}
	var b strings.Builder
	for _, part := range kept {
		b.WriteByte('/')
		for i := range len(part) {
			if c := part[i]; isUnreserved(c) || strings.IndexByte("!$&'()*+,=:@", c) >= 0 {
				b.WriteByte(c)
			} else {
				writeEscaped(&b, c)
			}
		}
	}
	if folder || len(kept) == 0 {
		b.WriteByte('/')
	}
	return b.String()
}

// decodeAll undoes each valid escape once.
func decodeAll(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		}
		b = append(b, c)
	}
	return string(b)
}

// isUnreserved: RFC 3986, 2.3.
func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

func writeEscaped(b *strings.Builder, c byte) {
	const digits = "0123456789ABCDEF"
	b.WriteByte('%')
	b.WriteByte(digits[c>>4])
	b.WriteByte(digits[c&15])
}
