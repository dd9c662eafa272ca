package rules

import (
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/codec"
)

// Steps are the compiled steps of a route's request or response.
type Steps struct {
	route  *Route
	steps  []step
	needs  Needs
	status bool // some step reads $response.grpc_status

	planned *planned // nil: they need the message's value
	why     string   // and why
	rows    *Steps   // nil: they need the whole of an array
}

// step is one compiled step, which does one thing: jq, head, reject, limit or fault.
type step struct {
	name   string   // request[0].jq
	at     Position // of its action
	when   *program // nil: always
	judge  *judge   // of when, if that looks at a head or at variables alone; else nil
	jq     *program
	head   *program
	reject *Reject
	limit  *RateLimit // by the message; of its first one
	fault  *Fault     // by the message; of its first one
}

// Needs is what has to be at hand before [Steps.Run].
type Needs struct {
	Body      bool // some step or condition reads the message: read and decode it
	HeadWaits bool // a head step or its when names $body: a stream's head waits for the first message
	Edits     bool // some jq step may change the message; without Body, it replaces a message that it does not read
}

// Needs returns what the steps need. The zero Needs of nil Steps: nothing.
func (s *Steps) Needs() Needs {
	if s == nil {
		return Needs{}
	}
	return s.needs
}

// ReadsStatus reports whether a step may look at $response.grpc_status.
func (s *Steps) ReadsStatus() bool { return s != nil && s.status }

// Members returns the names of the members of a message that is an object which
// the steps may read or write, in no order and perhaps more than once. ok is false
// if that cannot be said, or they look at the message as a whole: only then can
// any other member make a difference to what they do.
func (s *Steps) Members() (names []string, ok bool) {
	switch {
	case s == nil || s.needs.HeadWaits:
		return nil, false
	case s.planned != nil:
		return s.planned.plan.Members()
	}
	for i := range s.steps {
		step := &s.steps[i]
		if step.jq != nil || step.when.reads("$body") {
			return nil, false
		}
		if step.reject == nil || step.when == nil {
			continue
		}
		more, ok := step.when.jq.InputFields()
		if !ok {
			return nil, false
		}
		names = append(names, more...)
	}
	return names, true
}

// ReadsNumbers reports whether the steps name fields of the message by numbers
// alone, as those of a protobuf message without descriptor are named: no others
// mean anything there.
func (s *Steps) ReadsNumbers() bool {
	names, ok := s.Members()
	for _, name := range names {
		if n, err := strconv.Atoi(name); err != nil || n <= 0 {
			return false
		}
	}
	return ok && len(names) > 0
}

// Phase is the part of the steps that a run covers.
type Phase uint8

// The phases. An exchange whose body is one message runs Whole, once. A stream
// runs StreamHead once when its head is there and StreamMessage for each
// message; if [Needs.HeadWaits], its first message runs StreamFirst instead,
// which covers both.
const (
	Whole         Phase = iota
	StreamHead          // head steps, and rejects that do not read the message; no message is there
	StreamFirst         // head and message steps
	StreamMessage       // message steps and rejects; the head has left
)

// Body is the message that steps work on.
type Body struct {
	Value codec.Value

	// Skipped says why the message was not decoded ("skipped_format",
	// "skipped_partial"): jq steps pass it over and say so in their report;
	// a reject or when that reads it fails the run. Empty: Value is valid.
	Skipped string
	// Err, if not nil, is why decoding failed or the body is over its limit.
	// The first step that reads the message fails with it, for the Reason of a
	// [*StepError] in it if there is one.
	Err error
}

// In is the input of one run.
type In struct {
	Phase    Phase
	Request  *Request // as received
	Params   Params   // of the match
	Response *Head    // as received; nil for the request's steps
	Status   Code     // $response.grpc_status; "" shows none
	Head     *Head    // to be sent so far; never changed. Nil in StreamMessage
	Body     Body
	Index    int       // of the message in its stream, from zero
	Now      time.Time // $now, now, mktime ...: one instant for the run

	// StatusErr, if not nil, is why nobody knows Status, as of a stream that has not
	// ended: a step that reads it fails with it.
	StatusErr error

	Limiter Limiter // for a rate limit whose key is made of the message; nil: there is none

	Clock func() time.Time // the steps are timed by it; nil: they are not
	Room  []byte           // memory for what RunOn makes, of which only the capacity counts; nil: its own
}

