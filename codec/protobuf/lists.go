package protobuf

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec/internal/run"
	"github.com/sluice-proxy/sluice/codec/internal/value"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// made writes the record of a message that is not on the wire to the scratch,
// and returns where it begins.
func (r *runner) made(at int32) int32 {
	n := r.Nodes[at]
	m := r.bound.places[n.Place].message
	if m == nil || len(m.required) > 0 {
		r.Doubt()
		return 0
	}
	r.oneofs(at)
	base, tail := len(r.tails), r.tail
	r.tail = base
	for c := n.First; c != 0; c = r.Nodes[c].Next {
		if r.Nodes[c].Touched {
			r.collect(c)
		}
	}
	from := int32(len(r.Scratch))
	for _, t := range r.tails[base:] {
		r.Scratch = append(r.Scratch, r.Scratch[t.from:t.to]...)
	}
	body := r.Scratch[from:]
	r.tails, r.tail = r.tails[:base], tail
	from = int32(len(r.Scratch))
	r.Scratch = protowire.AppendTag(r.Scratch, n.Spot.field.number, n.Spot.field.wire)
	if n.Spot.field.kind == protoreflect.GroupKind {
		r.Scratch = protowire.AppendGroup(r.Scratch, n.Spot.field.number, body)
	} else {
		r.Scratch = protowire.AppendBytes(r.Scratch, body)
	}
	r.Measure(r.Scratch)
	return from
}

// collectMessages finds what to cut in a list of messages. It reports whether
// several were written to that only their values tell apart: the editor pairs
// elements by them.
func (r *runner) collectMessages(at int32) bool {
	touched, gone := 0, 0
	for c := r.Nodes[at].First; c != 0; c = r.Nodes[c].Next {
		switch n := &r.Nodes[c]; {
		case n.State == run.Gone:
			gone++
			touched++
		case n.State != run.Kept:
			r.Doubt()
			return false
		case n.Touched:
			touched++
		}
	}
	if gone > 0 {
		if touched > gone {
			r.Doubt()
		}
		r.keepSome(at)
		return false
	}
	for c := r.Nodes[at].First; c != 0; c = r.Nodes[c].Next {
		if n := &r.Nodes[c]; n.Touched {
			r.cuts = append(r.cuts, cut{start: n.Spot.start, end: n.Spot.end, node: c})
		}
	}
	return touched > 1 && !r.keepApart(at)
}

// keepSome writes the records that are not gone where the first one was.
func (r *runner) keepSome(at int32) {
	from := int32(len(r.Scratch))
	for c := r.Nodes[at].First; c != 0; c = r.Nodes[c].Next {
		if n := &r.Nodes[c]; n.State != run.Gone {
			r.Scratch = append(r.Scratch, r.Text[n.Spot.start:n.Spot.end]...)
		}
	}
	r.inPlaceOfAll(at, from)
}

// inPlaceOfAll cuts all records of a list for the scratch behind from.
func (r *runner) inPlaceOfAll(at, from int32) {
	base := len(r.cuts)
	r.drop(at)
	if base < len(r.cuts) {
		r.cuts[base].from, r.cuts[base].to = from, int32(len(r.Scratch))
	}
}

// collectScalars writes a list of scalars anew if it is another one.
func (r *runner) collectScalars(at int32) {
	changed, stays := false, false
	for c := r.Nodes[at].First; c != 0; c = r.Nodes[c].Next {
		n := &r.Nodes[c]
		switch n.State {
		case run.Gone:
			changed = true
			continue
		case run.Set:
			v := &r.Vals[n.Val]
			if v.Kind == run.Null || v.IsContainer() {
				r.Doubt()
				return
			}
			was := r.Was(c)
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
	f, packed := r.Nodes[at].Spot.field, r.Nodes[r.Nodes[at].First].Spot.packed
	for c := r.Nodes[at].First; c != 0 && r.Outcome == plan.Changed; c = r.Nodes[c].Next {
		n := &r.Nodes[c]
		if n.State == run.Gone {
			continue
		}
		v := r.ValOf(c) // may need the scratch
		if !packed {
			r.gather = protowire.AppendTag(r.gather, f.number, f.wire)
		}
		r.gather = r.appendVal(r.gather, f, &v)
		r.Measure(r.Scratch)
	}
	from := int32(len(r.Scratch))
	if packed {
		r.Scratch = protowire.AppendTag(r.Scratch, f.number, protowire.BytesType)
		r.Scratch = protowire.AppendVarint(r.Scratch, uint64(len(r.gather)))
	}
	r.Scratch = append(r.Scratch, r.gather...)
	r.gather = r.gather[:0]
	r.inPlaceOfAll(at, from)
}

// keepApart reports whether one field tells each touched element from what any
// was before: the usual case, in which the same is done to all of them. It
// need not find such a field.
func (r *runner) keepApart(at int32) bool {
	leaf := int32(none)
	for c := r.Nodes[at].First; c != 0; c = r.Nodes[c].Next {
		if !r.Nodes[c].Touched {
			continue
		}
		l := r.leaf(c)
		if l == none || leaf != none && (r.Nodes[l].Place != r.Nodes[leaf].Place || r.Nodes[l].State != r.Nodes[leaf].State) {
			return false
		}
		if leaf == none {
			leaf = l
		}
		n := &r.Nodes[l]
		if n.State == run.Gone {
			if !n.There {
				return false
			}
			continue // it was there in each, and is in none
		}
		v, first := r.Vals[n.Val], r.Vals[r.Nodes[leaf].Val]
		was := r.Was(l)
		if v.IsContainer() || was.IsContainer() || !r.same(&v, &first) || r.same(&was, &v) {
			return false
		}
	}
	return leaf != none
}

// leaf returns the first field that was written to on the way down from node at,
// or none if there is something in the way that was not on the wire.
func (r *runner) leaf(at int32) int32 {
	for {
		n := &r.Nodes[at]
		switch n.State {
		case run.Made:
			return none
		case run.Set, run.Gone:
			return at
		}
		if r.bound.places[n.Place].message == nil {
			return none
		}
		for at = n.First; at != 0 && !r.Nodes[at].Touched; {
			at = r.Nodes[at].Next
		}
		if at == 0 {
			return none
		}
	}
}

// maxPaired is how many elements are compared each with each.
const maxPaired = 64

// checkLists doubts if in a list of the message of node at one element has
// become what another one was: the editor would take it for the other.
func (r *runner) checkLists(at int32) {
	for list := r.Nodes[at].First; list != 0; list = r.Nodes[list].Next {
		n := &r.Nodes[list]
		f := n.Spot.field
		if !n.Touched || n.State != run.Kept || f == nil || !f.list || f.message == nil {
			continue
		}
		var before, after []any
		for c := n.First; c != 0 && r.Outcome == plan.Changed; c = r.Nodes[c].Next {
			if e := &r.Nodes[c]; !e.Touched || e.State == run.Gone {
				continue
			}
			s := &r.Nodes[c].Spot
			_, _, tag := protowire.ConsumeTag(r.out[s.from:s.to])
			body, _, _ := f.body(r.out[int(s.from)+tag : s.to])
			before = append(before, r.message(f.message, r.Text[s.body:s.bodyEnd]))
			if after = append(after, r.message(f.message, body)); len(before) > maxPaired {
				r.Doubt()
			}
		}
		if r.Outcome == plan.Changed && !apart(before, after) {
			r.Doubt()
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
