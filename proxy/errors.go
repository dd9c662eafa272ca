package proxy

import "fmt"

// Origin is the side that an error comes from.
type Origin string

// The origins.
const (
	OriginCaller   Origin = "caller"
	OriginUpstream Origin = "upstream"
	OriginRule     Origin = "rule"
	OriginSluice   Origin = "sluice"
)

// Error is an exchange or connection that failed. Its reason is the metric
// label, the log field and what x-sluice-error ends with.
type Error struct {
	Origin Origin
	Reason string // refused, unreachable, connect_timeout, timeout, reset, protocol, cancelled, jq_error, too_large ...
	Route  string // "" if none
	Step   string // "" if none
	Err    error  // the cause, for logs; never shown to a caller
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s: %s", e.Origin, e.Reason)
	}
	return fmt.Sprintf("%s: %s: %v", e.Origin, e.Reason, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
