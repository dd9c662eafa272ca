package protobuf

import (
	"maps"
	"slices"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// putContainer sets the field of node at to a list or an object, which takes
// values and the editor. The editor gets the records of the field alone, so
// they must stand in a row.
func (r *Runner) putContainer(at int32, v val) {
	n := r.nodes[at]
	of := r.bound.places[r.nodes[n.parent].place].message
	after, ok := r.detached(&v)
	if !ok || of == nil || n.inMap {
		r.doubt()
		return
	}
	start, end := n.start, n.end
	if n.first != 0 && (n.field.list || n.field.key != nil) {
		start, end = r.nodes[n.first].start, r.nodes[n.last].end
		at := start
		for c := n.first; c != 0; c = r.nodes[c].next {
			record := &r.nodes[c]
			if record.start != at && record.end != at { // but elements of one record
				r.doubt()
				return
			}
			at = record.end
		}
	}
	body := []byte{}
	if start != none {
		body = r.text[start:end:end]
	}
	fields, err := r.decoder().fields(of, body, 0, 0)
	if err != nil {
		r.doubt()
		return
	}
	before, was := fields[n.field.name]
	if !was && !n.field.presence {
		before, was = n.field.zero, true
	}
	if !was {
		before = absent{}
	}
	p := draft{editor: &editor{}, message: of, body: body, depth: maxSteps}
	if err := p.field(n.field, before, after); err != nil {
		r.doubt()
		return
	}
	if p.edits == 0 {
		return
	}
	from := int32(len(r.scratch))
	r.scratch = append(r.scratch, p.write()...)
	r.measure(r.scratch)
	if start == none {
		r.add(at, from)
		return
	}
	r.cuts = append(r.cuts, cut{start: start, end: end, from: from, to: int32(len(r.scratch))})
}

// detached returns the value of a container, if elements are told apart by what
// they are alone: those that are scalars, and those of no message.
func (r *Runner) detached(v *val) (any, bool) {
	if v.node == 0 {
		return v.value, true
	}
	if v.node < 0 {
		return nil, false
	}
	n := &r.nodes[v.node]
	switch f := n.field; {
	case f.key != nil && f.val.message == nil:
	case f.list && !n.element && f.message == nil:
	default:
		return nil, false
	}
	return r.decoded(v.node), r.outcome == plan.Changed
}

// addContainers adds two lists or two objects.
func (r *Runner) addContainers(a, b val) val {
	v, ok := r.detached(&a)
	w, also := r.detached(&b)
	if !ok || !also {
		r.doubt()
		return val{}
	}
	switch v := v.(type) {
	case []any:
		return val{kind: isArray, value: slices.Concat(v, w.([]any))}
	case map[string]any:
		merged := maps.Clone(v)
		maps.Copy(merged, w.(map[string]any))
		return val{kind: isObject, value: merged}
	}
	r.doubt()
	return val{}
}
