package rules

import (
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules/internal/pattern"
)

// File is the text of one rule file.
type File struct {
	Name string // as problems show it: rules/orders.create.yaml
	Text []byte
}

// Set is a compiled directory of rule files. It is immutable and safe for
// concurrent use. The zero Set has no routes: everything passes untouched.
type Set struct {
	routes  []*Route
	hash    string
	index   index  // of the routes that act
	shadows *index // of those in shadow; nil if there are none
}

// Routes returns the routes in file order. The caller must not change the slice.
func (s *Set) Routes() []*Route { return s.routes }

// Hash identifies the text the set was compiled from, in short hex.
func (s *Set) Hash() string { return s.hash }

// Match is the outcome of matching one request.
type Match struct {
	Route  *Route // nil: no route; the exchange passes untouched
	Params Params // of its http pattern
	// Passed are more specific candidates that were passed over, in the order
	// tried. Where many routes share a pattern, those that ask for another host,
	// port or header value are not among them.
	Passed []Passed
}

// Params are the wildcards of an http pattern and what they stand for. The zero
// Params are none.
type Params struct {
	pattern *pattern.Pattern
	path    string
}

// Map returns what stands in the path for each wildcard, unescaped; nil for none.
func (p Params) Map() map[string]string {
	if p.pattern == nil {
		return nil
	}
	return p.pattern.Params(p.path)
}

// Passed is a candidate that did not match although its pattern did.
type Passed struct {
	Route *Route
	Why   string // the condition that failed: "headers.x-tenant", "where", "port"
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
	Steps   int64         // jq instructions of all steps on one message, and of each other program; 5,000,000
	Time    time.Duration // of one program run, a backstop; 1 s
}

// Route is one compiled rule file. It is immutable.
type Route struct {
	name                   string
	off                    bool // checked only: mode is off
	shadow                 bool // mode is shadow
	match                  conditions
	request                *Steps
	response               *Steps
	trailers               *Trailers
	breaker                *Breaker
	timeout                Timeout
	format, upstreamFormat Format
	onError                OnError
	limits                 Limits
	redact                 *Redact
	rateLimit              *RateLimit
	fault                  *Fault
	position               Position
	cases                  []*Case

	outbound *Route // what it is for outbound exchanges; nil: the same
}

// in is the route as exchanges of direction d meet it.
func (r *Route) in(d Direction) *Route {
	if d == Outbound && r.outbound != nil {
		return r.outbound
	}
	return r
}

// Name is the route's label in tap, logs and metrics.
func (r *Route) Name() string { return r.name }

// Position is where the route stands.
func (r *Route) Position() Position { return r.position }

// Request returns the request's steps, nil if the route leaves requests alone.
func (r *Route) Request() *Steps { return r.request }

// Response returns the response's steps, nil if the route leaves responses alone.
func (r *Route) Response() *Steps { return r.response }

// Trailers returns the steps over the response's trailers, nil if the route leaves
// them alone.
func (r *Route) Trailers() *Trailers { return r.trailers }

// Timeout is how long a route waits for its upstream. Zero is for ever.
type Timeout struct {
	Total   time.Duration // from when the request goes there until the response ends; of a stream, until its head
	Attempt time.Duration // from when the request goes there until the response's head
	Idle    time.Duration // of silence of both sides, until the response ends
}

// Timeout returns how long the route waits for its upstream.
func (r *Route) Timeout() Timeout { return r.timeout }

// Breaker returns the upstream's breaker, nil if the route has none.
func (r *Route) Breaker() *Breaker { return r.breaker }

// RateLimit is how often the route may be used, nil if that is not limited.
func (r *Route) RateLimit() *RateLimit { return r.rateLimit }

// Fault is what is done to the route's exchanges on purpose, nil if nothing is.
func (r *Route) Fault() *Fault { return r.fault }

// Format is the format of bodies whatever their content type says, "" if that is
// right.
func (r *Route) Format() Format { return r.format }

// UpstreamFormat is what the service speaks, "" if it is what the caller speaks.
func (r *Route) UpstreamFormat() Format { return r.upstreamFormat }

// Redact is what of the route's exchanges nobody may see, nil if all of it.
func (r *Route) Redact() *Redact { return r.redact }

// OnError says what happens when a step fails or a body is over a limit.
func (r *Route) OnError() OnError { return r.onError }

// Limits returns the route's bounds with all defaults set.
func (r *Route) Limits() Limits { return r.limits }
