package ruletest

import (
	"slices"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// cover notes which points of a set the cases reached.
type cover struct {
	set    *rules.Set
	routes map[string]*rules.Route
	hits   map[place]reached
}

// place is a point, whichever route it is of.
type place struct {
	at   rules.Position
	kind rules.PointKind
}

// reached says in which ways a point was reached; of one that is no condition yes
// is all there is.
type reached struct{ yes, no bool }

func newCover(set *rules.Set) *cover {
	c := &cover{set: set, routes: make(map[string]*rules.Route), hits: make(map[place]reached)}
	for _, r := range set.Routes() {
		c.routes[r.Name()] = r
	}
	return c
}

func (c *cover) hit(r *rules.Route, step string, kind rules.PointKind, yes bool) {
	if r == nil {
		return
	}
	for _, p := range r.Points() {
		if p.Step != step || p.Kind != kind {
			continue
		}
		at := place{p.Position, p.Kind}
		h := c.hits[at]
		h.yes, h.no = h.yes || yes, h.no || !yes
		c.hits[at] = h
	}
}

// exchange notes what one exchange reached.
func (c *cover) exchange(e *proxy.Explanation) {
	r := e.Record
	for _, p := range r.Passed {
		if p.Why == "where" {
			c.hit(c.routes[p.Route.Name()], "match.where", rules.PointWhere, false)
		}
	}
	route := c.routes[r.Route]
	if route == nil {
		return
	}
	c.hit(route, "match.where", rules.PointWhere, true)
	failed := ""
	if r.Error != nil {
		failed = r.Error.Step
	}
	c.steps(route, r.Request.Steps, failed)
	c.steps(route, r.Response.Steps, failed)
	for _, m := range e.Messages {
		c.steps(route, m.Steps, failed)
	}
	if r.Answered == "fallback" {
		c.hit(route, "upstream.breaker.fallback", rules.PointFallback, true)
	}
}

func (c *cover) steps(route *rules.Route, reports []rules.StepReport, failed string) {
	for _, s := range reports {
		switch {
		case s.Result == "ran", s.Result == "rejected", s.Result == "allowed", s.Result == "failed" && s.Step == failed:
			c.hit(route, s.Step, rules.PointWhen, true)
			c.hit(route, s.Step, rules.PointStep, true)
		case s.Result == "when_false":
			c.hit(route, s.Step, rules.PointWhen, false)
		}
	}
}

// breakers notes what a breaker made of an exchange before which it was in state.
func (c *cover) breakers(k *rules.Case, breakers []proxy.BreakerState, before string) {
	for _, b := range breakers {
		opened := before == "closed" && b.State == "open"
		if opened {
			c.hit(k.Route, "upstream.breaker", rules.PointOpened, true)
		}
		if opened || b.Counts.Failures > 0 {
			c.hit(k.Route, "upstream.breaker.failure", rules.PointFailure, true)
		}
		if b.Counts.Successes > 0 {
			c.hit(k.Route, "upstream.breaker.failure", rules.PointFailure, false)
		}
	}
}

// Coverage is how much of rule files their cases reach.
type Coverage struct {
	Reached, Of int // ways: a step counts as one, a condition as two
	Missing     []Missing
}

// Percent is how much of all was reached, 100 of nothing.
func (c *Coverage) Percent() float64 {
	if c.Of == 0 {
		return 100
	}
	return 100 * float64(c.Reached) / float64(c.Of)
}

// Missing is a way that no case reaches.
type Missing struct {
	rules.Point
	Route string
	What  string // "never runs", "is never true", "is never false", "never opens", "never answers"
}

// Coverage says what the run reached of the files whose names in takes.
func (r *Report) Coverage(in func(file string) bool) *Coverage {
	out := new(Coverage)
	seen := make(map[place]bool)
	for _, route := range r.cover.set.Routes() {
		for _, p := range route.Points() {
			at := place{p.Position, p.Kind}
			if seen[at] || !in(p.Position.File) {
				continue
			}
			seen[at] = true
			out.add(route, p, r.cover.hits[at])
		}
	}
	slices.SortStableFunc(out.Missing, func(a, b Missing) int {
		if a.Position.File != b.Position.File {
			return 0 // routes stand in file order
		}
		return a.Position.Line - b.Position.Line
	})
	return out
}

func (c *Coverage) add(route *rules.Route, p rules.Point, h reached) {
	way := func(ok bool, what string) {
		c.Of++
		if ok {
			c.Reached++
			return
		}
		c.Missing = append(c.Missing, Missing{p, route.Name(), what})
	}
	switch p.Kind {
	case rules.PointStep:
		way(h.yes, "never runs")
	case rules.PointOpened:
		way(h.yes, "never opens")
	case rules.PointFallback:
		way(h.yes, "never answers")
	default:
		way(h.yes, "is never true")
		way(h.no, "is never false")
	}
}
