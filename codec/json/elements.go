package json

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"strconv"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// An editor pairs the elements of an array before and after a program, by
// identity and by value, and writes those that moved in the place where they
// went. The functions of this file find out what it would pair.

// span is an element before, in the text, and after, in what is written.
type span struct{ start, end, from, to int }

// emitArray writes an array of whose elements some were touched or are gone.
func (r *Runner) emitArray(at int32) {
	touched, gone := 0, false
	for c := r.nodes[at].first; c != 0; c = r.nodes[c].next {
		if r.nodes[c].touched {
			touched++
			gone = gone || r.nodes[c].state == isGone
		}
	}
	if gone {
		r.emitFiltered(at)
		return
	}
	if touched > 1 && (r.keepApart(at) || r.leavesDiffer(at)) {
		touched = 1
	}
	base, edits := len(r.spans), r.edits
	for c := r.nodes[at].first; c != 0 && r.outcome == plan.Changed; c = r.nodes[c].next {
		n := &r.nodes[c]
		if !n.touched {
			continue
		}
		if touched == 1 {
			r.emit(c)
			continue
		}
		r.keepTo(int(n.start))
		s := span{start: int(n.start), end: int(n.end), from: len(r.out)}
		r.emit(c)
		r.keepTo(int(n.end))
		s.to = len(r.out)
		r.spans = append(r.spans, s)
	}
	if r.edits > edits && r.outcome == plan.Changed {
		r.checkPairs(r.spans[base:])
	}
	r.spans = r.spans[:base]
}

// keepApart reports whether one place tells each touched element from what any
// was before: the usual case, in which the same is done to all of them. It
// need not find such a place.
func (r *Runner) keepApart(at int32) bool {
	place, leaf := int32(none), int32(none)
	for c := r.nodes[at].first; c != 0; c = r.nodes[c].next {
		if !r.nodes[c].touched {
			continue
		}
		n := r.leaf(c)
		if n == none || r.nodes[n].start == none || place != none && r.nodes[n].place != place {
			return false
		}
		m := &r.nodes[n]
		switch {
		case place == none:
			place, leaf = m.place, n
		case m.state != r.nodes[leaf].state:
			return false
		}
		if m.state == isGone {
			continue // it was there in each, and is in none
		}
		v := &r.vals[m.val]
		if v.isContainer() || !sameVal(v, &r.vals[r.nodes[leaf].val]) || r.equal(m, v) {
			return false
		}
	}
	return place != none
}

// leavesDiffer reports whether one place that was written to in each touched
// element has nowhere become what it was in another.
func (r *Runner) leavesDiffer(at int32) bool {
	place := int32(none)
	r.forget()
	h := hasher{seed: maphash.MakeSeed()}
	for c := r.nodes[at].first; c != 0; c = r.nodes[c].next {
		if !r.nodes[c].touched {
			continue
		}
		n := r.leaf(c)
		if n == none || place != none && r.nodes[n].place != place {
			return false
		}
		m := &r.nodes[n]
		if place = m.place; m.state != isSet || r.vals[m.val].isContainer() || m.kind >= isArray {
			return false
		}
		if m.start != none {
			r.remember(h.hash(r.text[m.start:m.end]), c)
		}
	}
	from := len(r.scratch)
	for c := r.nodes[at].first; c != 0; c = r.nodes[c].next {
		if !r.nodes[c].touched {
			continue
		}
		r.scratch = r.write(r.scratch[:from], &r.vals[r.nodes[r.leaf(c)].val])
		if j, was := r.seen[h.hash(r.scratch[from:])]; h.odd || was && j != c || r.outcome != plan.Changed {
			return false
		}
	}
	return true
}

// forget and remember keep in r.seen which element had a hash, or none if more
// than one had.
func (r *Runner) forget() {
	if r.seen == nil {
		r.seen = make(map[uint64]int32)
	}
	clear(r.seen)
}

func (r *Runner) remember(hash uint64, element int32) {
	if _, twice := r.seen[hash]; twice {
		element = none
	}
	r.seen[hash] = element
}

// leaf returns the first place that was written to on the way down from node
// at, or none if there is a container in the way that is not the text's own.
func (r *Runner) leaf(at int32) int32 {
	for {
		switch n := &r.nodes[at]; {
		case n.state == isMade || n.alone:
			return none
		case n.state != isKept:
			return at
		default:
			c := n.first
			for c != 0 && !r.nodes[c].touched {
				c = r.nodes[c].next
			}
			if c == 0 || n.kind == isArray {
				return none
			}
			at = c
		}
	}
}

// sameVal reports whether two scalars are held alike.
func sameVal(a, b *val) bool {
	return a.kind == b.kind && a.form == b.form && a.i == b.i && a.f == b.f && bytes.Equal(a.text, b.text) && bytes.Equal(a.raw, b.raw)
}

// checkPairs doubts if one element has become what another one was: the editor
// would take it for the other.
func (r *Runner) checkPairs(spans []span) {
	r.forget()
	h := hasher{seed: maphash.MakeSeed()}
	for i, s := range spans {
		r.remember(h.hash(r.text[s.start:s.end]), int32(i))
	}
	for i, s := range spans {
		if j, ok := r.seen[h.hash(r.out[s.from:s.to])]; ok && int(j) != i || h.odd {
			r.doubt()
			return
		}
	}
}

