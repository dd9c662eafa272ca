package protobuf

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-proxy/sluice/codec/internal/run"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// collectEntries finds what to cut in a map of which entries were written to.
func (r *runner) collectEntries(at int32) {
	n := r.Nodes[at]
	var added []int32 // keys that have no entry yet
	for c := n.First; c != n.Spot.records; c = r.Nodes[c].Next {
		e := &r.Nodes[c]
		switch {
		case !e.Touched || e.State == run.Kept || e.State == run.Made:
		case e.State == run.Gone || r.Vals[e.Val].Kind == run.Null:
			if e.Spot.start != none {
				r.cuts = append(r.cuts, cut{start: e.Spot.start, end: r.Nodes[e.Spot.record].Spot.end})
			}
		case r.Vals[e.Val].IsContainer():
			r.Doubt()
		case e.Spot.start != none:
			r.putEntry(c)
		default:
			added = append(added, c)
		}
	}
	if len(added) == 0 || r.Outcome != plan.Changed {
		return
	}
	keyOf := func(at int32) string { return r.Plan.Places[r.Nodes[at].Place].Key }
	slices.SortFunc(added, func(a, b int32) int { return strings.Compare(keyOf(a), keyOf(b)) })
	f, from := n.Spot.field, int32(len(r.Scratch))
	for _, c := range added {
		body, err := f.key.appendKey(keyOf(c))
		if err != nil {
			r.Doubt()
			return
		}
		body = protowire.AppendTag(body, f.val.number, f.val.wire)
		body = r.appendVal(body, f.val, &r.Vals[r.Nodes[c].Val])
		r.Scratch = protowire.AppendTag(r.Scratch, f.number, f.wire)
		r.Scratch = protowire.AppendBytes(r.Scratch, body)
	}
	if n.Spot.records == 0 {
		r.putRecord(at, from)
		return
	}
	end := r.Nodes[n.Last].Spot.end
	r.cuts = append(r.cuts, cut{start: end, end: end, from: from, to: int32(len(r.Scratch))})
}

// putEntry writes an entry with another value: its key and what is unknown stay,
// the value goes last.
func (r *runner) putEntry(at int32) {
	n := &r.Nodes[at]
	f, v, was := n.Spot.field, r.Vals[n.Val], r.Was(at)
	if r.same(&was, &v) {
		return
	}
	record := r.Nodes[n.Spot.record].Spot
	i, to := r.sized(int(record.value), int(record.end))
	r.gather = r.gather[:0]
	for i < to {
		start := i
		number, typ, tag := protowire.ConsumeTag(r.Text[i:to])
		i += tag + protowire.ConsumeFieldValue(number, typ, r.Text[i+tag:to])
		if number != f.number || typ != f.wire {
			r.gather = append(r.gather, r.Text[start:i]...)
		}
	}
	r.gather = protowire.AppendTag(r.gather, f.number, f.wire)
	r.gather = r.appendVal(r.gather, f, &v)
	from := int32(len(r.Scratch))
	r.Scratch = protowire.AppendTag(r.Scratch, record.field.number, record.field.wire)
	r.Scratch = protowire.AppendBytes(r.Scratch, r.gather)
	r.gather = r.gather[:0]
	r.cuts = append(r.cuts, cut{start: record.start, end: record.end, from: from, to: int32(len(r.Scratch))})
}
