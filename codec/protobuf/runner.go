package protobuf

import (
	"sync"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/run"
	"github.com/sluice-proxy/sluice/codec/plan"
)

var _ plan.Editor = messageCodec{}

// Edit implements [plan.Editor].
func (c messageCodec) Edit(room []byte, p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits) (plan.Result, error) {
	if p.Result != nil { // it is no message, or one built anew
		return plan.Result{}, nil
	}
	r := runners.Get().(*runner)
	defer runners.Put(r)
	r.bound = r.bind(p, c.message)
	return r.Edit(room, r, c, p, data, vars, limits)
}

// Query implements [plan.Editor].
func (c messageCodec) Query(p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits) (codec.Value, plan.Outcome, error) {
	r := runners.Get().(*runner)
	defer runners.Put(r)
	r.bound = r.bind(p, c.message)
	return r.Query(r, c, p, data, vars, limits)
}

var runners = sync.Pool{New: func() any { return new(runner) }}

// runner runs plans on encoded messages without making values of them.
type runner struct {
	run.Machine[spot]

	bound  *bound
	cached map[binding]*bound
	last   binding // of recent
	recent *bound
	depth  int // as a decoder has it
	slots  int

	gather []byte // the elements of one list
	cuts   []cut
	tails  []tail
	tail   int // where those of the message that is written begin

	out   []byte
	pos   int // in Text, of what is still to be copied
	edits int
}

var _ run.Format = (*runner)(nil)

// binding is what a plan was bound for.
type binding struct {
	plan    *plan.Plan
	message *message
}

// maxBound is how many plans a runner remembers.
const maxBound = 64

func (r *runner) bind(p *plan.Plan, m *message) *bound {
	key := binding{p, m}
	if key == r.last && r.recent != nil {
		return r.recent
	}
	b, ok := r.cached[key]
	if !ok {
		if len(r.cached) >= maxBound || r.cached == nil {
			r.cached = make(map[binding]*bound)
		}
		b = bind(p, m)
		r.cached[key] = b
	}
	r.last, r.recent = key, b
	return b
}

// Read implements [run.Format].
func (r *runner) Read(limits codec.Limits) bool {
	if r.bound.refused {
		r.Doubt()
		return false
	}
	r.cuts, r.tails = r.cuts[:0], r.tails[:0]
	r.depth, r.slots = min(limits.Depth, maxDepth), slotsFor(len(r.Text))
	root := &r.bound.places[0]
	r.Nodes = append(r.Nodes, run.Node[spot]{Parent: run.None, There: true, Kind: run.Object, Spot: spot{bodyEnd: int32(len(r.Text))}})
	at := int32(none)
	if root.message != nil {
		at = 0
	}
	return r.skim(r.bound.message, 0, len(r.Text), 0, at)
}

// Grow implements [run.Format].
func (r *runner) Grow(place int, parent int32) int32 {
	f := r.bound.places[place].field
	if f == nil { // the message has no such field
		return none
	}
	at := r.Add(int32(place), parent)
	r.Nodes[at].Spot = spot{field: f, start: none, value: none, inMap: len(r.bound.places[r.Nodes[parent].Place].keys) > 0}
	return at
}
