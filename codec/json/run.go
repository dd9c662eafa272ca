package json

import (
	"math"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// Runner runs plans on texts without making values of them. It keeps its
// buffers from run to run. The zero value is ready; a Runner is for one
// goroutine at a time.
type Runner struct {
	plan *plan.Plan
	text []byte
	vars []codec.Value

	nodes   []spot
	vals    []val // that nodes were set to
	by      val   // the operand of the statement that runs
	scratch []byte
	added   []int32 // new members that wait to be written
	spans   []span  // of the elements of an array that were touched
	seen    map[uint64]int32

	outcome plan.Outcome // Changed as long as nothing else is known
	stop    int
	ran     uint64
	most    int // bytes that may be made

	spare []byte // where Edit has it put what it makes
	out   []byte
	pos   int // in text, of what is still to be copied
	edits int
}

// What a run may come to. Beyond it the program itself runs, which counts its
// steps and what it makes.
const (
	maxNodes = 1 << 14 // places of one text that are looked at
	maxMade  = 8 << 20 // bytes of a new message, and of all that is made on the way; more if a message may have more
	maxKept  = 1 << 16 // bytes of a buffer that waits for the next run
)

// Run runs p on data, which is as strictly checked as by Decode, and has its
// errors. vars stand by their numbers in p. What it does not call [Unsure] is
// what Decode, p's program and Encode make of data, byte for byte. The result
// may share memory with dst or data, with nothing else.
func (r *Runner) Run(p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits, dst []byte) (plan.Result, error) {
	defer r.rest()
	if err := r.read(p, data, vars, limits); err != nil || r.outcome == plan.Unsure {
		return plan.Result{}, err
	}
	r.run(p.Body, 0)
	if r.outcome == plan.Changed && p.Result != nil {
		r.set(0, r.eval(p.Result, 0))
	}
	if r.outcome == plan.Changed {
		r.splice(dst)
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

// rest lets go of what the run was about.
func (r *Runner) rest() {
	r.plan, r.text, r.vars, r.out, r.by = nil, nil, nil, nil, val{}
	clear(r.vals)
	if cap(r.nodes) > maxKept/64 {
		r.nodes, r.vals, r.added, r.spans, r.seen = nil, nil, nil, nil, nil
	}
	if cap(r.scratch) > maxKept {
		r.scratch = nil
	}
}

// Eval works out the Result of p, whose Body only selects and stops. The
// outcome is Changed if there is a value.
func (r *Runner) Eval(p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits) (codec.Value, plan.Outcome, error) {
	defer r.rest()
	if err := r.read(p, data, vars, limits); err != nil || r.outcome == plan.Unsure {
		return nil, plan.Unsure, err
	}
	r.run(p.Body, 0)
	if r.outcome != plan.Changed {
		return nil, r.outcome, nil
	}
	v := r.valueOf(r.eval(p.Result, 0))
	return v, r.outcome, nil
}

// read finds the places of p in data. Its error is that of Decode.
func (r *Runner) read(p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits) error {
	limits = limits.WithDefaults()
	r.plan, r.text, r.vars = p, data, vars
	r.nodes, r.vals, r.scratch = r.nodes[:0], r.vals[:0], r.scratch[:0]
	r.added, r.spans = r.added[:0], r.spans[:0]
	r.outcome, r.stop, r.ran, r.most = plan.Changed, 0, 0, max(maxMade, int(min(limits.Size, math.MaxInt32)))
	if int64(len(data)) <= min(int64(limits.Size), math.MaxInt32) {
		i := skimSpace(data, startOf(data))
		r.nodes = append(r.nodes, spot{parent: none})
		if i = r.value(0, i, limits.Depth); i >= 0 && skimSpace(data, i) == len(data) || r.outcome == plan.Unsure {
			return nil
		}
	}
	r.outcome = plan.Unsure
	_, _, err := Codec{}.Decode(data, limits)
	return err
}

// doubt ends the run: the plan cannot tell.
func (r *Runner) doubt() { r.outcome = plan.Unsure }

// measure doubts if too much has been made.
func (r *Runner) measure(made []byte) {
	if len(made) > r.most {
		r.doubt()
	}
}
