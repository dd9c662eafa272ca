package json

import (
	"bytes"
	"maps"
	"slices"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// emitContainer writes v in the place of a container of its type: as the
// difference of the two, which takes values.
func (r *Runner) emitContainer(at int32, v *val) {
	n := &r.nodes[at]
	text := r.text[n.start:n.end]
	before := v.base
	switch {
	case before == nil && bytes.Equal(v.raw, text):
		return
	case before == nil && v.moved, before != nil && v.node != at: // an editor of this part alone would not know the texts of others
		r.doubt()
		return
	case before == nil:
		before = r.decoded(text)
	}
	after := r.valueOf(*v)
	if r.outcome != plan.Changed {
		return
	}
	out, err := (&Original{data: text, value: before}).edit(after)
	switch {
	case err != nil:
		r.doubt()
	case !bytes.Equal(out, text):
		r.cut(n.start, n.end)
		r.out = append(r.out, out...)
	}
}

// decoded is what a part of the text reads as.
func (r *Runner) decoded(text []byte) codec.Value {
	d := decoder{text: string(text), data: text, depth: len(text)}
	v, err := d.value()
	if err != nil {
		r.doubt()
	}
	return v
}

// addContainers adds what has no text to a container of the text.
func (r *Runner) addContainers(a, b val) val {
	if a.node == none || a.base != nil || b.moved || b.base != nil {
		r.doubt()
		return val{}
	}
	base, more := r.decoded(a.raw), r.valueOf(b)
	sum := val{kind: a.kind, node: a.node, base: base, moved: true}
	switch base := base.(type) {
	case []any:
		more, ok := more.([]any)
		switch {
		case !ok || len(base) == 0:
			return b
		case len(more) == 0:
			return a
		}
		sum.value = slices.Concat(base, more)
	case map[string]any:
		more, ok := more.(map[string]any)
		switch {
		case !ok || len(base) == 0:
			return b
		case len(more) == 0:
			return a
		}
		merged := maps.Clone(base)
		maps.Copy(merged, more)
		sum.value = merged
	}
	return sum
}
