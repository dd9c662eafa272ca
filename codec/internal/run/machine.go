// Package run runs edit plans on payloads as they stand. A [Machine] has the
// part of it that is the same in every format: the tree of the places that a
// plan looks at, its statements, its expressions and their values. A format
// reads its bytes into the tree, says what stands in a node, and writes what
// the run has left: it is a [Format].
//
// A machine never guesses. Whatever would be an error in jq, or is odd, ends the
// run as [plan.Unsure], and then the program itself runs.
package run

import (
	"bytes"
	"math"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// Format is what a [Machine] does not know of its payloads. A method that cannot
// tell calls Doubt, and then its result means nothing.
type Format interface {
	// Read makes the nodes of the places in Text, the first for the message
	// itself. It returns false if the format's Decode may refuse Text with these
	// limits, which have no zero fields, or if it doubts.
	Read(limits codec.Limits) bool
	// Was is what node at is in Text, where it is.
	Was(at int32) Val
	// Value is the value of a container that is a node's, or that has Text, and
	// of a number that is Spelled.
	Value(v Val) codec.Value
	// Combine works out e, an Object or an Array of args, or an Add of two
	// containers of one type. The args may not be kept.
	Combine(e *plan.Expr, args []Val) Val
	// Grow makes a node for a member, by its place, of an object that has none
	// yet, or returns None.
	Grow(place int, parent int32) int32
	// Splice appends to dst what the run has left and returns that, and whether
	// it differs from Text.
	Splice(dst []byte) (out []byte, differs bool)
}

// Machine runs plans on payloads of one format, whose part of a node is an S.
// It keeps its buffers from run to run. The zero value is ready; a machine is
// for one goroutine at a time.
type Machine[S any] struct {
	Values
	Plan  *plan.Plan
	Text  []byte
	Nodes []Node[S]
	Vals  []Val // that nodes were set to

	format Format
	by     Val // the operand of the statement that runs
	stop   int
	ran    uint64
	spare  []byte // where Edit has it put what it makes
}

// What a run may come to. Beyond it the program itself runs, which counts its
// steps and what it makes.
const (
	maxNodes = 1 << 14 // places of one payload that are looked at
	maxMade  = 8 << 20 // bytes of a new payload, and of all that is made on the way; more if a payload may have more

	// MaxKept is the most bytes of a buffer that waits for the next run.
	MaxKept = 1 << 16
)

// Edit is [plan.Editor]'s on payloads of the codec of, by format.
func (m *Machine[S]) Edit(room []byte, format Format, of codec.Codec, p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits) (plan.Result, error) {
	defer m.rest()
	if err := m.begin(format, of, p, data, vars, limits); err != nil || m.Outcome == plan.Unsure {
		return plan.Result{}, err
	}
	if m.run(p.Body, 0); m.Outcome == plan.Changed && p.Result != nil {
		m.set(0, m.eval(p.Result, 0))
	}
	result := plan.Result{Ran: m.ran, Stop: m.stop}
	if m.Outcome == plan.Changed {
		result.Data = m.splice(room)
	}
	switch result.Outcome = m.Outcome; m.Outcome {
	case plan.Unsure:
		return plan.Result{}, nil
	case plan.Unchanged:
		result.Data = data
	}
	return result, nil
}

// splice returns the new payload, if there is one.
func (m *Machine[S]) splice(room []byte) []byte {
	lent := cap(room) > 0
	if !lent {
		room = m.spare
	}
	out, differs := m.format.Splice(room[:0])
	if !lent && cap(out) <= MaxKept {
		m.spare = out
	}
	switch {
	case m.Outcome != plan.Changed:
		return nil
	case !differs:
		m.Outcome = plan.Unchanged
		return nil
	}
	if lent {
		return out
	}
	return bytes.Clone(out)
}

// Query is [plan.Editor]'s on payloads of the codec of, by format.
func (m *Machine[S]) Query(format Format, of codec.Codec, p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits) (codec.Value, plan.Outcome, error) {
	defer m.rest()
	if err := m.begin(format, of, p, data, vars, limits); err != nil || m.Outcome == plan.Unsure {
		return nil, plan.Unsure, err
	}
	if m.run(p.Body, 0); m.Outcome != plan.Changed {
		return nil, m.Outcome, nil
	}
	v := m.ValueOf(m.eval(p.Result, 0))
	return v, m.Outcome, nil
}

// begin finds the places of p in data. Its error is that of Decode.
func (m *Machine[S]) begin(format Format, of codec.Codec, p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits) error {
	limits = limits.WithDefaults()
	m.format, m.Plan, m.Text, m.vars = format, p, data, vars
	m.Nodes, m.Vals, m.Scratch = m.Nodes[:0], m.Vals[:0], m.Scratch[:0]
	m.Outcome, m.stop, m.ran, m.looked = plan.Changed, 0, 0, 0
	m.most = max(maxMade, int(min(limits.Size, math.MaxInt32)))
	if int64(len(data)) <= min(int64(limits.Size), math.MaxInt32) && m.format.Read(limits) || m.Outcome == plan.Unsure {
		return nil
	}
	m.Doubt()
	_, _, err := of.Decode(data, limits)
	return err
}

// rest lets go of what the run was about.
func (m *Machine[S]) rest() {
	m.format, m.Plan, m.Text, m.vars, m.by = nil, nil, nil, nil, Val{}
	clear(m.Vals)
	if cap(m.Nodes) > MaxKept/64 {
		m.Nodes, m.Vals = nil, nil
	}
	if cap(m.Scratch) > MaxKept {
		m.Scratch = nil
	}
}
