package rules

import "sync/atomic"

// Live is the set in force. The zero Live holds an empty set of generation
// zero. It is safe for concurrent use.
type Live struct{ current atomic.Pointer[Generation] }

// Generation is a set and its number, which grows by one with every [Live.Swap].
type Generation struct {
	*Set
	Number uint64

	replaced chan struct{} // closed when the next one is in force
}

// Replaced is closed when another generation is in force.
func (g *Generation) Replaced() <-chan struct{} { return g.replaced }

// Load returns the generation in force, never nil.
func (l *Live) Load() *Generation {
	if g := l.current.Load(); g != nil {
		return g
	}
	l.current.CompareAndSwap(nil, newGeneration(&Set{}, 0))
	return l.current.Load()
}

// Swap puts s in force for every exchange and stream message that begins from
// now on, and returns its generation. Only one goroutine may swap.
func (l *Live) Swap(s *Set) *Generation {
	old := l.Load()
	g := newGeneration(s, old.Number+1)
	l.current.Store(g)
	close(old.replaced)
	return g
}

func newGeneration(s *Set, number uint64) *Generation {
	return &Generation{Set: s, Number: number, replaced: make(chan struct{})}
}
