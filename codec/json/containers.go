package json

import (
	"bytes"
	"maps"
	"slices"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/run"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// sum is a container of the text and what was added to it. Its parts have no
// text that is known.
type sum struct{ base, value codec.Value }

func isSum(v *run.Val) bool {
	_, ok := v.Value.(*sum)
	return ok
}

// Combine implements [run.Format].
func (r *runner) Combine(e *plan.Expr, args []run.Val) run.Val {
	if e.Op == plan.Add {
		return r.sum(args[0], args[1])
	}
	return r.construct(e, args)
}

// construct writes an object or an array to the scratch.
func (r *runner) construct(e *plan.Expr, args []run.Val) run.Val {
	v := run.Val{Kind: run.Array, Node: run.None}
	from, ends := len(r.Scratch), "[]"
	if e.Op == plan.Object {
		v.Kind, ends = run.Object, "{}"
	}
	r.Scratch = append(r.Scratch, ends[0])
	for i := range args {
		if i > 0 {
			r.Scratch = append(r.Scratch, ',')
		}
		if e.Op == plan.Object {
			w := writer{out: r.Scratch}
			w.string(e.Keys[i])
			r.Scratch = append(w.out, ':')
		}
		r.Scratch = r.write(r.Scratch, &args[i])
		v.Moved = v.Moved || args[i].Moved
	}
	r.Scratch = append(r.Scratch, ends[1])
	v.Text = r.Made(from)
	return v
}

// sum adds what has no text to a container of the text.
func (r *runner) sum(a, b run.Val) run.Val {
	if a.Node == run.None || isSum(&a) || b.Moved {
		r.Doubt()
		return run.Val{}
	}
	of := &sum{base: r.decoded(a.Text)}
	switch base := of.base.(type) {
	case []any:
		more, ok := r.ValueOf(b).([]any)
		switch {
		case !ok || len(base) == 0:
			return b
		case len(more) == 0:
			return a
		}
		of.value = slices.Concat(base, more)
	case map[string]any:
		more, ok := r.ValueOf(b).(map[string]any)
		switch {
		case !ok || len(base) == 0:
			return b
		case len(more) == 0:
			return a
		}
		merged := maps.Clone(base)
		maps.Copy(merged, more)
		of.value = merged
	}
	return run.Val{Kind: a.Kind, Node: a.Node, Value: of, Moved: true}
}

// emitContainer writes v in the place of a container of its type: as the
// difference of the two, which takes values.
func (r *runner) emitContainer(at int32, v *run.Val) {
	n := &r.Nodes[at]
	text := r.Text[n.Spot.start:n.Spot.end]
	var before codec.Value
	switch sum, ok := v.Value.(*sum); {
	case ok && v.Node == at:
		before = sum.base
	case !ok && bytes.Equal(v.Text, text):
		return
	case v.Moved: // an editor of this part alone would not know the texts of others
		r.Doubt()
		return
	default:
		before = r.decoded(text)
	}
	after := r.ValueOf(*v)
	if r.Outcome != plan.Changed {
		return
	}
	out, err := (&Original{data: text, value: before}).edit(after)
	switch {
	case err != nil:
		r.Doubt()
	case !bytes.Equal(out, text):
		r.cut(n.Spot.start, n.Spot.end)
		r.out = append(r.out, out...)
	}
}
