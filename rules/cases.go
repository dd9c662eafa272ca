package rules

import (
	"time"

	"github.com/sluice-proxy/sluice/codec"
)

// Case is one case of a rule file's tests: an exchange, and what is to come of
// it. Who runs it has the set, the formats and the breakers.
type Case struct {
	Name     string   // "case 3" if the file gives it none
	Route    *Route   // whose file has it
	Position Position // of the case
	Index    int      // among the cases of its file, from zero

	Now         time.Time // of the exchange
	Descriptors []string  // files and directories, as the file has them: relative to it
	Direction   Direction
	Port        uint16 // of the destination

	Request  CaseMessage
	Response *CaseMessage  // nil: the request alone is looked at
	Outcomes []CaseOutcome // of exchanges before it
	Expect   *Expected     // nil: the file does not say it
}

// CaseMessage is a head and what stands behind it. What the file does not say of
// a request's head follows from the route's match; its fields are those of the
// file and of match.
type CaseMessage struct {
	Head *Head
	GRPC Code // of a call's response; "" for OK
	Body CaseBody

	Trailers Fields // of a response
}

// CaseBody is a body in one of the ways in which a case can say it. The zero
// CaseBody is none.
type CaseBody struct {
	Given    bool
	Value    codec.Value   // as jq sees it
	Text     *string       // not nil: the very text, and no Value
	Messages []codec.Value // not nil: of a stream, and no Value
}

// CaseOutcome is how an exchange with the upstream ends.
type CaseOutcome struct {
	CaseMessage
	Error    string // why there was no response; "" if there was one
	Duration time.Duration
	Times    int // so many of them
}

// Expected is what a case wants. Absent parts are nil, false and "": they may be
// anything.
type Expected struct {
	Unchanged         bool
	Request, Response *ExpectedMessage
	Messages          []codec.Value
	Reject            *ExpectedReject
	Breaker           string // closed, open
}

// Exchange reports whether the case wants anything of an exchange after its
// outcomes.
func (e *Expected) Exchange() bool {
	return e.Unchanged || e.Request != nil || e.Response != nil || e.Messages != nil || e.Reject != nil
}

// ExpectedMessage is what a case wants of a request or a response: of its head
// what is named, its body as a whole.
type ExpectedMessage struct {
	Method, Path, Host string // "": anything
	Status             int    // 0: anything
	GRPC               Code   // "": anything
	Query, Headers     []ExpectedValue
	Trailers           []ExpectedValue
	Body               CaseBody
}

// ExpectedValue is a value, or several, of one name. None means that the name is
// not to be there.
type ExpectedValue struct {
	Name   string // of a header in lower case
	Values []string
	List   bool // the values one by one, else joined
}

// ExpectedReject is what a case wants of a rejection.
type ExpectedReject struct {
	Status  int    // 0: anything
	GRPC    Code   // "": anything
	Message string // "": anything
	Step    string // "": anything
}

// CaseNow is the instant of cases that do not say theirs.
func CaseNow() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// Cases returns the cases of the route's file, in order. The caller must not
// change the slice.
func (r *Route) Cases() []*Case { return r.cases }
