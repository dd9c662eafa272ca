package admin

import (
	"context"
	"time"

	"github.com/sluice-proxy/sluice/rules"
)

// Shadow is what a route in shadow would have done so far.
type Shadow struct {
	Since     *time.Time        `json:"since,omitempty"` // its first exchange; absent: there was none
	Exchanges uint64            `json:"exchanges"`       // that its steps ran on
	Rate      float64           `json:"rate"`            // of them, the part that would have been changed or rejected
	Counts    map[string]uint64 `json:"counts"`          // by outcome: would_change, unchanged, would_reject, error, skipped, outranked
	Steps     []ShadowStep      `json:"steps"`
	Last      *ShadowLast       `json:"last,omitempty"`
}

// ShadowStep is how a step of a route in shadow ran.
type ShadowStep struct {
	Step   string  `json:"step"`
	Count  uint64  `json:"count"`
	MeanMS float64 `json:"mean_ms"`
	MaxMS  float64 `json:"max_ms"`
}

// ShadowLast is the last sample of an exchange that would have gone otherwise.
type ShadowLast struct {
	Exchange    string   `json:"exchange"` // its id: GET /exchanges/{id} has the values
	Outcome     string   `json:"outcome"`
	Reason      string   `json:"reason,omitempty"`
	Step        string   `json:"step,omitempty"`
	Differences []string `json:"differences,omitempty"` // names and paths, without values
}

// describe describes routes, those in shadow with what they would have done.
func (s *Server) describe(ctx context.Context, routes ...*rules.Route) []Route {
	list := make([]Route, 0, len(routes))
	var shadows map[string]Shadow
	for _, r := range routes {
		d := describe(r)
		if r.Shadow() {
			if shadows == nil && s.config.Shadows != nil {
				shadows = s.config.Shadows(ctx)
			}
			shadow := shadows[r.Name()]
			d.Shadow = &shadow
		}
		list = append(list, d)
	}
	return list
}
