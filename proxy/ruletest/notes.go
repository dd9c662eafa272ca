package ruletest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// ending says in a few words how an exchange ended that did not go its whole way.
func ending(c *rules.Case, e *proxy.Explanation) string {
	r := e.Record
	switch a := e.Answer; {
	case a != nil && r.Rejected():
		status := strconv.Itoa(a.Status)
		if a.GRPC != "" {
			status = string(a.GRPC)
		}
		if a.Message != "" {
			status += ", " + a.Message
		}
		step, _, _ := strings.Cut(a.Error, "; ")
		return fmt.Sprintf("%s rejects (%s)", step, status)
	case a != nil && r.Error != nil && r.Error.Err != nil:
		return fmt.Sprintf("%s: %v", a.Error, r.Error.Err)
	case a != nil:
		return a.Error
	case r.Answered == "fallback":
		return "the breaker is open, and its fallback answers"
	case r.Route == "":
		return "the request meets no route" + whyNot(c, e)
	case r.Route != c.Route.Name():
		return "the request meets the route " + r.Route + whyNot(c, e)
	}
	return "the exchange passes"
}

// whyNot says why the case's own route lost.
func whyNot(c *rules.Case, e *proxy.Explanation) string {
	for _, candidate := range e.Candidates {
		if candidate.Route.Name() != c.Route.Name() {
			continue
		}
		why := ": " + c.Route.Name() + " is " + map[rules.Fate]string{
			rules.PassedOver: "passed over for its ", rules.Outranked: "outranked: ", rules.Unmatched: "not matched by its ",
			rules.TurnedOff: "off", rules.Failed: "failed by ",
		}[candidate.Fate]
		if candidate.Fate != rules.TurnedOff {
			why += candidate.Why
		}
		if candidate.Want != "" {
			why += fmt.Sprintf(" (it wants %s, and there is %q)", candidate.Want, candidate.Got)
		}
		return why
	}
	return ""
}

// notes are what may explain that a case failed: another route, and steps that
// failed and let the message pass.
func notes(c *rules.Case, g *got) (out []string) {
	r := g.Record
	if r.Route != c.Route.Name() {
		out = append(out, ending(c, g.Explanation))
	}
	if r.Error != nil && g.Answer != nil && r.Error.Origin == proxy.OriginRule {
		out = append(out, ending(c, g.Explanation))
	}
	if r.Error != nil && g.Answer == nil {
		out = append(out, fmt.Sprintf("%s failed, and on_error lets the message pass: %s: %v", r.Error.Step, r.Error.Reason, r.Error.Err))
	}
	return out
}
