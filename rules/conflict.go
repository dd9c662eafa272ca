package rules

import (
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/rules/document"
	"github.com/sluice-proxy/sluice/rules/internal/pattern"
)

// reportConflicts reports two routes that could both match one request while
// nothing orders them, at the later of the two.
func reportConflicts(compilers []*compiler) {
	var before []*compiler
	for _, c := range compilers {
		if c.route == nil || c.route.off || c.matchUnclear() {
			continue
		}
		for _, other := range before {
			if c.route.shadow != other.route.shadow {
				continue // it is tried beside the other, and takes nothing from it
			}
			mine, theirs, found := conflict(&c.route.match, &other.route.match)
			if !found {
				continue
			}
			message := "route " + other.route.name + " at " + place(other, theirs) + " matches the same requests, and neither is more specific"
			hint := "add a condition to one of them"
			if mine == nil {
				mine = c.text.match.At
			}
			if mine != nil {
				mine.Report(codeConflict, hint, "%s", message)
			} else {
				c.doc.Report(codeConflict, hint, message)
			}
		}
		before = append(before, c)
	}
}

// matchUnclear reports whether the file's problems leave open what the route
// matches: match has one, or it is missing and may be what a wrong key meant.
func (c *compiler) matchUnclear() bool {
	if match := c.text.match.At; match != nil {
		return match.HasProblem()
	}
	return len(c.doc.Problems()) > 0
}

func place(c *compiler, n *document.Node) string {
	if n == nil {
		return where(c.named)
	}
	return where(n.Position())
}

// conflict finds patterns of a and b that nothing orders.
func conflict(a, b *conditions) (mine, theirs *document.Node, found bool) {
	if a.count() != b.count() || disjoint(a, b) {
		return nil, nil, false
	}
	for _, p := range a.http {
		for _, q := range b.http {
			if r := pattern.Compare(p.Pattern, q.Pattern); r == pattern.Equal || r == pattern.Overlaps {
				return p.at, q.at, true
			}
		}
	}
	for _, p := range a.grpc {
		for _, q := range b.grpc {
			if pattern.CompareGRPC(p.GRPC, q.GRPC) == pattern.Equal {
				return p.at, q.at, true
			}
		}
	}
	return nil, nil, false
}

// crossing reports whether there are patterns of which neither is more specific.
func crossing(routes []*Route) bool {
	for i, a := range routes {
		for _, b := range routes[:i] {
			for _, p := range a.match.http {
				for _, q := range b.match.http {
					if pattern.Compare(p.Pattern, q.Pattern) == pattern.Overlaps {
						return true
					}
				}
			}
		}
	}
	return false
}

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
