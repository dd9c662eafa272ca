package json

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"strconv"

	"github.com/sluice-proxy/sluice/codec/internal/run"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// An editor pairs the elements of an array before and after a program, by
// identity and by value, and writes those that moved in the place where they
// went. The functions of this file find out what it would pair.

// span is an element before, in the text, and after, in what is written.
type span struct{ start, end, from, to int }

// emitArray writes an array of whose elements some were touched or are gone.
func (r *runner) emitArray(at int32) {
	touched, gone := 0, false
	for c := r.Nodes[at].First; c != 0; c = r.Nodes[c].Next {
		if r.Nodes[c].Touched {
			touched++
			gone = gone || r.Nodes[c].State == run.Gone
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
	for c := r.Nodes[at].First; c != 0 && r.Outcome == plan.Changed; c = r.Nodes[c].Next {
		n := &r.Nodes[c]
		if !n.Touched {
			continue
		}
		if touched == 1 {
			r.emit(c)
			continue
		}
		r.keepTo(int(n.Spot.start))
		s := span{start: int(n.Spot.start), end: int(n.Spot.end), from: len(r.out)}
		r.emit(c)
		r.keepTo(int(n.Spot.end))
		s.to = len(r.out)
		r.spans = append(r.spans, s)
	}
	if r.edits > edits && r.Outcome == plan.Changed {
		r.checkPairs(r.spans[base:])
	}
	r.spans = r.spans[:base]
}

// keepApart reports whether one place tells each touched element from what any
// was before: the usual case, in which the same is done to all of them. It
// need not find such a place.
func (r *runner) keepApart(at int32) bool {
	place, leaf := int32(none), int32(none)
	for c := r.Nodes[at].First; c != 0; c = r.Nodes[c].Next {
		if !r.Nodes[c].Touched {
			continue
		}
		n := r.leaf(c)
		if n == none || !r.Nodes[n].There || place != none && r.Nodes[n].Place != place {
			return false
		}
		m := &r.Nodes[n]
		switch {
		case place == none:
			place, leaf = m.Place, n
		case m.State != r.Nodes[leaf].State:
			return false
		}
		if m.State == run.Gone {
			continue // it was there in each, and is in none
		}
		v := &r.Vals[m.Val]
		if v.IsContainer() || !sameVal(v, &r.Vals[r.Nodes[leaf].Val]) || r.equal(m, v) {
			return false
		}
	}
	return place != none
}

// leavesDiffer reports whether one place that was written to in each touched
// element has nowhere become what it was in another.
func (r *runner) leavesDiffer(at int32) bool {
	place := int32(none)
	r.forget()
	h := hasher{seed: maphash.MakeSeed()}
	for c := r.Nodes[at].First; c != 0; c = r.Nodes[c].Next {
		if !r.Nodes[c].Touched {
			continue
		}
		n := r.leaf(c)
		if n == none || place != none && r.Nodes[n].Place != place {
			return false
		}
		m := &r.Nodes[n]
		if place = m.Place; m.State != run.Set || r.Vals[m.Val].IsContainer() || m.Kind >= run.Array {
			return false
		}
		if m.There {
			r.remember(h.hash(r.Text[m.Spot.start:m.Spot.end]), c)
		}
	}
	from := len(r.Scratch)
	for c := r.Nodes[at].First; c != 0; c = r.Nodes[c].Next {
		if !r.Nodes[c].Touched {
			continue
		}
		r.Scratch = r.write(r.Scratch[:from], &r.Vals[r.Nodes[r.leaf(c)].Val])
		if j, was := r.seen[h.hash(r.Scratch[from:])]; h.odd || was && j != c || r.Outcome != plan.Changed {
			return false
		}
	}
	return true
}

// forget and remember keep in r.seen which element had a hash, or none if more
// than one had.
func (r *runner) forget() {
	if r.seen == nil {
		r.seen = make(map[uint64]int32)
	}
	clear(r.seen)
}

func (r *runner) remember(hash uint64, element int32) {
	if _, twice := r.seen[hash]; twice {
		element = none
	}
	r.seen[hash] = element
}

// leaf returns the first place that was written to on the way down from node
// at, or none if there is a container in the way that is not the text's own.
func (r *runner) leaf(at int32) int32 {
	for {
		switch n := &r.Nodes[at]; {
		case n.State == run.Made || n.Alone:
			return none
		case n.State != run.Kept:
			return at
		default:
			c := n.First
			for c != 0 && !r.Nodes[c].Touched {
				c = r.Nodes[c].Next
			}
			if c == 0 || n.Kind == run.Array {
				return none
			}
			at = c
		}
	}
}

// sameVal reports whether two scalars are held alike.
func sameVal(a, b *run.Val) bool {
	return a.Kind == b.Kind && a.Form == b.Form && a.Int == b.Int && a.Float == b.Float && bytes.Equal(a.Text, b.Text) && a.Value == b.Value
}

// checkPairs doubts if one element has become what another one was: the editor
// would take it for the other.
func (r *runner) checkPairs(spans []span) {
	r.forget()
	h := hasher{seed: maphash.MakeSeed()}
	for i, s := range spans {
		r.remember(h.hash(r.Text[s.start:s.end]), int32(i))
	}
	for i, s := range spans {
		if j, ok := r.seen[h.hash(r.out[s.from:s.to])]; ok && int(j) != i || h.odd {
			r.Doubt()
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
	return maphash.Bytes(h.seed, content(quoted))
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
	if i, ok := run.ShortInt(text); ok && -1e15 < i && i < 1e15 {
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
func (r *runner) emitFiltered(at int32) {
	n := r.Nodes[at]
	after := n.First // the element that stands where before stood
	var kept, last int32
	for before := n.First; before != 0; before = r.Nodes[before].Next {
		if after = r.stays(after); after == 0 || !r.same(before, after) {
			break
		}
		kept, after = before, r.Nodes[after].Next
	}
	after = r.stays(after)
	for c := n.First; c != 0; c = r.Nodes[c].Next {
		last = c
		if r.Nodes[c].Touched && r.Nodes[c].State != run.Gone {
			r.Doubt()
		}
	}
	if r.Outcome != plan.Changed {
		return
	}
	end := r.Nodes[last].Spot.end
	switch {
	case kept != 0:
		r.cut(r.Nodes[kept].Spot.end, end)
	case after == 0:
		r.cut(n.Spot.start+1, n.Spot.end-1)
	default:
		r.cut(r.Nodes[n.First].Spot.start, end)
	}
	lead := r.leadOf(at)
	for ; after != 0; after = r.stays(r.Nodes[after].Next) {
		if kept != 0 {
			r.out = append(append(r.out, ','), lead...)
		}
		kept = after
		r.out = append(r.out, r.Text[r.Nodes[after].Spot.start:r.Nodes[after].Spot.end]...)
	}
}

// stays returns the first element from c on that is not gone, or 0.
func (r *runner) stays(c int32) int32 {
	for c != 0 && r.Nodes[c].State == run.Gone {
		c = r.Nodes[c].Next
	}
	return c
}

// same reports whether a and b are one, or scalars with one spelling. Strings
// may be the same in several.
func (r *runner) same(a, b int32) bool {
	m, n := &r.Nodes[a], &r.Nodes[b]
	if a == b || m.Kind != n.Kind {
		return a == b
	}
	x, y := r.Text[m.Spot.start:m.Spot.end], r.Text[n.Spot.start:n.Spot.end]
	if m.Kind == run.String && (bytes.IndexByte(x, '\\') >= 0 || bytes.IndexByte(y, '\\') >= 0) {
		r.Doubt()
	}
	return m.Kind < run.Array && bytes.Equal(x, y)
}

// leadOf returns the white space behind the first comma of an array.
func (r *runner) leadOf(at int32) []byte {
	first := &r.Nodes[r.Nodes[at].First]
	if first.Next == 0 {
		return r.Text[r.Nodes[at].Spot.start+1 : first.Spot.start]
	}
	_, lead, _ := bytes.Cut(r.Text[first.Spot.end:r.Nodes[first.Next].Spot.start], []byte{','})
	return lead
}
