package proxy

import (
	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/csv"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/rules"
)

// rows is one text of rows that is too long to be had whole, as a stream of
// them, and the steps that its rows have one by one.
type rows struct {
	*csv.Rows
	steps *rules.Steps
	index int
}

var _ stream.Format = (*rows)(nil)

// Split returns the rows themselves: there is one stream.
func (r *rows) Split(codec.Limits) stream.Splitter { return r }

// readRows prepares for the steps of the rows of a body over its limit, and
// reports whether it can: they need not see more than one row.
func (x *exchange) readRows(h *half, format codec.Codec) bool {
	of, ok := format.(csv.Codec)
	steps := x.route.Request()
	if h == &x.response {
		steps = x.route.Response()
	}
	if steps = steps.Rows(); !ok || steps == nil || x.translates() || x.sized && h == &x.request {
		return false
	}
	r := &rows{Rows: of.Rows(codec.Limits{Size: x.route.Limits().Message}), steps: steps}
	h.body.input.Err, h.body.reason, h.body.whole = nil, "", false
	x.readMessages(h, r, nil)
	if h.body.messages != nil {
		h.body.messages.rows = r
	}
	return true
}

// row takes one row through its steps. What is to be sent of the rows has to
// pass through Rows, also of those that nothing changed.
func (m *messageBody) row(row []byte) error {
	x, h := m.x, &m.x.response
	if m.fromCaller {
		h = &x.request
	}
	in := rules.In{Phase: rules.StreamMessage, Request: x.record.Call, Params: x.params, Index: m.rows.index, Now: x.now()}
	if !m.fromCaller {
		in.Response = h.in
	}
	m.rows.index++
	m.phase = rules.StreamMessage
	b := body{x: x}
	b.decodeMessage(&streamed{data: row, format: m.rows}, x.route.Limits())
	in.Body = b.input
	out, err := m.rows.steps.Run(x.ctx, in)
	switch {
	case err != nil:
		err = x.stepFailed(err, b.input.Err, b.reason)
	case out.Reject != nil:
		err = &rejection{out.Reject}
	case out.Edited:
		return m.passRows(&b, out.Messages)
	}
	if err != nil {
		return m.ended(err)
	}
	left, err := m.rows.Pass(row)
	if err != nil {
		return m.rowFailed(rules.ReasonEncode, err)
	}
	m.pass(left)
	return nil
}

func (m *messageBody) passRows(b *body, values []codec.Value) error {
	onto := b.original
	for i, v := range values {
		encoded, err := m.rows.Encode(onto, v)
		if err != nil {
			return m.rowFailed(rules.ReasonEncode, err)
		}
		if i < len(values)-1 { // the last of a text may have no line end
			encoded = m.rows.Terminate(encoded)
		}
		m.pass(encoded)
		onto = nil
	}
	return nil
}

// rowFailed ends a body of which nothing may go on after what is wrong with a
// row, whatever the route says about errors: there is no original any more.
func (m *messageBody) rowFailed(reason rules.Reason, err error) error {
	return m.ended(&rules.StepError{Route: m.x.route, Step: halfName(m.response()), Reason: reason, Err: err})
}

func (m *messageBody) response() *rules.Head {
	if m.fromCaller {
		return nil
	}
	return m.x.response.in
}

// ended tells whoever waits for the response why there is none.
func (m *messageBody) ended(err error) error {
	if m.fromCaller {
		m.x.cancel(err)
	}
	return err
}
