package protobuf

import (
	"maps"
	"slices"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/run"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// putContainer sets the field of node at to a list or an object, which takes
// values and the editor. The editor gets the records of the field alone, so
// they must stand in a row.
func (r *runner) putContainer(at int32, v run.Val) {
	n := r.Nodes[at]
	of := r.bound.places[r.Nodes[n.Parent].Place].message
	after, ok := r.detached(&v)
	if !ok || of == nil || n.Spot.inMap {
		r.Doubt()
		return
	}
	start, end := n.Spot.start, n.Spot.end
	if n.Spot.records != 0 {
		start, end = r.Nodes[n.Spot.records].Spot.start, r.Nodes[n.Last].Spot.end
		at := start
		for c := n.Spot.records; c != 0; c = r.Nodes[c].Next {
			record := &r.Nodes[c].Spot
			if record.start != at && record.end != at { // but elements of one record
				r.Doubt()
				return
			}
			at = record.end
		}
	}
	body := []byte{}
	if start != none {
		body = r.Text[start:end:end]
	}
	fields, err := r.decoder().fields(of, body, 0, 0)
	if err != nil {
		r.Doubt()
		return
	}
	before, was := fields[n.Spot.field.name]
	if !was && !n.Spot.field.presence {
		before, was = n.Spot.field.zero, true
	}
	if !was {
		before = absent{}
	}
	p := draft{editor: &editor{}, message: of, body: body, depth: maxSteps}
	if err := p.field(n.Spot.field, before, after); err != nil {
		r.Doubt()
		return
	}
	if p.edits == 0 {
		return
	}
	from := int32(len(r.Scratch))
	r.Scratch = append(r.Scratch, p.write()...)
	r.Measure(r.Scratch)
	if start == none {
		r.putRecord(at, from)
		return
	}
	r.cuts = append(r.cuts, cut{start: start, end: end, from: from, to: int32(len(r.Scratch))})
}

// detached returns the value of a container, if elements are told apart by what
// they are alone: those that are scalars, and those of no message.
func (r *runner) detached(v *run.Val) (any, bool) {
	switch v.Node {
	case none:
		return v.Value, true
	case 0:
		return nil, false
	}
	n := &r.Nodes[v.Node]
	switch f := n.Spot.field; {
	case f.key != nil && f.val.message == nil:
	case isList(n) && f.message == nil:
	default:
		return nil, false
	}
	return r.Value(*v), r.Outcome == plan.Changed
}

// Combine implements [run.Format].
func (r *runner) Combine(e *plan.Expr, args []run.Val) run.Val {
	if e.Op == plan.Add {
		return r.sum(&args[0], &args[1])
	}
	values := make([]codec.Value, len(args))
	for i, v := range args {
		if v.IsContainer() && v.Node != none { // of the message's
			r.Doubt()
			return run.Val{}
		}
		values[i] = r.ValueOf(v)
	}
	if e.Op == plan.Array {
		return r.FromValue(values)
	}
	object := make(map[string]any, len(e.Keys))
	for i, key := range e.Keys {
		object[key] = values[i]
	}
	return r.FromValue(object)
}

// sum adds two lists or two objects.
func (r *runner) sum(a, b *run.Val) run.Val {
	v, ok := r.detached(a)
	w, also := r.detached(b)
	if !ok || !also {
		r.Doubt()
		return run.Val{}
	}
	if v, ok := v.([]any); ok {
		return r.FromValue(slices.Concat(v, w.([]any)))
	}
	merged := maps.Clone(v.(map[string]any))
	maps.Copy(merged, w.(map[string]any))
	return r.FromValue(merged)
}
