package proxy

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules"
)

// rejection is a request or response that a reject step answers.
type rejection struct{ *rules.Reject }

func (r *rejection) Error() string { return r.Step + ": rejected" }

// transformRequest runs the request's steps over its head and its one message.
func (x *exchange) transformRequest() error {
	if x.route == nil || x.route.Request() == nil && !x.translates() {
		return nil
	}
	if x.websocket {
		return x.stepHead(x.route.Request(), &x.request, &x.record.Request, nil)
	}
	return x.transform(x.route.Request(), &x.request, &x.record.Request, nil)
}

// transformResponse does the same for the response.
func (x *exchange) transformResponse() error {
	if x.route == nil {
		return nil
	}
	if x.opensWebSocket() {
		return x.stepUpgrade(x.route.Response())
	}
	if x.route.Response() == nil && !x.translates() {
		return nil
	}
	return x.transform(x.route.Response(), &x.response, &x.record.Response, x.response.in)
}

func (x *exchange) transform(steps *rules.Steps, h *half, seen *Half, response *rules.Head) error {
	if h.body.messages != nil {
		if err := x.stepMessages(steps, h, seen, response); err != nil { // messages.go
			return err
		}
		return x.gather(h)
	}
	if h.body.none {
		return x.stepHead(steps, h, seen, response)
	}
	in := rules.In{
		Phase:    rules.Whole,
		Request:  x.record.Call,
		Params:   x.params,
		Response: response,
		Head:     h.out,
		Now:      x.record.Started,
		Limiter:  x,
		Clock:    x.p.stepClock,
	}
	x.showStatus(&in, steps)
	if h.body.undecoded != nil {
		limits := codec.Limits{Size: x.route.Limits().Body}
		in.Room = h.body.room
		if out, left, sure, err := steps.RunOn(x.ctx, in, h.body.codec, h.body.undecoded, limits); sure {
			return x.transformedInPlace(h, seen, response, out, left, err)
		}
		h.body.decode(limits)
	}
	in.Body, in.Clock = h.body.input, time.Now
	out, err := steps.Run(x.ctx, in)
	seen.Steps = append(seen.Steps, out.Steps...)
	if err != nil {
		return x.stepFailed(err, h.body.input.Err, h.body.reason)
	}
	if out.Reject != nil {
		return &rejection{out.Reject}
	}
	h.out = out.Head
	x.faulty = x.faulty || out.Fault
	value := h.body.input.Value
	if out.Edited {
		value = out.Messages[0]
	}
	switch done, err := x.translate(h, seen, value); {
	case err != nil:
		return err
	case done:
	case h.body.form != nil:
		return x.passForm(h, value) // form.go
	case out.Edited:
		if err := h.body.edit(value); err != nil {
			return x.encodeFailed(halfName(response), err)
		}
	}
	if h.body.isEdited {
		h.out = withoutDigests(h.out)
	}
	return nil
}

// transformedInPlace is the rest of transform for steps that ran on a message that
// was not decoded.
func (x *exchange) transformedInPlace(h *half, seen *Half, response *rules.Head, out rules.Out, left []byte, err error) error {
	seen.Steps = append(seen.Steps, out.Steps...)
	switch {
	case err != nil:
		return x.stepFailed(err, nil, "")
	case out.Reject != nil:
		return &rejection{out.Reject}
	}
	h.out = out.Head
	if !out.Edited || bytes.Equal(left, h.body.undecoded) {
		return nil
	}
	h.body.room = left
	if err := h.body.editInPlace(left); err != nil {
		return x.encodeFailed(halfName(response), err)
	}
	h.out = withoutDigests(h.out)
	return nil
}

// halfName names a half as the steps of a rule file do.
func halfName(response *rules.Head) string { return nameOfHalf(response == nil) }

func nameOfHalf(fromCaller bool) string {
	if fromCaller {
		return "request"
	}
	return "response"
}

// stepFailed turns the error of a run into what happens next. If the step
// failed because the message could not be had, reason says why.
func (x *exchange) stepFailed(err, bodyErr error, reason rules.Reason) error {
	var failed *rules.StepError
	if !errors.As(err, &failed) {
		return err
	}
	if bodyErr != nil && errors.Is(failed.Err, bodyErr) {
		named := *failed
		named.Reason = reason
		failed = &named
	}
	return x.onError(failed, func() {})
}

// encodeFailed is what happens when a result has no form in its format.
func (x *exchange) encodeFailed(step string, err error) error {
	return x.stepFailed(&rules.StepError{Route: x.route, Step: step, Reason: rules.ReasonEncode, Err: err}, nil, "")
}

// withoutDigests drops or weakens the fields that vouch for the very bytes of a
// body that was edited (RFC 9110, 8.8.1; RFC 9530). It returns head if there are
// none: a head that is another one is compared field by field.
func withoutDigests(head *rules.Head) *rules.Head {
	fields := head.Fields
	for _, name := range []string{"Content-MD5", "Digest", "Content-Digest", "Repr-Digest"} {
		if fields.Has(name) {
			fields = fields.With(name)
		}
	}
	etag := fields.Get("ETag")
	if strings.HasPrefix(etag, `"`) {
		fields = fields.With("ETag", "W/"+etag)
	} else if len(fields) == len(head.Fields) {
		return head
	}
	edited := *head
	edited.Fields = fields
	return &edited
}
