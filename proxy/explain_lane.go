package proxy

import (
	"fmt"
	"io"
	"net/http"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules"
)

// dryLane is a lane without a wire: it reads what would be sent, and the upstream
// is a response that the question gives.
type dryLane struct {
	*exchange
	q       *Question
	said    *Answer
	problem error // of the question
}

var _ wire = (*dryLane)(nil)

// errNotAsked ends an exchange whose question has no response.
var errNotAsked = &Error{Origin: OriginSluice, Reason: "not_asked"}

// send implements [wire].
func (x *dryLane) send() error {
	if err := passThrough(&x.request.body); err != nil {
		return err
	}
	if x.q.Response == nil {
		return errNotAsked
	}
	x.record.Attempts = 1
	x.response.in, x.response.out = x.q.Response, x.q.Response
	data := x.q.ResponseBody
	if x.request.in.Method == http.MethodHead || bodiless(x.q.Response.Status) {
		data = nil // nobody could send one
	}
	x.response.body = dryBody(x.exchange, data)
	return nil
}

// respond implements [wire].
func (x *dryLane) respond() error {
	x.judgeBody()
	if err := passThrough(&x.response.body); err != nil {
		return err
	}
	x.record.Status, x.began = x.response.out.Status, true
	return nil
}

// passThrough reads a body as it would be sent.
func passThrough(b *body) error {
	out, _ := b.outgoing()
	defer out.Close()
	_, err := io.Copy(io.Discard, out)
	return err
}

// answer implements [wire].
func (x *dryLane) answer(a *answer) {
	x.said = &Answer{Status: a.status, Message: a.message, Error: a.headerValue()}
	if x.kind == callGRPC {
		x.said.Status, x.said.GRPC = http.StatusOK, a.code
	}
}

// finished implements [wire].
func (x *dryLane) finished(error, bool) {}

// call implements [wire]: a call of one message each way.
func (x *dryLane) call() error {
	x.readByMessage = true
	x.stream = streamRules{generation: x.set.Number, route: x.route, params: x.params}
	x.describe()
	if err := x.callHalf(true, x.q.Body); err != nil {
		return err
	}
	if x.q.Response == nil {
		return errNotAsked
	}
	x.record.Attempts = 1
	x.response.in, x.response.out = x.q.Response, x.q.Response
	if err := x.callHalf(false, x.q.ResponseBody); err != nil {
		return err
	}
	x.record.Status, x.record.GRPCStatus, x.began = http.StatusOK, "OK", true
	return nil
}

// callHalf takes the one message of a half through its steps.
func (x *dryLane) callHalf(fromCaller bool, text []byte) error {
	h, seen, steps, format := &x.response, &x.record.Response, x.route.Response(), x.outputCodec()
	streams, response := x.method != nil && x.method.ServerStreaming, x.response.in
	if fromCaller {
		h, seen, steps, format = &x.request, &x.record.Request, x.route.Request(), x.inputCodec()
		streams, response = x.method != nil && x.method.ClientStreaming, nil
	}
	message, err := x.encodeMessage(format, text)
	if err != nil {
		x.problem = err
		return err
	}
	phase := rules.Whole
	switch {
	case x.method != nil && !streams:
	case steps.Needs().HeadWaits:
		phase = rules.StreamFirst
	default:
		phase = rules.StreamMessage
		if err := x.stepHead(steps, h, seen, response); err != nil {
			return err
		}
	}
	_, _, err = x.stepStreamed(phase, fromCaller, streamed{data: message, format: format, unknown: x.schemaErr})
	return err
}

// encodeMessage turns a message in JSON into what would be on the wire. Without
// a descriptor it is as if nobody could read it.
func (x *dryLane) encodeMessage(format codec.Codec, text []byte) ([]byte, error) {
	reader := x.p.Codecs.Default()
	if format == nil || reader == nil || len(text) == 0 {
		return text, nil
	}
	value, _, err := reader.Decode(text, codec.Limits{})
	if err != nil {
		return nil, fmt.Errorf("the message of a gRPC call is given in JSON: %w", err)
	}
	return format.Encode(nil, value)
}
