// Package detect tells protocols apart by the first bytes of a connection. Its
// functions are pure: they look at bytes that were peeked and say what they
// are, or that more are needed. They never change their mind: what was decided
// on some bytes is decided on every longer run that begins with them.
package detect

import "bytes"

// Kind is what a connection speaks.
type Kind uint8

// The kinds. The zero Kind is Unknown: the bytes so far may still become
// HTTP or TLS.
const (
	Unknown Kind = iota
	// HTTP1 is a first line that some server might take for an HTTP/1 request.
	// It need not be a good one: lines that only lenient servers read are HTTP1
	// too, so that a strict parser refuses them instead of their passing as Raw.
	HTTP1
	// HTTP2 is the whole preface of HTTP/2 with prior knowledge (RFC 9113, 3.4).
	HTTP2
	// TLS is a handshake record that begins a ClientHello.
	TLS
	// Raw is anything else.
	Raw
	// TooLong is what may be an HTTP/1 request line, but did not end within
	// MaxLine. It is not Raw: length must not talk a request past the rules.
	TooLong
)

func (k Kind) String() string {
	switch k {
	case Unknown:
		return "unknown"
	case HTTP1:
		return "http1"
	case HTTP2:
		return "http2"
	case TLS:
		return "tls"
	case Raw:
		return "raw"
	case TooLong:
		return "too_long"
	}
	return "invalid"
}

// MaxLine is the longest first line that can be HTTP1, in bytes, with the empty
// lines before it and its line end.
const MaxLine = 8 << 10

// preface begins every HTTP/2 connection (RFC 9113, 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Detect tells what b, the first bytes of a connection, speaks. more is true
// exactly with Unknown: a longer b is needed. No more than MaxLine bytes ever
// are.
func Detect(b []byte) (kind Kind, more bool) {
	switch kind := tlsKind(b); kind {
	case Raw:
		// Not TLS: the two do not share a first byte.
	default:
		return kind, kind == Unknown
	}
	if len(b) >= len(preface) {
		if string(b[:len(preface)]) == preface {
			return HTTP2, false
		}
	} else if string(b) == preface[:len(b)] {
		return Unknown, true
	}
	kind = http1Kind(b[:min(len(b), MaxLine)])
	if kind == Unknown && len(b) >= MaxLine {
		kind = TooLong
	}
	return kind, kind == Unknown
}

// http1Kind judges the first line of b. It follows the most lenient readings
// that servers have (RFC 9112, 2.2 and 3): empty lines before it are skipped,
// LF alone ends it, and any white space parts its words.
func http1Kind(b []byte) Kind {
	line := bytes.TrimLeft(b, "\r\n\t\v\f ")
	end := bytes.IndexByte(line, '\n')
	if end < 0 {
		if possible(line) {
			return Unknown
		}
		return Raw
	}
	line = line[:end]
	if possible(line) && asksHTTP(line) {
		return HTTP1
	}
	return Raw
}

// possible reports whether line, which may go on, can still become a request
// line. It is what tells binary protocols apart before a line end that may
// never come: LDAP begins with `0` and a length that may be white space, a
// syslog frame with its length in digits and ` <`.
func possible(line []byte) bool {
	n := 0
	for n < len(line) && isToken(line[n]) {
		n++
	}
	method, rest := line[:n], line[n:]
	if len(rest) == 0 {
		return true
	}
	if n == 0 || !isSpace(rest[0]) {
		return false
	}
	target := bytes.TrimLeft(rest, "\r\t\v\f ")
	if len(target) == 0 {
		return true
	}
	switch target[0] {
	case '<', '{', '"': // never a URI: syslog, NATS
		return false
	case '/':
		if isUpper(method) {
			return true // whatever follows: some servers take control characters
		}
	}
	return !hasControl(target)
}

// asksHTTP reports whether the whole line asks for HTTP: its last word is a
// version, or it is a simple request as of HTTP/0.9, which nginx and Apache
// still answer. memcached's `get key` is not, nor are CONNECT of STOMP and
// NATS and OPTIONS of RTSP.
func asksHTTP(line []byte) bool {
	line = bytes.TrimRight(line, "\r\t\v\f ")
	last := line[bytes.LastIndexAny(line, "\r\t\v\f ")+1:]
	if len(last) < len(line) && len(last) >= len("HTTP/") && bytes.EqualFold(last[:len("HTTP/")], []byte("HTTP/")) {
		return true
	}
	target, isGet := bytes.CutPrefix(line, []byte("GET"))
	if !isGet || len(target) == 0 || !isSpace(target[0]) {
		return false
	}
	target = bytes.TrimLeft(target, "\r\t\v\f ")
	return len(target) > 0 && target[0] == '/' && !bytes.ContainsAny(target, "\r\t\v\f ")
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r' }

// isToken reports whether c can stand in a method (RFC 9110, 5.6.2).
func isToken(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return false
}

// isUpper reports whether method is made as the registered ones are.
func isUpper(method []byte) bool {
	for _, c := range method {
		if (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return true
}

func hasControl(b []byte) bool {
	for _, c := range b {
		if c < ' ' && !isSpace(c) || c == 0x7f {
			return true
		}
	}
	return false
}
