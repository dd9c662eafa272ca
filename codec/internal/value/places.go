package value

import "math/bits"

// Places remembers a number for each of many containers, which must stay
// reachable meanwhile. The zero value is ready.
type Places struct {
	slots []place // a power of two, at most half of them used
	used  int
}

type place struct {
	id ID // zero in a free slot
	n  int32
}

// Reset forgets all and makes room for n containers.
func (p *Places) Reset(n int) {
	size := 1 << bits.Len(uint(max(2*n, 16)-1))
	if p.used = 0; size <= cap(p.slots) {
		p.slots = p.slots[:size]
		clear(p.slots)
		return
	}
	p.slots = make([]place, size)
}

// Room is how many slots wait to be used again.
func (p *Places) Room() int { return cap(p.slots) }

// Put remembers n for the container.
func (p *Places) Put(id ID, n int) {
	if 2*p.used >= len(p.slots) {
		old := p.slots
		p.slots, p.used = nil, 0
		p.Reset(max(len(old), 8))
		for _, s := range old {
			if s.id != (ID{}) {
				p.Put(s.id, int(s.n))
			}
		}
	}
	s := p.slot(id)
	if s.id != id {
		p.used++
	}
	*s = place{id, int32(n)}
}

// Get returns what was put for the container.
func (p *Places) Get(id ID) (n int, ok bool) {
	if len(p.slots) == 0 {
		return 0, false
	}
	s := p.slot(id)
	return int(s.n), s.id == id && id != (ID{})
}

// slot is the container's, or the free one that would be.
func (p *Places) slot(id ID) *place {
	const golden = 0x9e3779b97f4a7c15
	mask := len(p.slots) - 1
	h := (uint64(id.pointer) ^ uint64(id.length)) * golden
	for i := int(h>>32) & mask; ; i = (i + 1) & mask {
		if s := &p.slots[i]; s.id == id || s.id == (ID{}) {
			return s
		}
	}
}
