package rules

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Trailers are the compiled steps over the trailers of a route's responses. Nil
// Trailers leave them alone.
type Trailers struct {
	route *Route
	steps []step // with jq alone
}

// trailersOf puts compiled steps, which are r's from then on, together; nil for none.
func trailersOf(r *Route, steps []step) *Trailers {
	if len(steps) == 0 {
		return nil
	}
	return &Trailers{route: r, steps: steps}
}

// TrailersIn is the input of one run over trailers.
type TrailersIn struct {
	Request  *Request // as received
	Params   Params   // of the match
	Response *Head    // as received
	Fields   Fields   // the trailers; never changed
	GRPC     bool     // they say a call's grpc-status and grpc-message
	Now      time.Time

	Clock func() time.Time // the steps are timed by it; nil: they are not
}

// Run applies the steps to trailers. left is in.Fields itself if no step changed
// them. The error is a [*StepError], and reports are filled up to it.
func (t *Trailers) Run(ctx context.Context, in TrailersIn) (left Fields, reports []StepReport, err error) {
	if t == nil {
		return in.Fields, nil, nil
	}
	r := &run{In: In{Clock: in.Clock}, limits: t.route.limits, left: t.route.limits.Steps}
	r.scope = scope{request: in.Request, params: in.Params, response: in.Response, now: in.Now, steps: &r.left}
	if in.GRPC {
		r.scope.status = grpcStatusOf(in.Fields)
	}
	left = in.Fields
	var step *step
	defer func() {
		if p := recover(); p != nil {
			err = &StepError{Route: t.route, Step: step.name, Reason: ReasonPanic, Err: fmt.Errorf("panic: %v", p)}
		}
	}()
	for i := range t.steps {
		step = &t.steps[i]
		report := StepReport{Step: step.name, Result: "when_false"}
		began := r.clock()
		after, ran, err := r.trailers(ctx, step, left, in.GRPC)
		report.Took = r.clock().Sub(began)
		switch {
		case err != nil:
			report.Result = "failed"
		case ran:
			left, report.Result, report.Count = after, "ran", 1
			report.Body = viewTrailers(left, in.GRPC)
		}
		reports = append(reports, report)
		if err != nil {
			return in.Fields, reports, t.failed(step, err)
		}
	}
	return left, reports, nil
}

// Skip reports the steps for a response that has no room for trailers.
func (t *Trailers) Skip() []StepReport {
	if t == nil {
		return nil
	}
	reports := make([]StepReport, len(t.steps))
	for i := range t.steps {
		reports[i] = StepReport{Step: t.steps[i].name, Result: "skipped_trailers"}
	}
	return reports
}

func (t *Trailers) failed(step *step, err error) *StepError {
	return (&Steps{route: t.route}).failed(step, err)
}

// trailers runs one step over trailers.
func (r *run) trailers(ctx context.Context, s *step, fields Fields, grpc bool) (after Fields, ran bool, err error) {
	view := viewTrailers(fields, grpc)
	if ok, err := r.when(ctx, s, view); err != nil || !ok {
		return fields, false, err
	}
	v, err := s.jq.one(ctx, view, &r.scope, r.limits)
	if err != nil {
		return fields, false, err
	}
	after, err = editTrailers(fields, v, grpc)
	return after, err == nil, err
}

// The fields that a call's end is told in (gRPC over HTTP/2, Responses), and
// what steps see of them.
const (
	statusField, statusKeyOfTrailers   = "grpc-status", "grpc_status"
	messageField, messageKeyOfTrailers = "grpc-message", "grpc_message"
)

// viewTrailers is an object of the trailers as headers are seen. Of a call the
// status is a name and the message is plain text, "" if there is none.
func viewTrailers(fields Fields, grpc bool) map[string]any {
	view := viewFields(fields)
	if !grpc {
		return view
	}
	delete(view, statusField)
	delete(view, messageField)
	view[statusKeyOfTrailers] = string(grpcStatusOf(fields))
	view[messageKeyOfTrailers] = DecodeGRPCMessage(fields.Get(messageField))
	return view
}

// grpcStatusOf is the status that trailers say, UNKNOWN if they say none.
func grpcStatusOf(fields Fields) Code {
	n, err := strconv.Atoi(fields.Get(statusField))
	if err != nil {
		return "UNKNOWN"
	}
	return CodeOf(n)
}

// errTrailers is what every error of [editTrailers] wraps.
var errTrailers = errors.New("no possible trailers")

func badTrailers(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errTrailers, fmt.Sprintf(format, args...))
}

