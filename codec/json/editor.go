package json

import (
	"bytes"
	"sync"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/plan"
)

var _ plan.Editor = Codec{}

var runners = sync.Pool{New: func() any { return new(Runner) }}

// Edit implements [plan.Editor].
func (Codec) Edit(p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits) (plan.Result, error) {
	r := runners.Get().(*Runner)
	defer runners.Put(r)
	result, err := r.Run(p, data, vars, limits, r.spare)
	if result.Outcome == plan.Changed {
		if cap(result.Data) <= maxKept {
			r.spare = result.Data[:0]
		}
		result.Data = bytes.Clone(result.Data)
	}
	return result, err
}

// Query implements [plan.Editor].
func (Codec) Query(p *plan.Plan, data []byte, vars []codec.Value, limits codec.Limits) (codec.Value, plan.Outcome, error) {
	r := runners.Get().(*Runner)
	defer runners.Put(r)
	return r.Eval(p, data, vars, limits)
}
