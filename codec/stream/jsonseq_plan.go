package stream

import (
	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/plan"
)

var _ plan.Editor = JSONSeq{}

// recordText is the JSON of a record that Decode may take.
func recordText(record []byte, limits codec.Limits) (text []byte, ok bool) {
	if len(record) < 2 || record[0] != rs || len(record) > sizeOf(limits) || !endsItself(record) {
		return nil, false
	}
	return record[1:], true
}

// endsItself reports whether a record that ends so cannot have been cut short.
func endsItself(record []byte) bool {
	switch c := record[len(record)-1]; c {
	case '}', ']', '"':
		return true
	default:
		return isSpace(c)
	}
}

// Edit implements [plan.Editor].
func (JSONSeq) Edit(room []byte, p *plan.Plan, record []byte, vars []codec.Value, limits codec.Limits) (plan.Result, error) {
	text, ok := recordText(record, limits)
	if !ok {
		return plan.Result{}, nil
	}
	result, err := json.Codec{}.Edit(nil, p, text, vars, limits)
	if err != nil {
		return plan.Result{}, nil //nolint:nilerr // Decode knows
	}
	switch result.Outcome {
	case plan.Unchanged:
		result.Data = record
	case plan.Changed:
		out := append(make([]byte, 0, len(result.Data)+2), rs)
		if out = append(out, result.Data...); !endsItself(out) {
			out = append(out, '\n')
		}
		result.Data = out
	}
	return result, nil
}

// Query implements [plan.Editor].
func (JSONSeq) Query(p *plan.Plan, record []byte, vars []codec.Value, limits codec.Limits) (codec.Value, plan.Outcome, error) {
	text, ok := recordText(record, limits)
	if !ok {
		return nil, plan.Unsure, nil
	}
	v, outcome, err := json.Codec{}.Query(p, text, vars, limits)
	if err != nil {
		return nil, plan.Unsure, nil //nolint:nilerr // Decode knows
	}
	return v, outcome, nil
}
