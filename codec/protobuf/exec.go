package protobuf

import (
	"bytes"
	"math"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// Runner runs plans on encoded messages without making values of them. It keeps
// its buffers from run to run. The zero value is ready; a Runner is for one
// goroutine at a time.
type Runner struct {
	bound  *bound
	cached map[binding]*bound
	last   binding // of recent
	recent *bound
	plan   *plan.Plan
	text   []byte
	vars   []codec.Value
	depth  int // as a decoder has it
	slots  int

	nodes   []spot
	vals    []val // that nodes were set to
	by      val   // the operand of the statement that runs
	scratch []byte
	gather  []byte // the elements of one list
	cuts    []cut
	tails   []tail
	tail    int // where those of the message that is written begin

	outcome plan.Outcome // Changed as long as nothing else is known
	stop    int
	ran     uint64
	most    int // bytes that may be made

	spare []byte // where Edit has it put what it makes
	out   []byte
	pos   int // in text, of what is still to be copied
	edits int
}

// binding is what a plan was bound for.
type binding struct {
	plan    *plan.Plan
	message *message
}

// What a run may come to. Beyond it the program itself runs, which counts its
// steps and what it makes.
const (
	maxNodes = 1 << 14 // places of one message that are looked at
	maxMade  = 8 << 20 // bytes of a new message, and of all that is made on the way; more if a message may have more
	maxKept  = 1 << 16 // bytes of a buffer that waits for the next run
	maxBound = 64      // plans that a Runner remembers

	none      = -1
	everyKind = plan.Every
)

// Run runs p on a message of the type of c, which is as strictly checked as by
// its Decode, and has its errors. vars stand by their numbers in p. What it does
// not call [Unsure] is what Decode, p's program and Encode make of data, byte
// for byte. Of a codec of another package it is always unsure. The result may
// share memory with dst or data, with nothing else.
func (r *Runner) Run(c codec.Codec, p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits, dst []byte) (plan.Result, error) {
	if p.Result != nil { // it is no message, or one built anew
		return plan.Result{}, nil
	}
	defer r.rest()
	if err := r.read(c, p, data, vars, limits); err != nil || r.outcome == plan.Unsure {
		return plan.Result{}, err
	}
	r.run(p.Body, 0)
	if r.outcome == plan.Changed {
		r.splice(dst)
		if r.outcome == plan.Changed && bytes.Equal(r.out[len(dst):], data) {
			r.outcome = plan.Unchanged
		}
	}
	if r.outcome == plan.Unsure {
		return plan.Result{}, nil
	}
	result := plan.Result{Outcome: r.outcome, Ran: r.ran, Stop: r.stop}
	switch r.outcome {
	case plan.Changed:
		result.Data = r.out
	case plan.Unchanged:
		result.Data = data
	}
	return result, nil
}

// Eval works out the Result of p, whose Body only selects and stops. The
// outcome is Changed if there is a value.
func (r *Runner) Eval(c codec.Codec, p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits) (codec.Value, plan.Outcome, error) {
	defer r.rest()
	if err := r.read(c, p, data, vars, limits); err != nil || r.outcome == plan.Unsure {
		return nil, plan.Unsure, err
	}
	r.run(p.Body, 0)
	if r.outcome != plan.Changed {
		return nil, r.outcome, nil
	}
	v := r.valueOf(r.eval(p.Result, 0))
	return v, r.outcome, nil
}

// rest lets go of what the run was about.
func (r *Runner) rest() {
	r.plan, r.bound, r.text, r.vars, r.out, r.by = nil, nil, nil, nil, nil, val{}
	clear(r.vals)
	if cap(r.nodes) > maxKept/64 {
		r.nodes, r.vals, r.cuts, r.tails = nil, nil, nil, nil
	}
	if cap(r.scratch) > maxKept {
		r.scratch = nil
	}
}

// read finds the places of p in data. Its error is that of Decode.
func (r *Runner) read(c codec.Codec, p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits) error {
	r.outcome = plan.Unsure
	of, ok := c.(messageCodec)
	if !ok {
		return nil
	}
	if r.bound = r.bind(p, of.message); r.bound.refused {
		return nil
	}
	limits = limits.WithDefaults()
	r.plan, r.text, r.vars = p, data, vars
	r.nodes, r.vals, r.scratch = r.nodes[:0], r.vals[:0], r.scratch[:0]
	r.cuts, r.tails = r.cuts[:0], r.tails[:0]
	r.stop, r.ran, r.most = 0, 0, max(maxMade, int(min(limits.Size, math.MaxInt32)))
	r.outcome = plan.Changed
	if int64(len(data)) <= min(int64(limits.Size), math.MaxInt32) {
		r.depth, r.slots = min(limits.Depth, maxDepth), slotsFor(len(data))
		r.nodes = append(r.nodes, spot{parent: none, there: true, bodyEnd: int32(len(data))})
		at := int32(none)
		if r.bound.places[0].message != nil {
			at = 0
		}
		if r.skim(of.message, 0, len(data), 0, at) {
			return nil
		}
	}
	sure := r.outcome != plan.Unsure // about what the message is, though it may be refused
	r.outcome = plan.Unsure
	if !sure {
		return nil
	}
	return of.check(data, limits)
}

// check is the error of Decode.
func (c messageCodec) check(data []byte, limits codec.Limits) error {
	_, _, err := c.Decode(data, limits)
	return err
}

func (r *Runner) bind(p *plan.Plan, m *message) *bound {
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

// doubt ends the run: the plan cannot tell.
func (r *Runner) doubt() { r.outcome = plan.Unsure }

// measure doubts if too much has been made.
func (r *Runner) measure(made []byte) {
	if len(made) > r.most {
		r.doubt()
	}
}
