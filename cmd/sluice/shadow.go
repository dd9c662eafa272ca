package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/admin"
)

// shadows are what the routes in shadow would have done, by name.
func (s *sidecar) shadows(ctx context.Context) map[string]admin.Shadow {
	states := make(map[string]admin.Shadow)
	for _, state := range s.proxy.Shadows() {
		since := state.Since
		shadow := admin.Shadow{Since: &since, Counts: make(map[string]uint64), Steps: []admin.ShadowStep{}}
		for outcome, n := range state.Counts {
			shadow.Counts[string(outcome)] = n
		}
		counts := state.Counts
		differs := counts[proxy.ShadowChange] + counts[proxy.ShadowReject]
		if shadow.Exchanges = differs + counts[proxy.ShadowUnchanged] + counts[proxy.ShadowError]; shadow.Exchanges > 0 {
			shadow.Rate = float64(differs) / float64(shadow.Exchanges)
		}
		for _, step := range state.Steps {
			mean := float64(step.Total.Nanoseconds()) / float64(step.Count) / 1e6
			shadow.Steps = append(shadow.Steps, admin.ShadowStep{Step: step.Step, Count: step.Count, MeanMS: mean, MaxMS: float64(step.Max.Nanoseconds()) / 1e6})
		}
		if e := state.Last; e != nil {
			shadow.Last = &admin.ShadowLast{
				Exchange: e.Exchange, Outcome: string(e.Outcome), Reason: e.Reason, Step: e.Step, Differences: s.tap.Differences(ctx, e),
			}
		}
		states[state.Route] = shadow
	}
	return states
}

// writeShadow writes what a route in shadow would have done, line by line.
func writeShadow(w io.Writer, s *admin.Shadow) {
	if s.Since == nil {
		fmt.Fprintf(w, "shadow\tno exchange so far\n")
		return
	}
	var others []string
	for _, outcome := range []proxy.ShadowOutcome{proxy.ShadowChange, proxy.ShadowReject, proxy.ShadowError, proxy.ShadowSkipped, proxy.ShadowOutranked} {
		if n := s.Counts[string(outcome)]; n > 0 {
			others = append(others, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	if others == nil {
		others = []string{"all unchanged"}
	}
	fmt.Fprintf(w, "shadow\t%d exchanges: %s (%s)\n", s.Exchanges, strings.Join(others, ", "), rateOf(s))
	for _, step := range s.Steps {
		fmt.Fprintf(w, "  %s\t%d times, %.3f ms on average, %.3f ms at most\n", printable(step.Step), step.Count, step.MeanMS, step.MaxMS)
	}
	if last := s.Last; last != nil {
		text := strings.Join(append(slices.DeleteFunc([]string{last.Outcome, last.Reason, last.Step}, func(s string) bool { return s == "" }), last.Differences...), ", ")
		fmt.Fprintf(w, "  last\t%s; sluice explain %s\n", printable(text), printable(last.Exchange))
	}
}

// rateOf is how often the route would have made a difference.
func rateOf(s *admin.Shadow) string {
	return fmt.Sprintf("%.1f%% would differ", 100*s.Rate)
}

// modeOf says whether a route acts.
func modeOf(r *admin.Route) string {
	switch {
	case r.Shadow == nil:
		return "-"
	case r.Shadow.Exchanges == 0:
		return "0 exchanges"
	}
	text := fmt.Sprintf("%s of %d", rateOf(r.Shadow), r.Shadow.Exchanges)
	if n := r.Shadow.Counts[string(proxy.ShadowError)]; n > 0 {
		text += fmt.Sprintf(", %d failed", n)
	}
	return text
}

// explainedShadow is what a route in shadow would have done.
type explainedShadow struct {
	Route, Outcome, Reason, Step string
	Differences                  []string
	Steps                        []explainedStep
}

// shadow prints what a route in shadow would have done, nil for none.
func (p *explainPrinter) shadow(s *explainedShadow) {
	if s == nil {
		return
	}
	outcome := strings.ReplaceAll(s.Outcome, "_", " ")
	text := strings.Join(slices.DeleteFunc([]string{outcome, s.Reason, s.Step}, func(s string) bool { return s == "" }), ", ")
	fmt.Fprintf(&p.b, "in shadow: %s: %s\n", printable(s.Route), printable(text))
	for _, place := range s.Differences {
		fmt.Fprintf(&p.b, "  %s\n", printable(place))
	}
}
