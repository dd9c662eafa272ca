package admin

import "net/http"

// HealthConfig is what [NewHealth] answers from.
type HealthConfig struct {
	// Ready reports whether traffic should come, and if not, why: "draining",
	// "no rules yet". Nil is always ready.
	Ready   func() (ok bool, reason string)
	Metrics http.Handler // of /metrics; nil: 404
}

// NewHealth returns the handler of the health port: /healthz/live,
// /healthz/ready and /metrics. It reveals nothing of traffic and changes nothing.
func NewHealth(c HealthConfig) http.Handler {
	type health struct {
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz/live", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, health{Status: "live"})
	})
	mux.HandleFunc("GET /healthz/ready", func(w http.ResponseWriter, _ *http.Request) {
		if c.Ready != nil {
			if ok, reason := c.Ready(); !ok {
				writeJSON(w, http.StatusServiceUnavailable, health{"not ready", reason})
				return
			}
		}
		writeJSON(w, http.StatusOK, health{Status: "ready"})
	})
	if c.Metrics != nil {
		mux.Handle("GET /metrics", c.Metrics)
	}
	return mux
}
