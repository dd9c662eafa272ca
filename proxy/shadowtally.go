package proxy

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/rules"
)

// ShadowOutcome is what a route in shadow would have done to an exchange.
type ShadowOutcome string

// The outcomes.
const (
	ShadowChange    ShadowOutcome = "would_change" // something of it would have left differently
	ShadowUnchanged ShadowOutcome = "unchanged"
	ShadowReject    ShadowOutcome = "would_reject"
	ShadowError     ShadowOutcome = "error"     // a step failed, or whether the route matches could not be told
	ShadowSkipped   ShadowOutcome = "skipped"   // its steps did not run, or not to an end
	ShadowOutranked ShadowOutcome = "outranked" // it would not be the exchange's route even if it were enforced
)

// Shadowed tells what a route in shadow would have done to an exchange. It comes
// after the exchange's [Record]. It never changes, and may be kept.
type Shadowed struct {
	Exchange   string // its ID
	Route      string
	At         time.Time // when the exchange began
	Generation uint64
	Call       *rules.Request // its head without query and fields

	Outcome ShadowOutcome
	// Reason says more of ShadowError, of which it is a [rules.Reason], and of
	// ShadowSkipped: busy, memory, too_large, cut_short, websocket.
	Reason string
	Step   string             // that failed or rejected
	Steps  []rules.StepReport // what ran, without heads and bodies
	Answer *Answer            // what Sluice itself would have said; nil: nothing

	// Record is the exchange as observers would have been told of it, and Messages
	// are those of its streams. One a second of each outcome of a route has them.
	Record   *Record
	Messages []*Message
}

func (*Shadowed) event() {}

// ShadowState is what a route in shadow has come to so far.
type ShadowState struct {
	Route  string
	Since  time.Time // its first exchange
	Counts map[ShadowOutcome]uint64
	Steps  []ShadowStep // in the order in which they were first met
	Last   *Shadowed    // the last one that has a Record and would have made a difference; nil: none so far
}

// ShadowStep is how often and how long a step ran.
type ShadowStep struct {
	Step  string
	Count uint64
	Total time.Duration
	Max   time.Duration
}

// Shadows returns what the routes in shadow have come to, by name. A route that
// is not in shadow any more is forgotten.
func (p *Proxy) Shadows() []ShadowState {
	return p.shadows.tally.list(p.Rules.Load().Set)
}

// sampleEvery is how often what would have happened is kept whole.
const sampleEvery = time.Second

// shadowTally counts what routes in shadow would have done. The zero one has seen
// nothing.
type shadowTally struct {
	mu     sync.Mutex
	routes map[string]*tallied
}

type tallied struct {
	ShadowState
	sampled map[ShadowOutcome]time.Time
}

// of returns what is known of a route. mu is held.
func (t *shadowTally) of(route string, set *rules.Set) *tallied {
	r := t.routes[route]
	if r == nil {
		t.prune(set)
		if t.routes == nil {
			t.routes = make(map[string]*tallied)
		}
		r = &tallied{
			ShadowState: ShadowState{Route: route, Since: time.Now(), Counts: make(map[ShadowOutcome]uint64)},
			sampled:     make(map[ShadowOutcome]time.Time),
		}
		t.routes[route] = r
	}
	return r
}

// prune forgets routes that are not in shadow any more. mu is held.
func (t *shadowTally) prune(set *rules.Set) {
	for name := range t.routes {
		if !slices.ContainsFunc(set.Routes(), func(r *rules.Route) bool { return r.Shadow() && r.Name() == name }) {
			delete(t.routes, name)
		}
	}
}

// samples reports whether what e tells is to be kept whole.
func (t *shadowTally) samples(route string, o ShadowOutcome, set *rules.Set) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, now := t.of(route, set), time.Now()
	if now.Sub(r.sampled[o]) < sampleEvery {
		return false
	}
	r.sampled[o] = now
	return true
}

func (t *shadowTally) add(e *Shadowed, set *rules.Set) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.of(e.Route, set)
	r.Counts[e.Outcome]++
	for i := range e.Steps {
		r.step(&e.Steps[i])
	}
	if e.Record != nil && e.Outcome != ShadowUnchanged && e.Outcome != ShadowSkipped {
		r.Last = e
	}
}

func (r *tallied) step(s *rules.StepReport) {
	at := slices.IndexFunc(r.Steps, func(each ShadowStep) bool { return each.Step == s.Step })
	if at < 0 {
		at = len(r.Steps)
		r.Steps = append(r.Steps, ShadowStep{Step: s.Step})
	}
	step := &r.Steps[at]
	step.Count++
	step.Total += s.Took
	step.Max = max(step.Max, s.Took)
}

func (t *shadowTally) list(set *rules.Set) []ShadowState {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prune(set)
	var list []ShadowState
	for _, r := range t.routes {
		state := r.ShadowState
		state.Steps = slices.Clone(r.Steps)
		state.Counts = make(map[ShadowOutcome]uint64, len(r.Counts))
		for o, n := range r.Counts {
			state.Counts[o] = n
		}
		list = append(list, state)
	}
	slices.SortFunc(list, func(a, b ShadowState) int { return cmp.Compare(a.Route, b.Route) })
	return list
}
