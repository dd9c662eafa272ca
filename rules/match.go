package rules

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/rules/document"
	"github.com/sluice-proxy/sluice/rules/internal/pattern"
)

// httpPattern is one of the http patterns of a route, with its place.
type httpPattern struct {
	*pattern.Pattern
	at *document.Node // nil: the route has no http
}

// compileHTTP answers with nothing if the pattern has a problem.
func compileHTTP(t text) []httpPattern {
	p, err := pattern.Parse(t.V)
	if err != nil {
		reportPattern(t, err)
		return nil
	}
	return []httpPattern{{p, t.At}}
}

// everyHTTP is the pattern of a route without one.
func everyHTTP() []httpPattern {
	p, err := pattern.Parse("/")
	if err != nil {
		panic("rules: " + err.Error())
	}
	return []httpPattern{{Pattern: p}}
}

// grpcPattern is one of the gRPC patterns of a route, with its place.
type grpcPattern struct {
	pattern.GRPC
	at *document.Node
}

func compileGRPC(t text) []grpcPattern {
	p, err := pattern.ParseGRPC(t.V)
	if err != nil {
		reportPattern(t, err)
		return nil
	}
	return []grpcPattern{{p, t.At}}
}

func reportPattern(t text, err error) {
	var syntax *pattern.SyntaxError
	if errors.As(err, &syntax) {
		t.At.ReportAt(syntax.Offset, syntax.End, codePattern, syntax.Hint, "%s", syntax.Msg)
		return
	}
	t.At.Report(codePattern, "", "%s", err)
}

// index finds the routes of a request.
type index struct {
	http   pattern.Index     // its ids are indices of groups
	grpc   pattern.GRPCIndex // its ids too
	groups []group
	routes []*Route // in force, those with more conditions first
	// crossing says that there are http patterns of which neither is more
	// specific, so that the number of conditions has to order them.
	crossing bool
	reach    map[Direction]*reach
}

// reach is what routes can do to the exchanges of one direction.
type reach struct{ touch, answer portSet }

type portSet struct {
	every bool
	ports map[uint16]bool
}

func (p *portSet) add(ports []uint16) {
	if len(ports) == 0 {
		p.every = true
	}
	for _, port := range ports {
		if p.ports == nil {
			p.ports = make(map[uint16]bool)
		}
		p.ports[port] = true
	}
}

func (p *portSet) has(port uint16) bool { return p.every || p.ports[port] }

// newIndex makes the routes findable that are in force: those that act, or those
// in shadow.
func newIndex(routes []*Route, shadow bool) index {
	x := index{reach: map[Direction]*reach{Inbound: {}, Outbound: {}}}
	for _, r := range routes {
		if !r.off && r.shadow == shadow {
			x.routes = append(x.routes, r)
		}
	}
	slices.SortStableFunc(x.routes, func(a, b *Route) int { return cmp.Compare(b.match.count(), a.match.count()) })
	var lists [][]candidate
	shapes := make(map[string]int)
	group := func(shape string, c candidate) (number int, isNew bool) {
		number, known := shapes[shape]
		if !known {
			number = len(lists)
			shapes[shape] = number
			lists = append(lists, nil)
		}
		lists[number] = append(lists[number], c)
		return number, !known
	}
	for id, r := range x.routes {
		for _, p := range r.match.http {
			if number, isNew := group("http "+p.Shape(), candidate{id, p.Pattern}); isNew {
				x.http.Add(p.Pattern, number)
			}
		}
		for _, p := range r.match.grpc {
			if number, isNew := group("grpc "+p.String(), candidate{id, nil}); isNew {
				x.grpc.Add(p.GRPC, number)
			}
		}
		for direction, reach := range x.reach {
			if r.match.direction != "" && r.match.direction != direction {
				continue
			}
			reach.touch.add(r.match.ports)
			if r.in(direction).canAnswer() {
				reach.answer.add(r.match.ports)
			}
		}
	}
	x.groups = newGroups(lists, x.routes)
	x.crossing = crossing(x.routes)
	return x
}

// canAnswer reports whether the route may answer without its upstream.
func (r *Route) canAnswer() bool {
	if r.breaker != nil && r.breaker.Fallback != nil {
		return true
	}
	return r.guards()
}

// CanTouch reports whether a route could match an exchange of a connection in
// direction d to port. Where it answers false, nothing needs to be looked at.
func (s *Set) CanTouch(d Direction, port uint16) bool {
	r := s.index.reach[d]
	return r != nil && r.touch.has(port)
}

// Touches reports whether the route could match an exchange of a connection in
// direction d to port, and act. One in shadow never does.
func (r *Route) Touches(d Direction, port uint16) bool {
	if r.off || r.shadow || r.match.direction != "" && r.match.direction != d {
		return false
	}
	return len(r.match.ports) == 0 || slices.Contains(r.match.ports, port)
}

// CanAnswer reports whether a route that could match such an exchange may
// answer it without its upstream (fallback, reject), so that a refused dial
// has to wait for the head instead of being mirrored as a reset.
func (s *Set) CanAnswer(d Direction, port uint16) bool {
	r := s.index.reach[d]
	return r != nil && r.answer.has(port)
}

