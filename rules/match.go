package rules

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	pattern "github.com/sluice-proxy/sluice/rules/internal/tmppattern"

	"github.com/sluice-proxy/sluice/rules/document"
)

// httpPattern is one of the http patterns of a route, with its place.
type httpPattern struct {
	pattern pattern.Pattern
	at      *document.Node // nil: the route has no http
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
	return []httpPattern{{pattern: p}}
}

// grpcPattern is one of the gRPC patterns of a route: a method, all methods of
// a service if method is empty, or everything if service is empty as well.
type grpcPattern struct {
	service, method string
	at              *document.Node
}

func compileGRPC(t text) []grpcPattern {
	if t.V == "*" {
		return []grpcPattern{{at: t.At}}
	}
	service, method, ok := strings.Cut(t.V, "/")
	if !ok || !isProtoName(service) || method != "*" && !isProtoName(method) || strings.Contains(method, ".") {
		t.At.Report(codePattern, "such as shop.v1.Orders/Create, shop.v1.Orders/* or *", "%q is no gRPC method", t.V)
		return nil
	}
	if method == "*" {
		method = ""
	}
	return []grpcPattern{{service, method, t.At}}
}

// isProtoName reports whether s is names joined by dots.
func isProtoName(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		for i, r := range part {
			if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
				return false
			}
		}
		if part == "" {
			return false
		}
	}
	return true
}

// grpcIndex finds the routes of a gRPC method, by [grpcPattern]'s key.
type grpcIndex map[[2]string][]*Route

// httpIndex finds the routes of a request's method, host and path.
type httpIndex struct {
	patterns pattern.Index
	routes   [][]*Route // by the pattern's number
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

// index makes the set's routes findable.
func (s *Set) index() {
	s.grpc = make(grpcIndex)
	s.reach = map[Direction]*reach{Inbound: {}, Outbound: {}}
	var ordered []*Route
	for _, r := range s.routes {
		if !r.off {
			ordered = append(ordered, r)
		}
	}
	slices.SortStableFunc(ordered, func(a, b *Route) int { return cmp.Compare(b.match.count(), a.match.count()) })
	for _, r := range ordered {
		for _, p := range r.match.grpc {
			key := [2]string{p.service, p.method}
			s.grpc[key] = append(s.grpc[key], r)
		}
		for direction, reach := range s.reach {
			if r.match.direction != "" && r.match.direction != direction {
				continue
			}
			reach.touch.add(r.match.ports)
			if r.canAnswer() {
				reach.answer.add(r.match.ports)
			}
		}
	}
	s.http.add(ordered)
}

// add gives every pattern one number, and the routes that share it in the order
// they are to be tried.
func (x *httpIndex) add(ordered []*Route) {
	for _, r := range ordered {
		for _, p := range r.match.http {
			x.patterns.Add(p.pattern)
			x.routes = append(x.routes, []*Route{r})
		}
	}
}

// canAnswer reports whether the route may answer without its upstream.
func (r *Route) canAnswer() bool {
	if r.breaker != nil && r.breaker.Fallback != nil {
		return true
	}
	return r.request != nil && slices.ContainsFunc(r.request.steps, func(s step) bool { return s.reject != nil })
}

// CanTouch reports whether a route could match an exchange of a connection in
// direction d to port. Where it answers false, nothing needs to be looked at.
func (s *Set) CanTouch(d Direction, port uint16) bool {
	r := s.reach[d]
	return r != nil && r.touch.has(port)
}

// CanAnswer reports whether a route that could match such an exchange may
// answer it without its upstream (fallback, reject), so that a refused dial
// has to wait for the head instead of being mirrored as a reset.
func (s *Set) CanAnswer(d Direction, port uint16) bool {
	r := s.reach[d]
	return r != nil && r.answer.has(port)
}

// Match finds the route of q by its head alone. An error is a [*StepError]: the
// where of a candidate failed. Its Route says whether on_error rejects; the
// candidate counts as matched.
func (s *Set) Match(ctx context.Context, q *Request, now time.Time) (Match, error) {
	var m Match
	if q.Service != "" && len(s.grpc) > 0 {
		for _, key := range [][2]string{{q.Service, q.Method}, {q.Service, ""}, {"", ""}} {
			if done, err := m.try(ctx, s.grpc[key], q, nil, now); done || err != nil {
				return m, err
			}
		}
	}
	if len(s.http.routes) == 0 {
		return m, nil
	}
	for _, c := range s.http.patterns.Match(q.Head.Method, canonicalHost(q.Head.Host), q.Head.Path) {
		if done, err := m.try(ctx, s.http.routes[c.ID], q, c.Params, now); done || err != nil {
			return m, err
		}
	}
	return m, nil
}

// try looks for the first of the candidates whose conditions hold.
func (m *Match) try(ctx context.Context, candidates []*Route, q *Request, params map[string]string, now time.Time) (bool, error) {
	for _, r := range candidates {
		why, err := r.failing(ctx, q, params, now)
		if why == "" {
			m.Route, m.Params = r, params
			return true, err
		}
		m.Passed = append(m.Passed, Passed{Route: r, Why: why})
	}
	return false, nil
}
