package pattern

import "strings"

// Relation is how the requests that one pattern matches relate to those that
// another matches.
type Relation uint8

// The relations.
const (
	Equal        Relation = iota
	MoreSpecific          // the first wins
	MoreGeneral           // the second wins
	Overlaps              // some request is matched by both, and neither wins
	Disjoint              // no request is matched by both
)

func (r Relation) String() string {
	return [...]string{"equal", "more specific", "more general", "overlaps", "disjoint"}[r]
}

// Compare says how p relates to q by the precedence of http.ServeMux: a pattern
// with a host wins over one without; else the one wins that matches a part of
// the other's methods and paths.
func Compare(p, q *Pattern) Relation {
	if p.host != q.host && p.host != "" && q.host != "" {
		return Disjoint
	}
	r := both(compareMethods(p.method, q.method), comparePaths(p.segments, q.segments))
	switch {
	case r == Disjoint || p.host == q.host:
		return r
	case p.host != "":
		return MoreSpecific
	}
	return MoreGeneral
}

func compareMethods(p, q string) Relation {
	switch {
	case p == q:
		return Equal
	case q == "", q == "GET" && p == "HEAD":
		return MoreSpecific
	case p == "", p == "GET" && q == "HEAD":
		return MoreGeneral
	}
	return Disjoint
}

func comparePaths(p, q []segment) Relation {
	r := Equal
	for i := range min(len(p), len(q)) {
		r = both(r, compareSegments(p[i], q[i]))
		if p[i].kind == rest || q[i].kind == rest {
			return r
		}
	}
	if len(p) != len(q) {
		return Disjoint
	}
	return r
}

func compareSegments(p, q segment) Relation {
	switch {
	case p.kind == literal && q.kind == literal && p.name != q.name:
		return Disjoint
	case p.kind == q.kind:
		return Equal
	case q.kind == rest:
		return MoreSpecific
	case p.kind == rest:
		return MoreGeneral
	case p.kind == end || q.kind == end:
		return Disjoint
	case q.kind == wildcard:
		return MoreSpecific
	}
	return MoreGeneral
}

// both is the relation of two things made of parts that relate as a and b.
func both(a, b Relation) Relation {
	switch {
	case a == Disjoint || b == Disjoint:
		return Disjoint
	case a == b || b == Equal:
		return a
	case a == Equal:
		return b
	}
	return Overlaps
}

// GRPC is a parsed pattern of gRPC methods.
type GRPC struct {
	service string // "" for every
	method  string // "" for every
}

func (g GRPC) String() string {
	switch {
	case g.service == "":
		return "*"
	case g.method == "":
		return g.service + "/*"
	}
	return g.service + "/" + g.method
}

// ParseGRPC parses package.Service/Method, package.Service/* or *. Its error is
// a [*SyntaxError].
func ParseGRPC(s string) (GRPC, error) {
	const hint = "package.Service/Method, package.Service/* or *"
	if s == "*" {
		return GRPC{}, nil
	}
	if strings.HasPrefix(s, "/") {
		return GRPC{}, &SyntaxError{0, 1, "a gRPC pattern has no leading slash", s[1:]}
	}
	service, method, found := strings.Cut(s, "/")
	if !found {
		return GRPC{}, &SyntaxError{0, len(s), "no method", hint}
	}
	for label := range strings.SplitSeq(service, ".") {
		if !isIdentifier(label) {
			return GRPC{}, &SyntaxError{0, len(service), "not a possible name of a service", hint}
		}
	}
	switch {
	case method == "*":
		method = ""
	case !isIdentifier(method):
		return GRPC{}, &SyntaxError{len(service) + 1, len(s), "not a possible name of a method", hint}
	}
	return GRPC{service, method}, nil
}

// CompareGRPC says how p relates to q.
func CompareGRPC(p, q GRPC) Relation {
	return both(comparePart(p.service, q.service), comparePart(p.method, q.method))
}

func comparePart(p, q string) Relation {
	switch {
	case p == q:
		return Equal
	case q == "":
		return MoreSpecific
	case p == "":
		return MoreGeneral
	}
	return Disjoint
}
