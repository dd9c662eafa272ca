package json

import (
	"bytes"
	"sync"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/run"
	"github.com/sluice-proxy/sluice/codec/plan"
)

var _ plan.Editor = Codec{}

// Edit implements [plan.Editor].
func (c Codec) Edit(room []byte, p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits) (plan.Result, error) {
	r := runners.Get().(*runner)
	defer runners.Put(r)
	return r.Edit(room, r, c, p, data, vars, limits)
}

// Query implements [plan.Editor].
func (c Codec) Query(p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits) (codec.Value, plan.Outcome, error) {
	r := runners.Get().(*runner)
	defer runners.Put(r)
	return r.Query(r, c, p, data, vars, limits)
}

// Whole reports whether text is one JSON value with nothing around it, in which at
// most depth containers are open at once.
func Whole(text []byte, depth int) bool { return skimValue(text, 0, depth) == len(text) }

var runners = sync.Pool{New: func() any { return new(runner) }}

// runner runs plans on texts without making values of them. Of a container of
// the text a [run.Val] has the text, of one that was added to the *sum as well.
type runner struct {
	run.Machine[spot]

	added []int32 // new members that wait to be written
	spans []span  // of the elements of an array that were touched
	seen  map[uint64]int32

	out   []byte
	pos   int // in Text, of what is still to be copied
	edits int
}

var _ run.Format = (*runner)(nil)

// Read implements [run.Format].
func (r *runner) Read(limits codec.Limits) bool {
	r.Nodes = append(r.Nodes, run.Node[spot]{Parent: run.None})
	i := r.value(0, skimSpace(r.Text, startOf(r.Text)), limits.Depth)
	return i >= 0 && skimSpace(r.Text, i) == len(r.Text)
}

// Was implements [run.Format].
func (r *runner) Was(at int32) run.Val {
	n := &r.Nodes[at]
	text := r.Text[n.Spot.start:n.Spot.end]
	switch n.Kind {
	case run.Number:
		return spelled(text)
	case run.String:
		return run.StringVal(content(text))
	case run.Array, run.Object:
		return run.Val{Kind: n.Kind, Text: text, Node: at, Moved: true}
	}
	return run.Val{Kind: n.Kind}
}

func spelled(number []byte) run.Val {
	return run.Val{Kind: run.Number, Form: run.Spelled, Text: number}
}

// content is what a string says.
func content(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	d := decoder{text: string(quoted)}
	s, _ := d.rawString() // it was skimmed
	return []byte(s)
}

// Value implements [run.Format].
func (r *runner) Value(v run.Val) codec.Value {
	if sum, ok := v.Value.(*sum); ok {
		return sum.value
	}
	return r.decoded(v.Text)
}

// decoded is what a part of the text reads as.
func (r *runner) decoded(text []byte) codec.Value {
	d := decoder{text: string(text), data: text, depth: len(text), memory: memoryFor(codec.Bytes(len(text)))}
	v, err := d.value()
	if err != nil {
		r.Doubt()
	}
	return v
}

// Grow implements [run.Format].
func (r *runner) Grow(place int, parent int32) int32 { return r.Add(int32(place), parent) }
