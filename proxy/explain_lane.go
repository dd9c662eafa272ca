package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules"
)

// dryLane is a lane without a wire: it reads what would be sent, and the upstream
// is a response that the question gives.
type dryLane struct {
	*exchange
	q        *Question
	shade    *shade // what the question is taken from in place of bodies; nil: it is asked by somebody
	answered *Answer
	sentBody []byte
	returned []byte
	problem  error // of the question
}

var _ wire = (*dryLane)(nil)

// errNotAsked ends an exchange whose question has no response.
var errNotAsked = &Error{Origin: OriginSluice, Reason: "not_asked"}

// send implements [wire].
func (x *dryLane) send() (err error) {
	if x.sentBody, err = passThrough(&x.request.body); err != nil {
		return err
	}
	if err := x.asks(); err != nil {
		return err
	}
	if x.shade != nil {
		x.response.body = x.shade.response.body(x.exchange)
		x.ends("")
		return nil
	}
	data := x.q.ResponseBody
	if x.request.in.Method == http.MethodHead || bodiless(x.q.Response.Status) {
		data = nil // nobody could send one
	}
	x.response.body = dryBody(x.exchange, data)
	if x.kind == callGRPC {
		x.ends(x.q.ResponseCode)
	}
	return nil
}

// asks asks the upstream.
func (x *dryLane) asks() error {
	switch {
	case x.q.Failure != "":
		x.record.Attempts = 1
		x.outcome.Duration = x.q.Took
		return &Error{Origin: OriginUpstream, Reason: x.q.Failure}
	case x.q.Response == nil:
		return errNotAsked
	}
	x.record.Attempts = 1
	x.outcome.Duration = x.q.Took
	x.response.in, x.response.out = x.q.Response, x.q.Response
	return nil
}

// ends notes how a gRPC call ends.
func (x *dryLane) ends(code rules.Code) {
	if x.shade != nil {
		x.record.Response.Trailers = x.shade.trailers
		return
	}
	if code == "" {
		code = "OK"
	}
	n, _ := code.Number()
	x.record.Response.Trailers = append(rules.Fields{{Name: "grpc-status", Value: strconv.Itoa(n)}}, x.q.ResponseTrailers...)
	x.record.GRPCStatus = code
}

// respond implements [wire].
func (x *dryLane) respond() (err error) {
	x.judgeBody()
	if x.returned, err = passThrough(&x.response.body); err != nil {
		return err
	}
	x.record.Status, x.began = x.response.out.Status, true
	switch {
	case x.kind == callGRPC:
		if x.response.trailers != nil { // of a fallback
			x.record.Response.Trailers = x.response.trailers
		}
		return x.stepCallEnd()
	case !x.hasBody() || x.shade != nil && !x.shade.trails():
		x.skipTrailers()
		return nil
	case x.shade != nil:
		return x.stepEnd(x.shade.trailers)
	}
	if x.record.Answered != "" {
		return x.stepEnd(nil) // of a fallback
	}
	return x.stepEnd(x.q.ResponseTrailers)
}

// stepCallEnd runs the steps over the end of a call.
func (x *dryLane) stepCallEnd() error {
	if err := x.stepEnd(x.record.Response.Trailers); err != nil {
		x.endFailed(err)
		return nil
	}
	x.record.GRPCStatus = x.sentStatus()
	return nil
}

// passThrough reads a body as it would be sent.
func passThrough(b *body) ([]byte, error) {
	out, _ := b.outgoing()
	defer out.Close()
	data, err := io.ReadAll(out)
	if errors.Is(err, errCut) && b.messages == nil && b.form == nil {
		return data, nil // no step sees it
	}
	return data, err
}

// answer implements [wire].
func (x *dryLane) answer(a *answer) {
	x.answered = &Answer{Status: a.status, Message: a.message, Error: a.headerValue()}
	if x.kind == callGRPC {
		x.answered.Status, x.answered.GRPC = http.StatusOK, a.code
		return
	}
	var fields rules.Fields
	x.answered.Status, fields, x.answered.Body = x.said(a)
	if fields = append(fields, rules.Field{Name: errorHeader, Value: a.headerValue()}); a.retryAfter > 0 {
		fields = append(fields, rules.Field{Name: "Retry-After", Value: strconv.Itoa(a.retryAfter)})
	}
	x.answered.Fields = fields
}

// finished implements [wire].
func (x *dryLane) finished(error, bool) {}