// Out is the outcome of one run.
type Out struct {
	Head *Head // to be sent: In.Head itself if no step changed it

	// Messages are what leaves in place of the message, if Edited: exactly one
	// in Whole; none or many only in the stream phases. Not Edited means that
	// no jq step ran, and the message goes on as its bytes.
	Messages []codec.Value
	Edited   bool

	Fault bool // the route's fault is for this exchange, by the message

	Reject *Reject // not nil: answer with this; nothing is sent on

	Steps []StepReport // what each step did, in order; for the tap
}

// StepReport is what one step did.
type StepReport struct {
	Step   string      // request[0].jq
	Result string      // "ran", "when_false", "skipped_format", "skipped_partial", "skipped_trailers", "rejected", "failed"
	Head   *Head       // after the step, if it ran and is a head step
	Body   codec.Value // after the step, if it ran and is a jq step; the first of several
	Count  int         // messages after the step, if it ran and is a jq step

	// InPlace says that a plan did the step on the message's bytes (RunOn), so
	// that there is no Body.
	InPlace bool
	// Took is how long the step ran, zero if nobody timed it. A plan does all of
	// its steps at once: the first of them has the time of all.
	Took time.Duration
}

// Reject is the answer of a reject step, with defaults set: 403 and
// PERMISSION_DENIED, each derived from the other where only one is given.
type Reject struct {
	Step    string // request[2].reject
	Status  int
	GRPC    Code
	Message string

	Reason     Reason        // what x-sluice-error says; "": rejected
	RetryAfter time.Duration // 0: nothing is said of it
}

// Reason is why a step failed: a metric label, a log field and the tail of the
// x-sluice-error header.
type Reason string

// The reasons.
const (
	ReasonRuntime   Reason = "jq_error"        // the program raised an error
	ReasonNoResult  Reason = "jq_no_result"    // empty where one message is needed
	ReasonMany      Reason = "jq_many_results" // several where one message is needed
	ReasonBudget    Reason = "jq_budget"       // over limits.steps or limits.time, or an output too large
	ReasonPanic     Reason = "panic"
	ReasonNotBool   Reason = "not_boolean"  // a condition that is neither true nor false
	ReasonHead      Reason = "bad_head"     // a head step left something that is no head
	ReasonTrailers  Reason = "bad_trailers" // a trailers step left something that are no trailers
	ReasonFormat    Reason = "skipped_format"
	ReasonDecode    Reason = "decode"
	ReasonEncode    Reason = "encode"
	ReasonTooLarge  Reason = "too_large"
	ReasonNoSchema  Reason = "no_descriptor"
	ReasonStatus    Reason = "status_unknown" // $response.grpc_status where it is not known before the end
	ReasonEncoding  Reason = "content_encoding"
	ReasonNoKey     Reason = "bad_key"      // a rate limit's key that is an array or an object
	ReasonLimited   Reason = "rate_limited" // of a [Reject]
	ReasonFault     Reason = "fault"        // of a [Reject]
	ReasonCancelled Reason = "cancelled"
	ReasonAmbiguous Reason = "ambiguous_path" // servers disagree about the path, and a route guards one of its readings: 400
)

// StepError is a step, condition or conversion that failed. Its text names
// route, step and reason and shows no payload.
type StepError struct {
	Route  *Route
	Step   string // request[0].jq, match.where, request (for decode and encode)
	Reason Reason
	Err    error // the cause, for logs
}

func (e *StepError) Error() string {
	if e.Route == nil {
		return e.Step + ": " + string(e.Reason)
	}
	return e.Route.Name() + "/" + e.Step + ": " + string(e.Reason)
}

func (e *StepError) Unwrap() error { return e.Err }
