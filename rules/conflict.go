package rules

import (
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/rules/document"
)

func reportConflicts(compilers []*compiler) {}

// disjoint reports whether no request can meet both a's and b's conditions as
// far as that is known without running a program. Two values of one header
// count as disjoint: a request that repeats the header with both goes to the
// route whose file comes first.
func disjoint(a, b *conditions) bool {
	if a.direction != "" && b.direction != "" && a.direction != b.direction {
		return true
	}
	if len(a.ports) > 0 && len(b.ports) > 0 && !slices.ContainsFunc(a.ports, func(p uint16) bool { return slices.Contains(b.ports, p) }) {
		return true
	}
	if len(a.hosts) > 0 && len(b.hosts) > 0 && !slices.ContainsFunc(a.hosts, func(h host) bool { return slices.ContainsFunc(b.hosts, h.meets) }) {
		return true
	}
	for _, h := range a.headers {
		for _, g := range b.headers {
			if h.name == g.name && !h.present && !g.present && h.value != g.value {
				return true
			}
		}
	}
	return false
}

// meets reports whether some host is both h and g.
func (h host) meets(g host) bool {
	switch {
	case !h.wildcard && !g.wildcard:
		return h.name == g.name
	case !h.wildcard:
		return g.match(h.name)
	case !g.wildcard:
		return h.match(g.name)
	}
	return strings.HasSuffix(h.name, g.name) || strings.HasSuffix(g.name, h.name)
}

func reportPattern(t text, err error) { t.At.Report(codePattern, "", "%s", err) }

var _ = document.Error