// call implements [wire]: the caller says all before the upstream answers.
func (x *dryLane) call() error {
	x.readByMessage = true
	x.stream = streamRules{generation: x.set.Number, route: x.route, params: x.params}
	x.describe()
	cut := x.callHalf(true, x.q.Body, x.q.Messages)
	if cut != nil && !errors.Is(cut, errCut) {
		return cut
	}
	if err := x.injectFault(x.ctx); err != nil {
		return err
	}
	if err := x.admit(); err != nil {
		return x.callFallBack(err)
	}
	if err := x.asks(); err != nil {
		return cmp.Or(cut, err)
	}
	if x.shade != nil {
		if done, err := x.shadedAnswer(cut); done || err != nil {
			return err
		}
	} else if err := x.givenAnswer(); err != nil {
		return err
	}
	if cut != nil {
		return cut
	}
	x.record.Status, x.began = http.StatusOK, true
	x.ends(x.q.ResponseCode)
	x.outcome.GRPCStatus = x.record.GRPCStatus
	return x.stepCallEnd()
}

// givenAnswer takes the response of a question through its steps.
func (x *dryLane) givenAnswer() error {
	code := x.q.ResponseCode
	if x.method != nil && !x.method.ServerStreaming {
		x.status = cmp.Or(code, "OK")
	}
	if code == "" || code == "OK" || len(x.q.ResponseBody) > 0 || x.q.ResponseMessages != nil {
		return x.callHalf(false, x.q.ResponseBody, x.q.ResponseMessages)
	}
	return x.stepHead(x.route.Response(), &x.response, &x.record.Response, x.response.in)
}

// callHalf takes the messages of a half through their steps.
func (x *dryLane) callHalf(fromCaller bool, body []byte, messages [][]byte) error {
	h, seen, steps, format := &x.response, &x.record.Response, x.route.Response(), x.outputCodec()
	streams, response := x.method != nil && x.method.ServerStreaming, x.response.in
	if fromCaller {
		h, seen, steps, format = &x.request, &x.record.Request, x.route.Request(), x.inputCodec()
		streams, response = x.method != nil && x.method.ClientStreaming, nil
	}
	unary := x.method != nil && !streams
	var cut error
	switch {
	case x.shade != nil:
		messages, cut = x.shade.messages(fromCaller, x.route.Limits())
		unary = unary && len(messages) > 0
	case messages == nil:
		messages = [][]byte{body}
	}
	if unary && len(messages) != 1 && x.shade == nil {
		x.problem = fmt.Errorf("%s/%s takes one message, not %d", x.method.Service, x.method.Name, len(messages))
		return x.problem
	}
	if waits := unary || steps.Needs().HeadWaits && len(messages) > 0; !waits {
		if err := x.stepHead(steps, h, seen, response); err != nil {
			return err
		}
	}
	for i, text := range messages {
		message, err := x.encodeMessage(format, text)
		if err != nil {
			x.problem = err
			return err
		}
		phase := rules.StreamMessage
		switch {
		case unary:
			phase = rules.Whole
		case i == 0 && steps.Needs().HeadWaits:
			phase = rules.StreamFirst
		}
		if _, _, err = x.stepStreamed(phase, fromCaller, streamed{data: message, format: format, unknown: x.schemaErr}); err != nil {
			return err
		}
	}
	return cut
}

// callFallBack answers a call that the breaker refused.
func (x *dryLane) callFallBack(refused error) error {
	a := x.route.Breaker().Fallback
	if a == nil {
		return refused
	}
	head := &rules.Head{Status: http.StatusOK, Fields: a.Headers}
	if a.GRPC == "" || a.GRPC == "OK" {
		if x.method == nil {
			return refused
		}
		data, err := x.method.Output.Encode(nil, a.Body)
		if err != nil {
			return x.encodeFailed("upstream.breaker.fallback", err)
		}
		x.response.in, x.response.out, x.status = head, head, "OK"
		if _, err := x.stepMessage(rules.Whole, false, newFrame(data)); err != nil {
			return err
		}
	}
	x.record.Answered, x.record.Status, x.began = answeredFallback, http.StatusOK, true
	x.ends(a.GRPC)
	return x.stepCallEnd()
}

// encodeMessage turns a message in JSON into what would be on the wire. Without
// a descriptor it is as if nobody could read it.
func (x *dryLane) encodeMessage(format codec.Codec, text []byte) ([]byte, error) {
	reader := x.p.Codecs.Default()
	if format == nil || reader == nil || len(text) == 0 || x.shade != nil {
		return text, nil
	}
	value, _, err := reader.Decode(text, codec.Limits{})
	if err != nil {
		return nil, fmt.Errorf("the message of a gRPC call is given in JSON: %w", err)
	}
	return format.Encode(nil, value)
}
