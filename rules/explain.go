package rules

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/rules/internal/pattern"
)

// Fate is what became of a route when a request was matched.
type Fate string

// The fates.
const (
	Chosen     Fate = "chosen"    // it is the request's route
	Failed     Fate = "failed"    // whether it matches could not be told; it counts as matched
	PassedOver Fate = "passed"    // a pattern of it matches, but a condition does not hold
	Outranked  Fate = "outranked" // all of it matches, but another comes first
	Unmatched  Fate = "no_match"  // no pattern of it matches
	TurnedOff  Fate = "off"       // its mode is off
	Shadowing  Fate = "shadow"    // it runs beside the request's route, and changes nothing
)

// Candidate is a route, and why it is or is not that of a request.
type Candidate struct {
	Route   *Route
	Fate    Fate
	Pattern string // of the route: that which matches, else that which comes nearest; "" if it has none

	// Why names what decided. Of PassedOver it is the condition: direction,
	// port, host, headers.x-tenant, where. Of Unmatched it is the part of
	// Pattern: path, host, method, or grpc. Of Outranked it is less_specific,
	// fewer_conditions, later (in the order of files) or grpc_first. Of Failed it
	// is a [Reason].
	Why string
	// Want is what the rule file asks of the part that Why names, and Got what
	// the request has there; both empty where that says nothing.
	Want, Got string
}

// Candidates explains a match: every route of the set with its fate. Those that
// compete come first, in the order in which they are tried, then the nearest of
// the others. q and now are what [Set.Match] was given, m and err what it
// returned; nothing is decided anew but for routes that it did not have to try.
func (s *Set) Candidates(ctx context.Context, q *Request, now time.Time, m Match, err error) []Candidate {
	e := explanation{index: &s.index, q: q, now: now, match: m, matchErr: err, seen: make(map[*Route]bool)}
	path := e.competeAll(ctx)
	if s.shadows != nil {
		e.shadow(ctx, s)
	}
	near := len(e.found)
	for _, r := range s.routes {
		if r = r.in(q.Direction); !e.seen[r] {
			e.found = append(e.found, e.unmatched(r, path))
		}
	}
	slices.SortStableFunc(e.found[near:], func(a, b Candidate) int { return distance(a) - distance(b) })
	return e.found
}

// explanation is the state of one Candidates.
type explanation struct {
	index    *index
	q        *Request
	now      time.Time
	match    Match
	matchErr error
	winner   *rival // nil until it was met
	found    []Candidate
	seen     map[*Route]bool
}

// rival is a route by the pattern that matches.
type rival struct {
	route *Route
	grpc  *grpcPattern
	http  *pattern.Pattern
}

// competeAll notes the fates of the routes that the index finds, and returns the
// path that they are matched against.
func (e *explanation) competeAll(ctx context.Context) (path string) {
	if e.q.Service != "" {
		for _, c := range e.index.findGRPC(nil, e.q, true) {
			r := e.index.routes[c.id].in(e.q.Direction)
			e.compete(ctx, rival{route: r, grpc: r.match.grpcFor(e.q)}, Params{})
		}
	}
	path, ambiguous := matchedPath(e.q.Head)
	e.competePath(ctx, path)
	if ambiguous {
		e.competePath(ctx, pattern.Lenient(e.q.Head.Path))
	}
	return path
}

func (e *explanation) competePath(ctx context.Context, path string) {
	for _, c := range e.index.find(nil, e.q, path, true) {
		e.compete(ctx, rival{route: e.index.routes[c.id].in(e.q.Direction), http: c.pattern}, Params{c.pattern, path})
	}
}

// shadow notes the fates of the routes in shadow, which compete apart from those
// that act.
func (e *explanation) shadow(ctx context.Context, s *Set) {
	m, outranked, err := s.Shadow(ctx, e.q, e.now, e.match.Route)
	among := explanation{index: s.shadows, q: e.q, now: e.now, match: m, matchErr: err, seen: e.seen}
	among.competeAll(ctx)
	for _, c := range among.found {
		if c.Fate == Chosen {
			if c.Fate = Shadowing; outranked {
				c.Fate, c.Why = Outranked, s.outranked(e.match.Route, c.Route, e.q)
			}
		}
		e.found = append(e.found, c)
	}
}