// hasher hashes values so that equal ones have equal hashes, however they are
// spelled.
type hasher struct {
	seed maphash.Seed
	text []byte
	pos  int
	odd  bool // there was something that it cannot hash
}

func (h *hasher) hash(text []byte) uint64 {
	h.text, h.pos = text, skimSpace(text, 0)
	return h.value()
}

// The hashes of containers are made of those of their parts.
const (
	ofArray  = 0x9e3779b97f4a7c15
	ofObject = 0xbf58476d1ce4e5b9
)

func (h *hasher) value() uint64 {
	switch c := h.text[h.pos]; c {
	case '"':
		return h.string()
	case '[', '{':
		return h.container(c == '{')
	case 't', 'f', 'n':
		h.pos = skimWord(h.text, h.pos)
		return uint64(c) * ofArray
	}
	return h.number()
}

func (h *hasher) string() uint64 {
	end := skimString(h.text, h.pos)
	quoted := h.text[h.pos:end]
	h.pos = end
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		inner = unquote(quoted)
	}
	return maphash.Bytes(h.seed, inner)
}

// container adds up the hashes of members, which have no order, and mixes
// those of elements, which do. Of members of one name the last counts, so they
// must not be there.
func (h *hasher) container(object bool) uint64 {
	sum := uint64(ofArray)
	if object {
		sum = ofObject
	}
	names := make([]uint64, 0, 16)
	for {
		h.pos = skimSpace(h.text, h.pos+1) // behind the bracket or the comma
		if c := h.text[h.pos]; c == '}' || c == ']' {
			break
		}
		if object {
			name := h.string()
			h.pos = skimColon(h.text, h.pos)
			sum += mix(name ^ mix(h.value()))
			if len(names) <= maxNames { // one more says that there are too many
				names = append(names, name)
			}
		} else {
			sum = mix(sum ^ h.value())
		}
		if h.pos = skimSpace(h.text, h.pos); h.text[h.pos] != ',' {
			break
		}
	}
	h.pos++
	h.odd = h.odd || len(names) > maxNames
	for i := range min(len(names), maxNames) {
		for _, other := range names[:i] {
			h.odd = h.odd || other == names[i]
		}
	}
	return sum
}

func mix(x uint64) uint64 {
	x = (x ^ x>>29) * ofObject
	return x ^ x>>32
}

// number hashes the decimal digits without zeros that mean nothing.
func (h *hasher) number() uint64 {
	start := h.pos
	h.pos = skimNumber(h.text, h.pos)
	text := h.text[start:h.pos]
	if i, ok := shortInt(text); ok && -1e15 < i && i < 1e15 {
		return h.int(i)
	}
	if f, err := strconv.ParseFloat(string(text), 64); err == nil {
		if i := int(f); f > -1e15 && f < 1e15 && float64(i) == f {
			return h.int(i)
		}
		return h.int(int(f * 1e6))
	}
	h.odd = true
	return 0
}

func (h *hasher) int(i int) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(i))
	return maphash.Bytes(h.seed, b[:])
}

// emitFiltered writes an array without the elements that are gone. The editor
// keeps the elements at the front that are the same as before, and writes the
// others anew, with the white space of the first comma.
func (r *Runner) emitFiltered(at int32) {
	n := r.nodes[at]
	after := n.first // the element that stands where before stood
	var kept, last int32
	for before := n.first; before != 0; before = r.nodes[before].next {
		if after = r.stays(after); after == 0 || !r.same(before, after) {
			break
		}
		kept, after = before, r.nodes[after].next
	}
	after = r.stays(after)
	for c := n.first; c != 0; c = r.nodes[c].next {
		last = c
		if r.nodes[c].touched && r.nodes[c].state != isGone {
			r.doubt()
		}
	}
	if r.outcome != plan.Changed {
		return
	}
	end := r.nodes[last].end
	switch {
	case kept != 0:
		r.cut(r.nodes[kept].end, end)
	case after == 0:
		r.cut(n.start+1, n.end-1)
	default:
		r.cut(r.nodes[n.first].start, end)
	}
	lead := r.leadOf(at)
	for ; after != 0; after = r.stays(r.nodes[after].next) {
		if kept != 0 {
			r.out = append(append(r.out, ','), lead...)
		}
		kept = after
		r.out = append(r.out, r.text[r.nodes[after].start:r.nodes[after].end]...)
	}
}

// stays returns the first element from c on that is not gone, or 0.
func (r *Runner) stays(c int32) int32 {
	for c != 0 && r.nodes[c].state == isGone {
		c = r.nodes[c].next
	}
	return c
}

// same reports whether a and b are one, or scalars with one spelling. Strings
// may be the same in several.
func (r *Runner) same(a, b int32) bool {
	m, n := &r.nodes[a], &r.nodes[b]
	if a == b || m.kind != n.kind {
		return a == b
	}
	x, y := r.text[m.start:m.end], r.text[n.start:n.end]
	if m.kind == isString && (bytes.IndexByte(x, '\\') >= 0 || bytes.IndexByte(y, '\\') >= 0) {
		r.doubt()
	}
	return m.kind < isArray && bytes.Equal(x, y)
}

// leadOf returns the white space behind the first comma of an array.
func (r *Runner) leadOf(at int32) []byte {
	first := &r.nodes[r.nodes[at].first]
	if first.next == 0 {
		return r.text[r.nodes[at].start+1 : first.start]
	}
	_, lead, _ := bytes.Cut(r.text[first.end:r.nodes[first.next].start], []byte{','})
	return lead
}
