package pattern

import (
	"net/url"
	"strings"
)

// Method returns the pattern's method, "" if it has none.
func (p *Pattern) Method() string { return p.method }

// Wildcards returns the names of the pattern's wildcards, in order.
func (p *Pattern) Wildcards() []string {
	var names []string
	for _, s := range p.segments {
		if s.name != "" && s.kind != literal {
			names = append(names, s.name)
		}
	}
	return names
}

// Path returns a path that the pattern matches, escaped, with what value says in
// the place of each wildcard. Of a wildcard that takes several segments slashes
// stay.
func (p *Pattern) Path(value func(name string) string) string {
	var b strings.Builder
	for _, s := range p.segments {
		b.WriteByte('/')
		switch s.kind {
		case literal:
			b.WriteString(url.PathEscape(s.name))
		case wildcard:
			b.WriteString(url.PathEscape(value(s.name)))
		case rest:
			if s.name != "" {
				b.WriteString(strings.ReplaceAll(url.PathEscape(value(s.name)), "%2F", "/"))
			}
		case end:
		}
	}
	return b.String()
}
