package protobuf

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// collectEntries finds what to cut in a map of which entries were written to.
func (r *Runner) collectEntries(at int32) {
	n := r.nodes[at]
	of := &r.bound.places[n.place]
	var added []string
	for i := range of.keys {
		c := n.entries + int32(i)
		e := &r.nodes[c]
		switch {
		case n.entries == 0 || !e.touched || e.state == isKept || e.state == isMade:
		case e.state == isGone || r.vals[e.val].kind == isNull:
			if e.start != none {
				r.cuts = append(r.cuts, cut{start: e.start, end: r.nodes[e.record].end})
			}
		case r.vals[e.val].isContainer():
			r.doubt()
		case e.start != none:
			r.putEntry(c)
		default:
			added = append(added, of.keys[i])
		}
	}
	if len(added) == 0 || r.outcome != plan.Changed {
		return
	}
	slices.Sort(added)
	from := int32(len(r.scratch))
	for _, key := range added {
		body, err := n.field.key.appendKey(key)
		if err != nil {
			r.doubt()
			return
		}
		v := r.vals[r.nodes[n.entries+int32(slices.Index(of.keys, key))].val]
		body = protowire.AppendTag(body, n.field.val.number, n.field.val.wire)
		body = r.appendVal(body, n.field.val, &v)
		r.scratch = protowire.AppendTag(r.scratch, n.field.number, n.field.wire)
		r.scratch = protowire.AppendBytes(r.scratch, body)
	}
	if n.first == 0 {
		r.add(at, from)
		return
	}
	end := r.nodes[n.last].end
	r.cuts = append(r.cuts, cut{start: end, end: end, from: from, to: int32(len(r.scratch))})
}

// putEntry writes an entry with another value: its key and what is unknown stay,
// the value goes last.
func (r *Runner) putEntry(at int32) {
	n := &r.nodes[at]
	f, v, was := n.field, r.vals[n.val], r.was(at)
	if r.same(&was, &v) {
		return
	}
	record := r.nodes[n.record]
	i, to := r.sized(int(record.value), int(record.end))
	r.gather = r.gather[:0]
	for i < to {
		start := i
		number, typ, tag := protowire.ConsumeTag(r.text[i:to])
		i += tag + protowire.ConsumeFieldValue(number, typ, r.text[i+tag:to])
		if number != f.number || typ != f.wire {
			r.gather = append(r.gather, r.text[start:i]...)
		}
	}
	r.gather = protowire.AppendTag(r.gather, f.number, f.wire)
	r.gather = r.appendVal(r.gather, f, &v)
	from := int32(len(r.scratch))
	r.scratch = protowire.AppendTag(r.scratch, record.field.number, record.field.wire)
	r.scratch = protowire.AppendBytes(r.scratch, r.gather)
	r.gather = r.gather[:0]
	r.cuts = append(r.cuts, cut{start: record.start, end: record.end, from: from, to: int32(len(r.scratch))})
}