// compete notes the fate of a route of which a pattern matches.
func (e *explanation) compete(ctx context.Context, r rival, params Params) {
	if e.seen[r.route] {
		return
	}
	e.seen[r.route] = true
	c := Candidate{Route: r.route, Pattern: r.text(e.q)}
	passed := slices.IndexFunc(e.match.Passed, func(p Passed) bool { return p.Route == r.route })
	var failed *StepError
	switch {
	case errors.As(e.matchErr, &failed) && failed.Route == r.route:
		c.Fate, c.Why, e.winner = Failed, string(failed.Reason), &r
		if failed.Step == "match.where" {
			c.Want = r.route.match.where.source
		}
	case e.match.Route == r.route:
		c.Fate, e.winner = Chosen, &r
	case passed >= 0:
		c.Fate, c.Why = PassedOver, e.match.Passed[passed].Why
	default:
		c.Fate, c.Why = e.untried(ctx, r, params)
	}
	if c.Fate == PassedOver {
		c.Want, c.Got = r.route.asks(c.Why, e.q)
	}
	e.found = append(e.found, c)
}

// untried is the fate of a route that comes behind the one that matched.
func (e *explanation) untried(ctx context.Context, r rival, params Params) (Fate, string) {
	why, err := r.route.failing(ctx, e.q, params, e.now)
	switch w := e.winner; {
	case why != "" && err == nil:
		return PassedOver, why
	case w == nil:
		return Outranked, "later"
	case w.grpc != nil && r.grpc == nil:
		return Outranked, "grpc_first"
	case w.grpc != nil:
		return Outranked, "less_specific"
	default:
		switch pattern.Compare(w.http, r.http) {
		case pattern.MoreSpecific:
			return Outranked, "less_specific"
		case pattern.Equal, pattern.Overlaps:
			if w.route.match.count() > r.route.match.count() {
				return Outranked, "fewer_conditions"
			}
		}
		return Outranked, "later"
	}
}

// text is the pattern as the rule file has it.
func (r rival) text(q *Request) string {
	if r.http != nil {
		return r.route.match.patternText(r.http)
	}
	if q.Service != "" {
		if p := r.route.match.grpcFor(q); p != nil {
			return p.String()
		}
	}
	return ""
}

// patternText is p as written, "" if the route was written without a pattern.
func (c *conditions) patternText(p *pattern.Pattern) string {
	for _, each := range c.http {
		if each.Pattern == p && each.at == nil {
			return ""
		}
	}
	return p.String()
}

// unmatched is the fate of a route that the index does not find.
func (e *explanation) unmatched(r *Route, path string) Candidate {
	c := Candidate{Route: r, Fate: Unmatched}
	if r.off {
		c.Fate = TurnedOff
	}
	if c.Pattern = (rival{route: r}).text(e.q); c.Pattern == "" && len(r.match.grpc) > 0 {
		var patterns []string
		for _, p := range r.match.grpc {
			patterns = append(patterns, p.String())
		}
		c.Pattern, c.Why = strings.Join(patterns, ", "), "grpc"
		if e.q.Service != "" {
			c.Got = e.q.Service + "/" + e.q.Method
		}
	}
	for _, p := range r.match.http {
		missed := p.Misses(e.q.Head.Method, canonicalHost(e.q.Head.Host), path)
		if c.Pattern != "" && nearness(missed) >= nearness(c.Why) {
			continue
		}
		c.Pattern, c.Why = r.match.patternText(p.Pattern), missed
		switch missed {
		case pattern.MissedPath:
			c.Got = path
		case pattern.MissedHost:
			c.Want, c.Got = p.Host(), canonicalHost(e.q.Head.Host)
		case pattern.MissedMethod:
			c.Got = e.q.Head.Method
			c.Want, _, _ = strings.Cut(p.String(), " ")
		}
	}
	return c
}

// distance orders what does not match: what is off, but would, before what
// misses by a part.
func distance(c Candidate) int { return nearness(c.Why) }

func nearness(missed string) int {
	return slices.Index([]string{"", pattern.MissedMethod, pattern.MissedHost, pattern.MissedPath, "grpc"}, missed)
}

// asks is what a condition wants, and what the request has in its place.
func (r *Route) asks(why string, q *Request) (want, got string) {
	c := &r.match
	switch why {
	case "direction":
		return string(c.direction), string(q.Direction)
	case "port":
		ports := make([]string, len(c.ports))
		for i, p := range c.ports {
			ports[i] = strconv.Itoa(int(p))
		}
		return strings.Join(ports, ", "), strconv.Itoa(int(q.Destination.Port()))
	case "host":
		hosts := make([]string, len(c.hosts))
		for i, h := range c.hosts {
			if hosts[i] = h.name; h.wildcard {
				hosts[i] = "*" + h.name
			}
		}
		return strings.Join(hosts, ", "), canonicalHost(q.Head.Host)
	case "where":
		return c.where.source, "false"
	}
	name, _ := strings.CutPrefix(why, "headers.")
	for _, h := range c.headers {
		if h.name != name || h.match(q.Head.Fields) {
			continue
		}
		want = h.value
		if h.present {
			want = "*"
		}
		return want, strings.Join(q.Head.Fields.Values(name), ", ")
	}
	return "", ""
}
