package pattern

import (
	"slices"
	"strings"
)

// Index finds the patterns that match a request. Its cost grows with the
// request's segments, not with the patterns. The zero Index is empty. Once
// filled it is safe for concurrent use.
type Index struct {
	hosts map[string]*node
	any   node // of patterns without a host
}

// node is a place in the tree of all patterns' segments.
type node struct {
	literals  map[string]*node
	wildcards *node
	ends      []Found // {$}
	rests     []Found // {name...}
	here      []Found // the path ends behind this segment
}

// Found is a pattern that matches, with the id it was added by.
type Found struct {
	Pattern *Pattern
	ID      int

	method string // of Pattern, beside what is looked at anyway
}

// Add adds p. Several patterns may share an id.
func (x *Index) Add(p *Pattern, id int) {
	n := &x.any
	if p.host != "" {
		if n = x.hosts[p.host]; n == nil {
			if x.hosts == nil {
				x.hosts = make(map[string]*node)
			}
			n = &node{}
			x.hosts[p.host] = n
		}
	}
	found := Found{p, id, p.method}
	for _, s := range p.segments {
		switch s.kind {
		case literal:
			n = n.literal(s.name)
		case wildcard:
			if n.wildcards == nil {
				n.wildcards = &node{}
			}
			n = n.wildcards
		case end:
			n.ends = insert(n.ends, found)
			return
		case rest:
			n.rests = insert(n.rests, found)
			return
		}
	}
	n.here = insert(n.here, found)
}

func (n *node) literal(name string) *node {
	if child := n.literals[name]; child != nil {
		return child
	}
	if n.literals == nil {
		n.literals = make(map[string]*node)
	}
	child := &node{}
	n.literals[name] = child
	return child
}

// insert keeps patterns of equal paths in order: the more specific method
// first, then as they were added.
func insert(list []Found, f Found) []Found {
	at := slices.IndexFunc(list, func(have Found) bool {
		return methodRank(have.method) > methodRank(f.method)
	})
	if at < 0 {
		at = len(list)
	}
	return slices.Insert(list, at, f)
}

func methodRank(method string) int {
	switch method {
	case "":
		return 2
	case "GET": // matches HEAD too
		return 1
	}
	return 0
}

// Find appends to found all patterns that match, the more specific of two
// always before the other; where neither is, one with a literal stands before
// one with a wildcard at the first segment they differ in, and of equal ones
// the first added comes first. host is in lower case, without port, brackets
// and final dot; path is escaped and has no query. A path that does not begin
// with a slash, such as that of OPTIONS * or the empty one of CONNECT, is
// matched by the path / alone.
//
// Find allocates nothing if found has room.
func (x *Index) Find(found []Found, method, host, path string) []Found {
	if path == "" {
		path = "*" // an empty one means the end of a path further down
	}
	if host != "" {
		if n := x.hosts[host]; n != nil {
			found = n.find(found, method, path)
		}
	}
	return x.any.find(found, method, path)
}

func (n *node) find(found []Found, method, path string) []Found {
	if path == "" {
		return matching(found, n.here, method)
	}
	if path[0] != '/' {
		return matching(found, n.rests, method)
	}
	if path == "/" {
		found = matching(found, n.ends, method)
		return matching(found, n.rests, method)
	}
	first, left := cut(path)
	if n.literals != nil {
		if child := n.child(first); child != nil {
			found = child.find(found, method, left)
		}
	}
	if n.wildcards != nil {
		found = n.wildcards.find(found, method, left)
	}
	return matching(found, n.rests, method)
}

// child returns the literal that an escaped segment stands for.
func (n *node) child(escaped string) *node {
	if strings.IndexByte(escaped, '%') < 0 {
		return n.literals[escaped]
	}
	var buffer [128]byte
	decoded := buffer[:0]
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c == '%' {
			if i+2 >= len(escaped) || !isHex(escaped[i+1]) || !isHex(escaped[i+2]) {
				return n.literals[escaped]
			}
			c = unhex(escaped[i+1])<<4 | unhex(escaped[i+2])
			i += 2
		}
		decoded = append(decoded, c)
	}
	return n.literals[string(decoded)]
}

func matching(found, list []Found, method string) []Found {
	for i := range list {
		f := &list[i]
		if m := f.method; m == "" || m == method || m == "GET" && method == "HEAD" {
			found = append(found, *f)
		}
	}
	return found
}

// GRPCIndex finds the gRPC patterns that match a method. The zero GRPCIndex is
// empty. Once filled it is safe for concurrent use.
type GRPCIndex struct{ ids map[GRPC][]int }

// Add adds p. Several patterns may share an id.
func (x *GRPCIndex) Add(p GRPC, id int) {
	if x.ids == nil {
		x.ids = make(map[GRPC][]int)
	}
	x.ids[p] = append(x.ids[p], id)
}

// Find appends to ids those of all patterns that match, the most specific
// first, then as they were added.
func (x *GRPCIndex) Find(ids []int, service, method string) []int {
	if x.ids == nil {
		return ids
	}
	ids = append(ids, x.ids[GRPC{service, method}]...)
	ids = append(ids, x.ids[GRPC{service, ""}]...)
	return append(ids, x.ids[GRPC{}]...)
}