// Match finds the route of q by its head alone. An error is a [*StepError]: the
// where of a candidate failed, or the path is ambiguous ([ReasonAmbiguous]) and
// a route that may reject guards one of its readings, or judges the reading
// itself. Its Route says whether on_error rejects; the candidate counts as
// matched.
func (s *Set) Match(ctx context.Context, q *Request, now time.Time) (Match, error) {
	return s.index.match(ctx, q, now)
}

func (x *index) match(ctx context.Context, q *Request, now time.Time) (Match, error) {
	var m Match
	var buffer [longGroup]candidate
	if q.Service != "" {
		for _, c := range x.findGRPC(buffer[:0], q, false) {
			if done, err := m.try(ctx, x.routes[c.id], q, Params{}, now); done || err != nil {
				return m, err
			}
		}
	}
	path, ambiguous := matchedPath(q.Head)
	err := x.matchPath(ctx, &m, q, path, now)
	if err != nil || !ambiguous {
		return m, err
	}
	var other Match
	if err := x.matchPath(ctx, &other, q, pattern.Lenient(q.Head.Path), now); err != nil {
		return other, err
	}
	if r := other.Route; r != nil && r.guards() && (r != m.Route || r.looksAtRequest()) {
		return other, &StepError{Route: other.Route, Step: "match.http", Reason: ReasonAmbiguous, Err: errors.New("servers disagree about the path")}
	}
	return m, nil
}

// matchedPath is the spelling of a request's path that patterns are matched
// against.
func matchedPath(h *Head) (path string, ambiguous bool) {
	path, ambiguous = pattern.Canonical(h.Path)
	if path == "" && h.Method != "CONNECT" {
		path = "/" // of an absolute form, http://orders (RFC 9110, 4.2.3)
	}
	return path, ambiguous
}

// matchPath looks for the route among those whose http pattern matches path.
func (x *index) matchPath(ctx context.Context, m *Match, q *Request, path string, now time.Time) error {
	var buffer [longGroup]candidate
	for _, c := range x.find(buffer[:0], q, path, false) {
		if done, err := m.try(ctx, x.routes[c.id], q, Params{c.pattern, path}, now); done || err != nil {
			return err
		}
	}
	return nil
}

// find appends to found the routes whose http pattern matches path, in the order
// in which they are tried: all of them, or those whose conditions q may meet.
func (x *index) find(found []candidate, q *Request, path string, all bool) []candidate {
	name := canonicalHost(q.Head.Host)
	var buffer [8]pattern.Found
	for _, f := range x.http.Find(buffer[:0], q.Head.Method, name, path) {
		found = x.ofGroup(found, f.ID, q, name, all)
	}
	if x.crossing {
		x.order(found)
	}
	return found
}

// findGRPC does the same for gRPC patterns. A method has one spelling as well: a
// gRPC-Web or Connect server may undo escapes.
func (x *index) findGRPC(found []candidate, q *Request, all bool) []candidate {
	service, _ := pattern.Canonical(q.Service)
	method, _ := pattern.Canonical(q.Method)
	name := canonicalHost(q.Head.Host)
	var buffer [3]int // of the method, its service, and all
	for _, number := range x.grpc.Find(buffer[:0], service, method) {
		found = x.ofGroup(found, number, q, name, all)
	}
	return found
}

func (x *index) ofGroup(found []candidate, number int, q *Request, name string, all bool) []candidate {
	g := &x.groups[number]
	if all {
		return append(found, g.members...)
	}
	return g.appendTo(found, q, name)
}

// order puts those first that win over others by their number of conditions
// where no pattern is more specific.
func (x *index) order(found []candidate) {
	for i := range found {
		rest := found[i:]
		next := slices.IndexFunc(rest, func(c candidate) bool {
			return !slices.ContainsFunc(rest, func(other candidate) bool { return x.before(other, c) })
		})
		if next > 0 {
			first := rest[next]
			copy(rest[1:], rest[:next])
			rest[0] = first
		}
	}
}

func (x *index) before(a, b candidate) bool {
	switch pattern.Compare(a.pattern, b.pattern) {
	case pattern.MoreSpecific:
		return true
	case pattern.Overlaps, pattern.Equal:
		return x.routes[a.id].match.count() > x.routes[b.id].match.count()
	}
	return false
}

// try reports whether r's conditions hold, or failed to be known.
func (m *Match) try(ctx context.Context, r *Route, q *Request, params Params, now time.Time) (bool, error) {
	r = r.in(q.Direction)
	why, err := r.failing(ctx, q, params, now)
	if why == "" {
		m.Route, m.Params = r, params
		return true, err
	}
	m.Passed = append(m.Passed, Passed{Route: r, Why: why})
	return false, nil
}

// guards reports whether the route may turn a request away.
func (r *Route) guards() bool {
	return r.request != nil && slices.ContainsFunc(r.request.steps, func(s step) bool { return s.reject != nil })
}

// looksAtRequest reports whether what the route does can depend on the path: in
// its where, or in a step that names $request.
func (r *Route) looksAtRequest() bool {
	if r.match.where != nil {
		return true
	}
	return r.request != nil && slices.ContainsFunc(r.request.steps, func(s step) bool {
		return s.when.reads("$request") || s.jq.reads("$request") || s.head.reads("$request")
	})
}
