package rules

import (
	"context"
	"time"

	"github.com/sluice-proxy/sluice/codec"
)

// File is the text of one rule file.
type File struct {
	Name string // as problems show it: rules/orders.create.yaml
	Text []byte
}

// Set is a compiled directory of rule files. It is immutable and safe for
// concurrent use. The zero Set has no routes: everything passes untouched.
type Set struct{ routes []*Route }

// Compile parses, validates and compiles files. The Set is nil if one of the
// problems is an error; warnings leave it usable. All problems of all files are
// returned, in file order.
func Compile(files []File) (*Set, []Problem) { panic("not yet") }

// Routes returns the routes in file order. The caller must not change the slice.
func (s *Set) Routes() []*Route { return s.routes }

// Hash identifies the text the set was compiled from, in short hex.
func (s *Set) Hash() string { panic("not yet") }

// CanTouch reports whether a route could match an exchange of a connection in
// direction d to port. Where it answers false, nothing needs to be looked at.
func (s *Set) CanTouch(d Direction, port uint16) bool { panic("not yet") }

// CanAnswer reports whether a route that could match such an exchange may
// answer it without its upstream (fallback, reject), so that a refused dial
// has to wait for the head instead of being mirrored as a reset.
func (s *Set) CanAnswer(d Direction, port uint16) bool { panic("not yet") }

// Match is the outcome of matching one request.
type Match struct {
	Route  *Route            // nil: no route; the exchange passes untouched
	Params map[string]string // the wildcards of the http pattern, unescaped
	Passed []Passed          // more specific candidates that were passed over, in the order tried
}

// Passed is a candidate that did not match although its pattern did.
type Passed struct {
	Route *Route
	Why   string // the condition that failed: "headers.x-tenant", "where", "port"
}

// Match finds the route of q by its head alone. An error is a [*StepError]: the
// where of a candidate failed. Its Route says whether on_error rejects; the
// candidate counts as matched.
func (s *Set) Match(ctx context.Context, q *Request, now time.Time) (Match, error) {
	panic("not yet")
}

// OnError is what happens to an exchange whose step failed.
type OnError string

// The choices of on_error.
const (
	OnErrorReject OnError = "reject" // the default: answer with a typed error
	OnErrorPass   OnError = "pass"   // the original goes on untouched
)

// Limits are the bounds of a route. [Compile] has set every default.
type Limits struct {
	Body    codec.Bytes   // of an HTTP body kept for a rule; 8 MiB
	Message codec.Bytes   // of one gRPC message; 4 MiB
	Steps   int64         // jq instructions of one program run; 5,000,000
	Time    time.Duration // of one program run, a backstop; 1 s
}

// Route is one compiled rule file. It is immutable.
type Route struct {
	name     string
	request  *Steps
	response *Steps
	breaker  *Breaker
	onError  OnError
	limits   Limits
	position Position
}

// Name is the route's label in tap, logs and metrics.
func (r *Route) Name() string { return r.name }

// Position is where the route stands.
func (r *Route) Position() Position { return r.position }

// Request returns the request's steps, nil if the route leaves requests alone.
func (r *Route) Request() *Steps { return r.request }

// Response returns the response's steps, nil if the route leaves responses alone.
func (r *Route) Response() *Steps { return r.response }

// Breaker returns the upstream's breaker, nil if the route has none.
func (r *Route) Breaker() *Breaker { return r.breaker }

// OnError says what happens when a step fails or a body is over a limit.
func (r *Route) OnError() OnError { return r.onError }

// Limits returns the route's bounds with all defaults set.
func (r *Route) Limits() Limits { return r.limits }
