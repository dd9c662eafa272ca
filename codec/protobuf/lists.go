package protobuf

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec/internal/value"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// made writes the record of a message that is not on the wire to the scratch,
// and returns where it begins.
func (r *Runner) made(at int32) int32 {
	n := r.nodes[at]
	m := r.bound.places[n.place].message
	if m == nil || len(m.required) > 0 {
		r.doubt()
		return 0
	}
	r.oneofs(at)
	base, tail := len(r.tails), r.tail
	r.tail = base
	for i := range r.children(at) {
		if c := n.first + int32(i); r.nodes[c].touched && r.nodes[c].field != nil {
			r.collect(c)
		}
	}
	from := int32(len(r.scratch))
	for _, t := range r.tails[base:] {
		r.scratch = append(r.scratch, r.scratch[t.from:t.to]...)
	}
	body := r.scratch[from:]
	r.tails, r.tail = r.tails[:base], tail
	from = int32(len(r.scratch))
	r.scratch = protowire.AppendTag(r.scratch, n.field.number, n.field.wire)
	if n.field.kind == protoreflect.GroupKind {
		r.scratch = protowire.AppendGroup(r.scratch, n.field.number, body)
	} else {
		r.scratch = protowire.AppendBytes(r.scratch, body)
	}
	r.measure(r.scratch)
	return from
}

// collectMessages finds what to cut in a list of messages. It reports whether
// several were written to that only their values tell apart: the editor pairs
// elements by them.
func (r *Runner) collectMessages(at int32) bool {
	touched, gone := 0, 0
	for c := r.nodes[at].first; c != 0; c = r.nodes[c].next {
		switch n := &r.nodes[c]; {
		case n.state == isGone:
			gone++
			touched++
		case n.state != isKept:
			r.doubt()
			return false
		case n.touched:
			touched++
		}
	}
	if gone > 0 {
		if touched > gone {
			r.doubt()
		}
		r.keepSome(at)
		return false
	}
	for c := r.nodes[at].first; c != 0; c = r.nodes[c].next {
		if n := &r.nodes[c]; n.touched {
			r.cuts = append(r.cuts, cut{start: n.start, end: n.end, node: c})
		}
	}
	return touched > 1 && !r.keepApart(at)
}

// keepSome writes the records that are not gone where the first one was.
func (r *Runner) keepSome(at int32) {
	from := int32(len(r.scratch))
	for c := r.nodes[at].first; c != 0; c = r.nodes[c].next {
		if n := &r.nodes[c]; n.state != isGone {
			r.scratch = append(r.scratch, r.text[n.start:n.end]...)
		}
	}
	r.inPlaceOfAll(at, from)
}

// inPlaceOfAll cuts all records of a list for the scratch behind from.
func (r *Runner) inPlaceOfAll(at, from int32) {
	base := len(r.cuts)
	r.drop(at)
	if base < len(r.cuts) {
		r.cuts[base].from, r.cuts[base].to = from, int32(len(r.scratch))
	}
}

// collectScalars writes a list of scalars anew if it is another one.
func (r *Runner) collectScalars(at int32) {
	changed, stays := false, false
	for c := r.nodes[at].first; c != 0; c = r.nodes[c].next {
		n := &r.nodes[c]
		switch n.state {
		case isGone:
			changed = true
			continue
		case isSet:
			v := &r.vals[n.val]
			if v.kind == isNull || v.isContainer() {
				r.doubt()
				return
			}
			was := r.was(c)
			changed = changed || !r.same(&was, v)
		}
		stays = true
	}
	if !changed {
		return
	}
	if !stays {
		r.drop(at)
		return
	}
	f, packed := r.nodes[at].field, r.nodes[r.nodes[at].first].packed
	for c := r.nodes[at].first; c != 0 && r.outcome == plan.Changed; c = r.nodes[c].next {
		n := &r.nodes[c]
		if n.state == isGone {
			continue
		}
		v := r.valOf(c) // may need the scratch
		if !packed {
			r.gather = protowire.AppendTag(r.gather, f.number, f.wire)
		}
		r.gather = r.appendVal(r.gather, f, &v)
		r.measure(r.scratch)
	}
	from := int32(len(r.scratch))
	if packed {
		r.scratch = protowire.AppendTag(r.scratch, f.number, protowire.BytesType)
		r.scratch = protowire.AppendVarint(r.scratch, uint64(len(r.gather)))
	}
	r.scratch = append(r.scratch, r.gather...)
	r.gather = r.gather[:0]
	r.inPlaceOfAll(at, from)
}

// keepApart reports whether one field tells each touched element from what any
// was before: the usual case, in which the same is done to all of them. It
// need not find such a field.
func (r *Runner) keepApart(at int32) bool {
	leaf := int32(none)
	for c := r.nodes[at].first; c != 0; c = r.nodes[c].next {
		if !r.nodes[c].touched {
			continue
		}
		l := r.leaf(c)
		if l == none || leaf != none && (r.nodes[l].place != r.nodes[leaf].place || r.nodes[l].state != r.nodes[leaf].state) {
			return false
		}
		if leaf == none {
			leaf = l
		}
		n := &r.nodes[l]
		if n.state == isGone {
			if !n.there {
				return false
			}
			continue // it was there in each, and is in none
		}
		v, first := r.vals[n.val], r.vals[r.nodes[leaf].val]
		was := r.was(l)
		if v.isContainer() || was.isContainer() || !r.same(&v, &first) || r.same(&was, &v) {
			return false
		}
	}
	return leaf != none
}

// leaf returns the first field that was written to on the way down from node at,
// or none if there is something in the way that was not on the wire.
func (r *Runner) leaf(at int32) int32 {
	for {
		n := &r.nodes[at]
		switch n.state {
		case isMade:
			return none
		case isSet, isGone:
			return at
		}
		next := int32(none)
		kids := r.children(at)
		for i := range kids {
			if kids[i].touched {
				next = n.first + int32(i)
				break
			}
		}
		if next == none {
			return none
		}
		at = next
	}
}

// maxPaired is how many elements are compared each with each.
const maxPaired = 64

// checkLists doubts if in a list of the message of node at one element has
// become what another one was: the editor would take it for the other.
func (r *Runner) checkLists(at int32) {
	kids := r.children(at)
	for i := range kids {
		n := &kids[i]
		if !n.touched || n.state != isKept || n.field == nil || !n.field.list || n.field.message == nil {
			continue
		}
		var before, after []any
		for c := n.first; c != 0 && r.outcome == plan.Changed; c = r.nodes[c].next {
			e := &r.nodes[c]
			if !e.touched || e.state == isGone {
				continue
			}
			_, _, tag := protowire.ConsumeTag(r.out[e.from:e.to])
			body, _, _ := e.field.body(r.out[int(e.from)+tag : e.to])
			was, err := r.decoder().message(e.field.message, r.text[e.body:e.bodyEnd], 0, 0)
			is, failed := r.decoder().message(e.field.message, body, 0, 0)
			if before, after = append(before, was), append(after, is); err != nil || failed != nil || len(before) > maxPaired {
				r.doubt()
			}
		}
		if r.outcome == plan.Changed && !apart(before, after) {
			r.doubt()
		}
	}
}

// apart reports whether no element is what another one was.
func apart(before, after []any) bool {
	var p value.Pairer
	for i := range after {
		for j := range before {
			if i != j && p.Equal(before[j], after[i]) {
				return false
			}
		}
	}
	return true
}