// editTrailers writes onto fields the difference between their view and after,
// what a step made of it.
func editTrailers(fields Fields, after any, grpc bool) (Fields, error) {
	object, ok := after.(map[string]any)
	if !ok {
		return nil, badTrailers("the result is no object")
	}
	others, had, out := make(map[string]any, len(object)+2), byName(fields), fields
	for name, v := range object {
		lower := strings.ToLower(name)
		switch {
		case grpc && (name == statusKeyOfTrailers || name == messageKeyOfTrailers):
			continue
		case name == statusKeyOfTrailers, name == messageKeyOfTrailers, lower == statusField, lower == messageField:
			if !grpc && sameValues(had[lower], v, ", ") {
				break // of who knows what
			}
			if grpc {
				return nil, badTrailers("%s is %s here", lower, strings.ReplaceAll(lower, "-", "_"))
			}
			return nil, badTrailers("%s is for calls of gRPC", name)
		}
		if !sameValues(had[lower], v, joinOf(lower)) {
			if err := checkTrailer(lower, v, grpc); err != nil {
				return nil, err
			}
		}
		others[name] = v
	}
	if grpc {
		var err error
		if out, err = editGRPCEnd(fields, object); err != nil {
			return nil, err
		}
		for _, name := range []string{statusField, messageField} { // they have been written
			if values := out.Values(name); values != nil {
				others[name] = viewStrings(values)
			}
		}
	}
	out, err := editFields(out, others)
	if err != nil {
		return nil, badTrailers("%s", strings.TrimPrefix(err.Error(), errHead.Error()+": "))
	}
	return out, nil
}

// editGRPCEnd writes a call's status and message where they differ.
func editGRPCEnd(fields Fields, object map[string]any) (Fields, error) {
	if code, err := codeIn(object[statusKeyOfTrailers]); err != nil {
		return nil, err
	} else if code != grpcStatusOf(fields) || !fields.Has(statusField) {
		n, _ := code.Number()
		fields = fields.With(statusField, strconv.Itoa(n))
	}
	message, ok := object[messageKeyOfTrailers].(string)
	switch {
	case !ok && object[messageKeyOfTrailers] != nil:
		return nil, badTrailers("%s is no text", messageKeyOfTrailers)
	case message == DecodeGRPCMessage(fields.Get(messageField)):
		return fields, nil
	case message == "":
		return fields.With(messageField), nil
	}
	return fields.With(messageField, EncodeGRPCMessage(message)), nil
}

// codeIn is the code that a step names, by its name or number.
func codeIn(v any) (Code, error) {
	if name, ok := v.(string); ok {
		if _, known := Code(name).Number(); known {
			return Code(name), nil
		}
	}
	if n, ok := wholeNumber(v); ok && n >= 0 && n < len(codes) {
		return CodeOf(n), nil
	}
	return "", badTrailers("%s is no status of gRPC", statusKeyOfTrailers)
}

// headOnly are fields that nobody may send behind a body, beside fixedFields:
// whoever reads them needs them before it (RFC 9110, 6.5.1; RFC 7230, 4.1.2).
var headOnly = []string{
	"age", "authorization", "cache-control", "content-encoding", "content-range", "content-type", "cookie", "date", "expect",
	"expires", "grpc-accept-encoding", "grpc-encoding", "location", "max-forwards", "pragma", "proxy-authenticate", "proxy-authorization",
	"range", "realm", "retry-after", "set-cookie", "vary", "warning", "www-authenticate",
}

// HeadOnly reports whether a field, by its lower-case name, belongs to heads
// alone. In a response of gRPC that is nothing but trailers all others are
// trailers.
func HeadOnly(name string) bool {
	return slices.Contains(headOnly, name) || slices.Contains(fixedFields, name) || strings.HasPrefix(name, "if-")
}

// checkTrailer checks a field that a step has changed. Any may be removed.
func checkTrailer(name string, v any, grpc bool) error {
	if v == nil {
		return nil
	}
	if HeadOnly(name) {
		return badTrailers("%.32s cannot stand behind a body", name)
	}
	if !grpc || !strings.HasSuffix(name, "-bin") {
		return nil
	}
	values, err := editValues(name, v)
	for _, line := range values {
		for each := range strings.SplitSeq(line, ",") {
			if _, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(each), "=")); err != nil {
				return badTrailers("%.32s is not in base64", name)
			}
		}
	}
	return err
}

// EncodeGRPCMessage percent-encodes a grpc-message (gRPC over HTTP/2, Responses).
func EncodeGRPCMessage(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// DecodeGRPCMessage undoes [EncodeGRPCMessage]; a broken escape stands for itself.
func DecodeGRPCMessage(s string) string {
	return queryDecode(strings.ReplaceAll(s, "+", "%2B")) // in which a plus is none
}
