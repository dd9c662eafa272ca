package stream

import (
	"bytes"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/plan"
)

var _ plan.Editor = SSE{}

// framed is an event as the JSON text that jq sees: {"data":...} with its event
// and id. Only events have one whose data is JSON on one line.
type framed struct {
	data []byte
	at   int    // where data begins in the event
	text []byte // the event as JSON
	tail int    // where text goes on behind data
}

const opening = `{"data":`

// frame returns the event as JSON, and false if plans are not for it.
func frame(text []byte, limits codec.Limits) (f framed, ok bool) {
	var buffer [8]sseLine
	o := sseOriginal{text: text, lines: buffer[:0]}
	if len(text) > sizeOf(limits) || o.scan() != nil {
		return f, false
	}
	said := [fields]*sseLine{}
	for i := range o.lines {
		l := &o.lines[i]
		if l.field == data && said[data] != nil {
			return f, false
		}
		said[l.field] = l
	}
	l := said[data]
	if l == nil || !json.Whole(text[l.value:l.end], limits.WithDefaults().Depth) {
		return f, false
	}
	f.data, f.at = text[l.value:l.end], int(l.value)
	f.text = make([]byte, 0, len(text)+64)
	f.text = append(append(f.text, opening...), f.data...)
	f.tail = len(f.text)
	for _, of := range []field{event, id} {
		l := said[of]
		if l == nil {
			continue
		}
		value := text[l.value:l.end]
		if !isPlain(value) {
			return f, false
		}
		f.text = append(append(append(f.text, `,"`...), of.String()...), `":"`...)
		f.text = append(append(f.text, value...), '"')
	}
	f.text = append(f.text, '}')
	return f, true
}

// isPlain reports whether text is a JSON string between quotes as it stands.
func isPlain(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return utf8.Valid(text)
}

// Edit implements [plan.Editor]. It is sure of edits of data that is JSON on one
// line.
func (SSE) Edit(room []byte, p *plan.Plan, event []byte, vars []codec.Value, limits codec.Limits) (plan.Result, error) {
	f, ok := frame(event, limits)
	if !ok {
		return plan.Result{}, nil
	}
	result, err := json.Codec{}.Edit(nil, p, f.text, vars, f.limits(limits))
	if err != nil {
		return plan.Result{}, nil //nolint:nilerr // Decode knows
	}
	switch result.Outcome {
	case plan.Unchanged:
		result.Data = event
	case plan.Changed:
		data, ok := bytes.CutPrefix(result.Data, []byte(opening))
		if ok {
			data, ok = bytes.CutSuffix(data, f.text[f.tail:])
		}
		if !ok || !json.Whole(data, len(data)) || bytes.IndexByte(data, '\n') >= 0 || bytes.IndexByte(data, '\r') >= 0 {
			return plan.Result{}, nil // more than data has changed, or the number of its lines
		}
		out := make([]byte, 0, len(event)+len(data)-len(f.data))
		out = append(append(out, event[:f.at]...), data...)
		result.Data = append(out, event[f.at+len(f.data):]...)
	}
	return result, nil
}

// Query implements [plan.Editor].
func (SSE) Query(p *plan.Plan, event []byte, vars []codec.Value, limits codec.Limits) (codec.Value, plan.Outcome, error) {
	f, ok := frame(event, limits)
	if !ok {
		return nil, plan.Unsure, nil
	}
	v, outcome, err := json.Codec{}.Query(p, f.text, vars, f.limits(limits))
	if err != nil {
		return nil, plan.Unsure, nil //nolint:nilerr // Decode knows
	}
	return v, outcome, nil
}

// limits are those of the event as JSON: it has one more container.
func (f *framed) limits(of codec.Limits) codec.Limits {
	of = of.WithDefaults()
	of.Depth++
	of.Size += codec.Bytes(len(f.text))
	return of
}
