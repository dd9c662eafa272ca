package resilience

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// maxBreakers bounds a group: a breaker belongs to a route and a destination,
// and a caller can choose destinations. The one that was not asked for the
// longest time goes first.
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

	mu       sync.Mutex // guards breakers
	breakers map[string]*Breaker

	noteMu sync.Mutex // guards notes; the innermost lock
	notes  notes

	delivery sync.Mutex // held while changes are told, so that they are told in order
}

// notes are what gobreaker's callbacks leave behind for deliver.
type notes struct {
	changes []Change
	counts  map[*Breaker]Counts
}

// NewGroup returns an empty group. onChange is told of every change, in order
// and outside all locks of gobreaker; it must not block for long.
func NewGroup(onChange func(Change)) *Group {
	return &Group{
		onChange: onChange,
		breakers: make(map[string]*Breaker),
		notes:    notes{counts: make(map[*Breaker]Counts)},
	}
}

// Get returns the breaker of that name. One that exists keeps its state if its
// Spec is the same, whatever the other settings, which a reload has compiled
// anew; else it starts closed.
func (g *Group) Get(name string, s Settings) *Breaker {
	g.mu.Lock()
	defer g.mu.Unlock()
	if b, ok := g.breakers[name]; ok && b.settings.Spec == s.Spec {
		return b
	}
	if len(g.breakers) >= maxBreakers {
		g.evict()
	}
	b := newBreaker(g, name, s.withDefaults())
	b.used.Store(time.Now().UnixNano())
	g.breakers[name] = b
	return b
}

func (g *Group) evict() {
	oldest := ""
	var used int64
	for name, b := range g.breakers {
		if u := b.used.Load(); oldest == "" || u < used {
			oldest, used = name, u
		}
	}
	delete(g.breakers, oldest)
}

// Snapshot is a breaker at one instant.
type Snapshot struct {
	Name       string
	State      State
	Counts     Counts
	Since      time.Time
	RetryAfter time.Duration // of an open one
}

// List returns all breakers by name.
func (g *Group) List() []Snapshot {
	g.mu.Lock()
	all := make([]*Breaker, 0, len(g.breakers))
	for _, b := range g.breakers {
		all = append(all, b)
	}
	g.mu.Unlock()
	list := make([]Snapshot, 0, len(all))
	for _, b := range all {
		list = append(list, b.snapshot())
	}
	g.deliver()
	slices.SortFunc(list, func(a, b Snapshot) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (b *Breaker) snapshot() Snapshot {
	b.mu.Lock()
	two, forced := b.two, b.forced
	b.mu.Unlock()
	s := Snapshot{Name: b.name, State: stateOf(two.State()), Counts: countsOf(two.Counts())}
	if forced {
		s.State = ForcedOpen
	}
	if s.State == Open {
		s.RetryAfter = b.retryAfter(time.Now())
	}
	b.group.deliver()
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Since = b.since
	return s
}

// Set does what a person asks of a breaker: "open" keeps it open until it is
// closed or reset; "close" and "reset" close it with fresh counts.
func (g *Group) Set(name, action string) error {
	g.mu.Lock()
	b, ok := g.breakers[name]
	g.mu.Unlock()
	if !ok {
		return fmt.Errorf("no breaker %q: a breaker exists once its route was used", name)
	}
	before := b.snapshot().State
	after := Closed
	b.mu.Lock()
	switch action {
	case "open":
		b.forced, after = true, ForcedOpen
	case "close", "reset":
		b.forced = false
		b.two = b.fresh() // permits of the old one settle into nothing
	default:
		b.mu.Unlock()
		return fmt.Errorf("unknown action %q: open, close or reset", action)
	}
	b.mu.Unlock()
	if before != after {
		g.changed(b, before, after)
		g.deliver()
	}
	return nil
}

// changed notes a change. It may run under gobreaker's lock.
func (g *Group) changed(b *Breaker, from, to State) {
	now := time.Now()
	g.note(func(n *notes) {
		n.changes = append(n.changes, Change{Name: b.name, From: from, To: to, At: now, Counts: n.counts[b]})
		delete(n.counts, b)
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since = now
	if to == Open {
		b.opened = now
	}
}

func (g *Group) note(f func(*notes)) {
	g.noteMu.Lock()
	defer g.noteMu.Unlock()
	f(&g.notes)
}

// deliver tells what was noted. It is called after every step that may change a
// state, without any lock.
func (g *Group) deliver() {
	g.noteMu.Lock()
	none := len(g.notes.changes) == 0
	g.noteMu.Unlock()
	if none {
		return
	}
	g.delivery.Lock()
	defer g.delivery.Unlock()
	g.noteMu.Lock()
	changes := g.notes.changes
	g.notes.changes = nil
	g.noteMu.Unlock()
	for _, c := range changes {
		g.onChange(c)
	}
}
