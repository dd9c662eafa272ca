package rules

import (
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/rules/internal/pattern"
)

// group is the routes of one pattern, whatever its wildcards are called. Those
// with more conditions come first, then those of earlier files.
type group struct {
	members []candidate
	narrow  *narrowing // nil: there are too few to tell them apart
}

// candidate is a route by the pattern that matches.
type candidate struct {
	id      int              // index of the route
	pattern *pattern.Pattern // nil: of gRPC
}

// narrowing finds the few of a long group that a request can meet at all: by
// its host, its port or one header, whichever tells most of them apart. So 1,000
// routes for as many hosts cost what ten do.
type narrowing struct {
	by     string // "host", "port", or a header in lower case
	header bool
	values map[string][]candidate // hosts; ".shop.svc" of wildcards; values of the header
	ports  map[uint16][]candidate
	others []candidate // that do not ask for it
}

// longGroup is how many routes of one pattern are looked at one by one.
const longGroup = 8

// groups makes one of each list.
func newGroups(lists [][]candidate, routes []*Route) []group {
	out := make([]group, len(lists))
	for i, members := range lists {
		out[i] = group{members, narrow(members, routes)}
	}
	return out
}

// narrow chooses what tells members apart, nil if nothing does.
func narrow(members []candidate, routes []*Route) *narrowing {
	if len(members) <= longGroup {
		return nil
	}
	var best *narrowing
	least := len(members) / 2 // that are left, at most, or it is not worth it
	try := func(n *narrowing) {
		for _, m := range members {
			n.add(m, &routes[m.id].match)
		}
		if left := n.left(); left < least {
			best, least = n, left
		}
	}
	try(&narrowing{by: "host"})
	try(&narrowing{by: "port"})
	tried := make(map[string]bool)
	for _, m := range members {
		for _, h := range routes[m.id].match.headers {
			if !h.present && !tried[h.name] {
				tried[h.name] = true
				try(&narrowing{by: h.name, header: true})
			}
		}
	}
	return best
}

func (n *narrowing) add(m candidate, c *conditions) {
	if n.values == nil {
		n.values, n.ports = make(map[string][]candidate), make(map[uint16][]candidate)
	}
	everywhere := true
	put := func(key string) {
		everywhere = false
		if list := n.values[key]; len(list) == 0 || list[len(list)-1] != m { // two of one route
			n.values[key] = append(list, m)
		}
	}
	switch {
	case n.header:
		// Of several values asked for, each has to be there: one is enough to find it by.
		if i := slices.IndexFunc(c.headers, func(h headerCondition) bool { return h.name == n.by && !h.present }); i >= 0 {
			put(c.headers[i].value)
		}
	case n.by == "port":
		for _, p := range c.ports {
			everywhere = false
			n.ports[p] = append(n.ports[p], m)
		}
	case !slices.ContainsFunc(c.hosts, func(h host) bool { return h.name == "" }):
		for _, h := range c.hosts {
			put(h.name)
		}
	}
	if everywhere {
		n.others = append(n.others, m)
	}
}

// left is how many routes may be left to be looked at.
func (n *narrowing) left() int {
	most := 0
	for _, list := range n.values {
		most = max(most, len(list))
	}
	for _, list := range n.ports {
		most = max(most, len(list))
	}
	return len(n.others) + most
}

// appendTo appends the routes of the group that q, whose canonical host is name,
// may meet, in the order in which they are tried.
func (g *group) appendTo(out []candidate, q *Request, name string) []candidate {
	n := g.narrow
	if n == nil {
		return append(out, g.members...)
	}
	start := len(out)
	out = append(out, n.others...)
	switch {
	case n.header:
		for i := range q.Head.Fields {
			if f := &q.Head.Fields[i]; strings.EqualFold(f.Name, n.by) {
				out = append(out, n.values[f.Value]...)
			}
		}
	case n.by == "port":
		out = append(out, n.ports[q.Destination.Port()]...)
	default:
		out = append(out, n.values[name]...)
		for i := range len(name) {
			if name[i] == '.' && i > 0 { // a wildcard is one label at least
				out = append(out, n.values[name[i:]]...)
			}
		}
	}
	if len(out)-start > len(n.others) {
		sortCandidates(out[start:])
		out = out[:start+len(slices.Compact(out[start:]))]
	}
	return out
}

// sortCandidates is for lists of a few that are nearly in order.
func sortCandidates(list []candidate) {
	for i := range list {
		for j := i; j > 0 && list[j].id < list[j-1].id; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
}
