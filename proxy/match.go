package proxy

import (
	"errors"

	"github.com/sluice-proxy/sluice/rules"
)

// match finds the route by the head alone. No route is no error: the exchange
// passes untouched. What is hidden from the caller has none.
func (x *exchange) match() error {
	if x.malformed != nil {
		return x.malformed
	}
	if err := x.c.hidden(x.request.in); err != nil {
		return err
	}
	m, err := x.matched()
	x.route, x.params = m.Route, m.Params
	x.record.Passed = m.Passed
	if x.route != nil {
		x.record.Route = x.route.Name()
		x.hides(x.route.Redact())
	}
	x.shadow() // shadow.go
	if err != nil {
		return x.matchFailed(err)
	}
	return nil
}

// matchFailed is a candidate whose where failed, or an ambiguous path.
func (x *exchange) matchFailed(err error) error {
	var failed *rules.StepError
	if !errors.As(err, &failed) {
		return err
	}
	x.route = failed.Route
	x.record.Route = failed.Route.Name()
	x.hides(failed.Route.Redact())
	return x.onError(failed, func() { x.route = nil })
}

// onError decides about a step that failed: with on_error: pass it notes the
// failure, has pass put the original back, and the exchange goes on.
func (x *exchange) onError(failed *rules.StepError, pass func()) error {
	if failed.Route.OnError() != rules.OnErrorPass {
		return failed
	}
	x.mu.Lock()
	x.record.Error = asError(failed)
	x.mu.Unlock()
	pass()
	return nil
}
