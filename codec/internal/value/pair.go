package value

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"slices"
)

// Pairer pairs the elements of arrays before and after an edit. It remembers
// the hashes of what it has seen, so that arrays nested in arrays cost no more
// than their size. A Pairer lives for one Encode; the zero value is ready.
type Pairer struct {
	seed   maphash.Seed
	hashes map[ID]uint64
}

// Pair returns for each element of after the index of its element of before,
// or -1 for a new one. Elements pair by identity (scalars: type and spelling),
// then by equal value, then, if the length is unchanged, by position; no
// element of before is used twice. Of equal arrays nothing has moved, even if
// equal elements did.
func (p *Pairer) Pair(before, after []any) []int {
	pairs := p.pair(before, after)
	if len(before) == len(after) && !InPlace(pairs, len(before)) && p.Equal(before, after) {
		for i := range pairs {
			pairs[i] = i
		}
	}
	return pairs
}

func (p *Pairer) pair(before, after []any) []int {
	pairs := make([]int, len(after))
	low, high := 0, 0
	for low < len(before) && low < len(after) && Same(before[low], after[low]) {
		pairs[low] = low
		low++
	}
	for high < len(before)-low && high < len(after)-low && Same(before[len(before)-1-high], after[len(after)-1-high]) {
		high++
		pairs[len(after)-high] = len(before) - high
	}
	if inOrder(before, after, pairs, low, high) {
		return pairs
	}
	var free, open []int
	for i := low; i < len(after)-high; i++ {
		pairs[i] = -1
		if len(before) == len(after) && Same(before[i], after[i]) {
			pairs[i] = i
			continue
		}
		open = append(open, i)
		if len(before) == len(after) {
			free = append(free, i)
		}
	}
	if len(before) != len(after) {
		for j := low; j < len(before)-high; j++ {
			free = append(free, j)
		}
	}
	free, open = match(before, after, pairs, free, open, identityOf)
	if len(before) == len(after) {
		free, open = p.stay(before, after, pairs, free, open)
	}
	// A lone element that stayed where it was pairs whether equal or not.
	if len(free) != 1 || len(open) != 1 || free[0] != open[0] || len(before) != len(after) {
		free, open = match(before, after, pairs, free, open, p.key)
	}
	if len(before) == len(after) {
		for _, i := range open {
			if _, ok := slices.BinarySearch(free, i); ok {
				pairs[i] = i
			}
		}
	}
	return pairs
}

// stay pairs the open elements that are equal to the one in the same place, before
// any is taken for its equal elsewhere. free and open are sorted.
func (p *Pairer) stay(before, after []any, pairs, free, open []int) (stillFree, stillOpen []int) {
	stillFree, stillOpen = free[:0], open[:0]
	next := 0 // in free
	for _, i := range open {
		for next < len(free) && free[next] < i {
			stillFree = append(stillFree, free[next])
			next++
		}
		if next < len(free) && free[next] == i && p.Equal(before[i], after[i]) {
			pairs[i] = i
			next++
			continue
		}
		stillOpen = append(stillOpen, i)
	}
	return append(stillFree, free[next:]...), stillOpen
}

// inOrder pairs what is between low and high if there only some elements are
// gone, or only some are new: the usual edits, which need no maps.
func inOrder(before, after []any, pairs []int, low, high int) bool {
	b, a := before[low:len(before)-high], after[low:len(after)-high]
	if len(a) > len(b) {
		return len(b) == 0 && fill(pairs[low:low+len(a)])
	}
	j := 0
	for i := range a {
		for j < len(b) && !Same(b[j], a[i]) {
			j++
		}
		if j == len(b) {
			return false
		}
		pairs[low+i] = low + j
		j++
	}
	return true
}

func fill(pairs []int) bool {
	for i := range pairs {
		pairs[i] = -1
	}
	return true
}

// match pairs open elements of after with free ones of before that have an
// equal key and are equal, earliest first, and returns what is left of both.
func match(before, after []any, pairs, free, open []int, key func(any) (any, bool)) (freeLeft, openLeft []int) {
	if len(free) == 0 || len(open) == 0 {
		return free, open
	}
	// The candidates of a key are a list through next, in their order.
	first, next, used := make(map[any]int, len(free)), make([]int, len(free)), make([]bool, len(free))
	for at, j := range slices.Backward(free) {
		if k, ok := key(before[j]); ok {
			next[at] = -1
			if after, ok := first[k]; ok {
				next[at] = after
			}
			first[k] = at
		}
	}
	for _, i := range open {
		k, ok := key(after[i])
		if at, found := first[k]; ok && found && at >= 0 && Equal(before[free[at]], after[i]) {
			pairs[i], used[at], first[k] = free[at], true, next[at]
			continue
		}
		openLeft = append(openLeft, i)
	}
	for at, j := range free {
		if !used[at] {
			freeLeft = append(freeLeft, j)
		}
	}
	return freeLeft, openLeft
}

// identityOf is the first key: equal only for what is Same.
func identityOf(v any) (any, bool) {
	switch v := v.(type) {
	case []any, map[string]any:
		id, ok := Identity(v)
		return id, ok
	case float64:
		return math.Float64bits(v), true
	}
	return v, IsNumber(v) || TypeName(v) == "string" || TypeName(v) == "boolean" || v == nil
}

// key is the second: equal for all that is Equal.
func (p *Pairer) key(v any) (any, bool) { return p.hash(v), true }

func (p *Pairer) hash(v any) uint64 {
	id, remember := Identity(v)
	if h, ok := p.hashes[id]; remember && ok {
		return h
	}
	if p.hashes == nil {
		p.hashes, p.seed = make(map[ID]uint64), maphash.MakeSeed()
	}
	var h maphash.Hash
	h.SetSeed(p.seed)
	switch v := v.(type) {
	case nil:
		h.WriteByte('0')
	case bool:
		h.WriteByte('b')
		if v {
			h.WriteByte('1')
		}
	case string:
		h.WriteByte('s')
		h.WriteString(v)
	case []any:
		h.WriteByte('a')
		for _, e := range v {
			writeUint64(&h, p.hash(e))
		}
	case map[string]any:
		h.WriteByte('o')
		var sum uint64 // members have no order
		for k, e := range v {
			sum += maphash.String(p.seed, k)*31 ^ p.hash(e)
		}
		writeUint64(&h, sum)
	default:
		h.WriteByte('n')
		if f := Float(v); !math.IsNaN(f) { // NaN has many spellings
			writeUint64(&h, math.Float64bits(f+0)) // +0 makes -0 a 0
		}
	}
	sum := h.Sum64()
	if remember {
		p.hashes[id] = sum
	}
	return sum
}

// Equal is [Equal], but a container that is part of others costs its size once,
// as long as the answer is no.
func (p *Pairer) Equal(a, b any) bool {
	return Same(a, b) || p.hash(a) == p.hash(b) && Equal(a, b)
}

func writeUint64(h *maphash.Hash, n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	h.Write(b[:])
}

// InPlace reports whether pairs leaves all of count elements where they were.
func InPlace(pairs []int, count int) bool {
	if len(pairs) != count {
		return false
	}
	for i, j := range pairs {
		if i != j {
			return false
		}
	}
	return true
}

// NewKeys returns the keys of after that before lacks, sorted.
func NewKeys(before, after map[string]any) []string {
	var keys []string
	for k := range after {
		if _, ok := before[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}
