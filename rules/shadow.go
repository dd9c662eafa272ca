package rules

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-proxy/sluice/rules/internal/pattern"
)

// Shadow reports whether the route's mode is shadow: its steps run beside the
// traffic, and change nothing.
func (r *Route) Shadow() bool { return r.shadow }

// Shadows reports whether a route in shadow could match an exchange of a
// connection in direction d to port. Where it answers false, [Set.Shadow] need
// not be asked.
func (s *Set) Shadows(d Direction, port uint16) bool {
	if s.shadows == nil {
		return false
	}
	r := s.shadows.reach[d]
	return r != nil && r.touch.has(port)
}

// Shadow finds the route in shadow of q, as [Set.Match] does among those that
// act. Routes in shadow compete with each other as if all were enforced, and so
// does the one that is found with the route that acts, nil for none: outranked
// says that it would not be q's route even if its mode were enforce. Two that
// nothing orders do not outrank each other, so that a route can be tried beside
// the one that it is to replace.
func (s *Set) Shadow(ctx context.Context, q *Request, now time.Time, acts *Route) (m Match, outranked bool, err error) {
	if s.shadows == nil {
		return Match{}, false, nil
	}
	m, err = s.shadows.match(ctx, q, now)
	found := m.Route
	var failed *StepError
	if errors.As(err, &failed) {
		found = failed.Route
	}
	if found == nil || acts == nil {
		return m, false, err
	}
	return m, s.outranked(acts, found, q) != "", err
}

// outranked says why acts, which is q's route, comes before a route in shadow that
// matches q as well, in the words of [Candidate]; "" if it does not.
func (s *Set) outranked(acts, shadow *Route, q *Request) string {
	a, b := s.index.rivalOf(q, acts), s.shadows.rivalOf(q, shadow)
	var r pattern.Relation
	switch {
	case (a.grpc != nil) != (b.grpc != nil):
		if a.grpc != nil {
			return "grpc_first"
		}
		return ""
	case a.grpc != nil:
		r = pattern.CompareGRPC(a.grpc.GRPC, b.grpc.GRPC)
	case a.http == nil || b.http == nil:
		return ""
	default:
		r = pattern.Compare(a.http, b.http)
	}
	switch r {
	case pattern.MoreSpecific:
		return "less_specific"
	case pattern.Equal, pattern.Overlaps:
		if acts.match.count() > shadow.match.count() {
			return "fewer_conditions"
		}
	}
	return ""
}

// rivalOf is r by the pattern through which q finds it.
func (x *index) rivalOf(q *Request, r *Route) rival {
	if q.Service != "" {
		for _, c := range x.findGRPC(nil, q, false) {
			if x.routes[c.id].in(q.Direction) == r {
				return rival{route: r, grpc: r.match.grpcFor(q)}
			}
		}
	}
	path, ambiguous := matchedPath(q.Head)
	paths := []string{path}
	if ambiguous {
		paths = append(paths, pattern.Lenient(q.Head.Path))
	}
	for _, path := range paths {
		for _, c := range x.find(nil, q, path, false) {
			if x.routes[c.id].in(q.Direction) == r {
				return rival{route: r, http: c.pattern}
			}
		}
	}
	return rival{route: r}
}

// grpcFor is the most specific of the gRPC patterns that match q, nil for none.
func (c *conditions) grpcFor(q *Request) *grpcPattern {
	service, _ := pattern.Canonical(q.Service)
	method, _ := pattern.Canonical(q.Method)
	for _, text := range []string{service + "/" + method, service + "/*", "*"} {
		for i := range c.grpc {
			if c.grpc[i].String() == text {
				return &c.grpc[i]
			}
		}
	}
	return nil
}
