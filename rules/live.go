package rules

import "sync/atomic"

// Live is the set in force. The zero Live holds an empty set of generation
// zero. It is safe for concurrent use.
type Live struct{ current atomic.Pointer[Generation] }

// Generation is a set and its number, which grows by one with every [Live.Swap].
type Generation struct {
	*Set
	Number uint64
}

// Load returns the generation in force, never nil.
func (l *Live) Load() *Generation {
	if g := l.current.Load(); g != nil {
		return g
	}
	return &Generation{Set: &Set{}}
}

// Swap puts s in force for every exchange and stream message that begins from
// now on, and returns its generation. Only one goroutine may swap.
func (l *Live) Swap(s *Set) *Generation {
	g := &Generation{Set: s, Number: l.Load().Number + 1}
	l.current.Store(g)
	return g
}
