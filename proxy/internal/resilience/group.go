// Package resilience keeps circuit breakers by name, on gobreaker's two-step
// breaker: ask before the work, tell afterwards.
package resilience

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// maxBreakers bounds a group: a breaker belongs to a route and a destination,
// and callers choose destinations.
const maxBreakers = 10_000

// Change is a change of a breaker's state.
type Change struct {
	Name     string
	From, To State
	At       time.Time
	Counts   Counts // that led to it; of a trip only
}

// Group keeps breakers by name. Make one with [NewGroup].
type Group struct {
	onChange func(Change)
	limit    int

	mu       sync.RWMutex // guards breakers; taken before any Breaker.mu
	breakers map[string]*Breaker
}

// NewGroup returns an empty group. onChange, which may be nil, is told of every
// change, of one breaker in order and outside all locks, by the goroutine that
// asked or told the breaker; it should not block.
func NewGroup(onChange func(Change)) *Group {
	return &Group{onChange: onChange, limit: maxBreakers, breakers: make(map[string]*Breaker)}
}

// Get returns the breaker of that name. One that exists keeps its state if its
// Spec is the same, whatever the other settings, which a reload has compiled
// anew; else it starts anew with s, but stays open if it is forced open. When
// the group is full, those not asked for longest go first, closed ones before
// open ones; they work on for who holds them. Forced ones stay.
func (g *Group) Get(name string, s Settings) *Breaker {
	now := time.Now()
	g.mu.RLock()
	b := g.breakers[name]
	g.mu.RUnlock()
	if b == nil {
		b = g.add(name, s, now)
	}
	b.used.Store(now.UnixNano())
	b.mu.Lock()
	same := b.settings.Spec == s.Spec
	if !same {
		before := b.state()
		b.settings = s.withDefaults()
		b.begin()
		if after := b.state(); before != after {
			b.note(before, after, Counts{})
		}
	}
	b.mu.Unlock()
	if !same {
		b.tell()
	}
	return b
}

// add returns the breaker of that name, new unless another call was faster.
func (g *Group) add(name string, s Settings, now time.Time) *Breaker {
	g.mu.Lock()
	b, exists := g.breakers[name]
	if exists {
		g.mu.Unlock()
		return b
	}
	var evicted []*Breaker
	if len(g.breakers) >= g.limit {
		evicted = g.evict()
	}
	b = &Breaker{name: name, group: g, settings: s.withDefaults(), since: now}
	b.begin()
	g.breakers[name] = b
	g.mu.Unlock()
	for _, b := range evicted {
		b.tell()
	}
	return b
}

// evict makes room for a sixteenth of the limit, so that the walk over all
// breakers is paid once for many new ones. Whoever was not closed is seen to
// close: nobody would tell of it again.
func (g *Group) evict() []*Breaker {
	type idle struct {
		b    *Breaker
		open bool
		used int64
	}
	var all []idle
	for _, b := range g.breakers {
		b.mu.Lock()
		if state := b.state(); state != ForcedOpen {
			all = append(all, idle{b, state != Closed, b.used.Load()})
		}
		b.mu.Unlock()
	}
	slices.SortFunc(all, func(x, y idle) int {
		if x.open != y.open {
			if y.open {
				return -1
			}
			return 1
		}
		return cmp.Compare(x.used, y.used)
	})
	var evicted []*Breaker
	for _, idle := range all[:min(len(all), g.limit/16+1)] {
		b := idle.b
		delete(g.breakers, b.name)
		b.mu.Lock()
		if state := b.state(); state != Closed {
			b.begin()
			b.note(state, Closed, Counts{})
		}
		b.mu.Unlock()
		evicted = append(evicted, b)
	}
	return evicted
}

// Snapshot is a breaker at one instant.
type Snapshot struct {
	Name       string
	State      State
	Counts     Counts
	Since      time.Time     // when it came into State
	RetryAfter time.Duration // of an open one
	Spec       string
}

// List returns all breakers by name.
func (g *Group) List() []Snapshot {
	all := g.all()
	list := make([]Snapshot, 0, len(all))
	for _, b := range all {
		list = append(list, b.snapshot())
		b.tell()
	}
	slices.SortFunc(list, func(a, b Snapshot) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (g *Group) all() []*Breaker {
	g.mu.RLock()
	defer g.mu.RUnlock()
	all := make([]*Breaker, 0, len(g.breakers))
	for _, b := range g.breakers {
		all = append(all, b)
	}
	return all
}

func (b *Breaker) snapshot() Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	state := b.state() // before the counts: it rolls the window
	return Snapshot{
		Name: b.name, State: state, Counts: countsOf(b.two.Counts()),
		Since: b.since, RetryAfter: b.retryAfter(state), Spec: b.settings.Spec,
	}
}

// Set does what a person asks of a breaker: "open" keeps it open until it is
// closed or reset; "close" and "reset" both close it now, with fresh counts and
// no longer forced. Permits that are out become void.
func (g *Group) Set(name, action string) error {
	g.mu.RLock()
	b, ok := g.breakers[name]
	g.mu.RUnlock()
	if !ok {
		return fmt.Errorf("no breaker %q: a breaker exists once its route was used", name)
	}
	if action != "open" && action != "close" && action != "reset" {
		return fmt.Errorf("unknown action %q: open, close or reset", action)
	}
	b.force(action == "open")
	b.tell()
	return nil
}

func (b *Breaker) force(open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.state()
	b.forced = open
	b.begin()
	if after := b.state(); after != before {
		b.note(before, after, Counts{})
	}
}

// Close stops the deadlines of all probes. The group must not be used
// afterwards.
func (g *Group) Close() {
	for _, b := range g.all() {
		b.mu.Lock()
		b.void()
		b.mu.Unlock()
	}
}
