// Package pattern holds the patterns that routes match requests by: those of
// http.ServeMux, as in "GET /v1/orders/{id}", and those of gRPC methods, as in
// "shop.v1.Orders/Create". It knows their syntax, which of two is more
// specific, and finds all that match a request at a cost that does not grow
// with their number.
//
// Of ServeMux it has the syntax and the precedence, not the redirects and the
// cleaning of paths: what is matched is what is forwarded.
package pattern

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Pattern is a parsed pattern of http.ServeMux. It is immutable.
type Pattern struct {
	text     string
	method   string // "" for any; GET is HEAD too
	host     string // "" for any; lower case, without final dot
	segments []segment
}

// segment is what stands between two slashes of a pattern's path. A path that
// ends in a slash ends in a nameless rest; one that ends in {$} in an end.
type segment struct {
	kind kind
	name string // a literal's text, unescaped; a wildcard's name
}

type kind uint8

// The kinds, most specific first.
const (
	literal  kind = iota
	end           // {$}: nothing after the slash
	wildcard      // {name}: one segment
	rest          // {name...}: all that is left, slashes included
)

// SyntaxError says where a pattern is wrong.
type SyntaxError struct {
	Offset, End int // in bytes
	Msg         string
	Hint        string // may be empty
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("offset %d: %s", e.Offset, e.Msg) }

// String returns the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// Shape is the same for all patterns that match the same requests, whatever their
// wildcards are called.
func (p *Pattern) Shape() string {
	var b strings.Builder
	b.WriteString(p.method + " " + p.host)
	for _, s := range p.segments {
		b.WriteByte('/')
		switch s.kind {
		case literal:
			b.WriteString(strconv.Quote(s.name))
		case end:
			b.WriteByte('$')
		case wildcard:
			b.WriteByte('*')
		case rest:
			b.WriteString("**")
		}
	}
	return b.String()
}

// Host returns the pattern's host, "" if it has none.
func (p *Pattern) Host() string { return p.host }

// Parse parses [METHOD ][HOST]/[PATH]. Its error is a [*SyntaxError].
func Parse(s string) (*Pattern, error) {
	p := &Pattern{text: s}
	at := 0
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		if err := checkMethod(s[:i]); err != nil {
			return nil, err
		}
		p.method = s[:i]
		at = len(s) - len(strings.TrimLeft(s[i:], " \t"))
	}
	slash := strings.IndexByte(s[at:], '/')
	if slash < 0 {
		return nil, &SyntaxError{at, len(s), "no path", "a pattern is [METHOD ][HOST]/[PATH], such as GET /v1/orders/{id}"}
	}
	var err error
	if p.host, err = parseHost(s[at:at+slash], at); err != nil {
		return nil, err
	}
	if p.segments, err = parsePath(s, at+slash); err != nil {
		return nil, err
	}
	return p, nil
}

func checkMethod(s string) error {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !isTokenRune(r) }) {
		return &SyntaxError{0, len(s), "not a possible method", "such as GET or POST"}
	}
	if upper := strings.ToUpper(s); upper != s {
		return &SyntaxError{0, len(s), "methods are written in upper case", upper}
	}
	return nil
}

// isTokenRune: RFC 9110 5.6.2.
func isTokenRune(r rune) bool {
	return r < unicode.MaxASCII && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		strings.ContainsRune("!#$%&'*+-.^_`|~", r))
}

func parseHost(s string, at int) (string, error) {
	bad := func(msg, hint string) (string, error) {
		return "", &SyntaxError{at, at + len(s), msg, hint}
	}
	if v6, ok := strings.CutPrefix(s, "["); ok {
		v6, after, found := strings.Cut(v6, "]")
		switch {
		case !found:
			return bad("a bracket is not closed", "")
		case after != "":
			return bad("a pattern's host has no port", "use port: beside http:")
		}
		return strings.ToLower(v6), nil
	}
	switch {
	case strings.Contains(s, "{"):
		return bad("a host has no wildcards", "is the first slash missing?")
	case strings.Contains(s, "*"):
		return bad("a pattern's host has no star", "use host: beside http:")
	case strings.Contains(s, ":"):
		return bad("a pattern's host has no port", "use port: beside http:")
	}
	return strings.TrimSuffix(strings.ToLower(s), "."), nil
}

// parsePath parses s from its slash at on.
func parsePath(s string, at int) ([]segment, error) {
	if i := strings.IndexAny(s[at:], "?#"); i >= 0 {
		return nil, &SyntaxError{at + i, len(s), "a pattern has no query", "match it by where:, as in .query.a == \"1\""}
	}
	var segments []segment
	for at < len(s) {
		at++ // the slash
		if at == len(s) {
			return append(segments, segment{kind: rest}), nil
		}
		stop := len(s)
		if i := strings.IndexByte(s[at:], '/'); i >= 0 {
			stop = at + i
		}
		next, err := parseSegment(s, at, stop)
		if err != nil {
			return nil, err
		}
		if next.kind != literal && next.name != "" && slices.ContainsFunc(segments, func(have segment) bool {
			return have.kind != literal && have.name == next.name
		}) {
			return nil, &SyntaxError{at, stop, fmt.Sprintf("two wildcards of the name %s", next.name), ""}
		}
		segments = append(segments, next)
		at = stop
	}
	return segments, nil
}

func parseSegment(s string, at, stop int) (segment, error) {
	text := s[at:stop]
	bad := func(msg, hint string) (segment, error) {
		return segment{}, &SyntaxError{at, stop, msg, hint}
	}
	if !strings.Contains(text, "{") {
		return segment{literal, unescape(text)}, nil
	}
	if text[0] != '{' || text[len(text)-1] != '}' {
		return bad("a wildcard is a whole segment", "such as /{name}/")
	}
	name := text[1 : len(text)-1]
	if name == "$" {
		if stop < len(s) {
			return bad("{$} stands only at the end", "")
		}
		return segment{kind: end}, nil
	}
	name, multi := strings.CutSuffix(name, "...")
	if !isIdentifier(name) {
		return bad("a wildcard's name is letters, digits and _", "such as {id}")
	}
	if !multi {
		return segment{wildcard, name}, nil
	}
	if stop < len(s) {
		return bad("{...} stands only at the end", "")
	}
	return segment{rest, name}, nil
}

func isIdentifier(s string) bool {
	for i, c := range s {
		if !unicode.IsLetter(c) && c != '_' && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return s != ""
}

// unescape undoes percent-encoding; what is not valid stays as it is, as in
// http.ServeMux.
func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// Params returns what p's wildcards stand for in path, which p matches: each
// unescaped by itself, so that an escaped slash stays inside its segment. It is
// nil if p names no wildcard.
func (p *Pattern) Params(path string) map[string]string {
	var params map[string]string
	for _, s := range p.segments {
		value := strings.TrimPrefix(path, "/")
		if s.kind != rest {
			value, path = cut(path)
		}
		if s.kind == literal || s.name == "" {
			continue
		}
		if params == nil {
			params = make(map[string]string, len(p.segments))
		}
		params[s.name] = unescape(value)
	}
	return params
}

// cut splits path, which begins with a slash, behind its first segment.
func cut(path string) (first, left string) {
	path = strings.TrimPrefix(path, "/")
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}
