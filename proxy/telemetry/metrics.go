// Package telemetry turns what happens into metrics and log lines. [Metrics]
// and [Log] are observers; [Writer] keeps a stalled log from holding up anything.
//
// Names and labels of metrics are API, held by a golden test. Labels are
// bounded: routes, reasons and step names come from rule files and constants;
// no path, user or header ever is one. What nobody bounds, a breaker's
// destination, is cut off at a number.
package telemetry

import (
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-proxy/sluice/proxy"
)

// MetricsConfig configures [NewMetrics].
type MetricsConfig struct {
	Version    string        // of Sluice
	TapDropped func() uint64 // events that readers of the tap lost; nil: none
	LogDropped func() uint64 // lines that the log lost; nil: none
}

// Metrics is a [proxy.Observer] with Prometheus metrics in a registry of its
// own. Make one with [NewMetrics].
type Metrics struct {
	registry *prometheus.Registry

	exchanges *prometheus.CounterVec
	durations *prometheus.HistogramVec
	errors    *prometheus.CounterVec
	answered  *prometheus.CounterVec
	steps     *prometheus.CounterVec
	messages  *prometheus.CounterVec
	shadows   *prometheus.CounterVec
	shadowing *prometheus.HistogramVec

	opened *prometheus.CounterVec
	closed *prometheus.CounterVec
	active *prometheus.GaugeVec
	bytes  *prometheus.CounterVec

	changes  *prometheus.CounterVec
	breakers *prometheus.GaugeVec

	reloads    *prometheus.CounterVec
	generation prometheus.Gauge
	routes     prometheus.Gauge
	rulesInfo  *prometheus.GaugeVec
	loaded     prometheus.Gauge
	succeeded  prometheus.Gauge

	byExchange resolved[exchangeKey, *exchangeMetrics]
	byStep     resolved[stepKey, prometheus.Counter]
	byMessage  resolved[messageKey, prometheus.Counter]

	mu    sync.Mutex        // guards known
	known map[string]string // breakers that have a state metric, and their state
}

var _ proxy.Observer = (*Metrics)(nil)

// NewMetrics returns metrics that have seen nothing.
func NewMetrics(c MetricsConfig) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), known: map[string]string{}}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	lost := func(name, help string, f func() uint64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 {
			if f == nil {
				return 0
			}
			return float64(f())
		}))
	}

	m.exchanges = counter("sluice_exchanges_total", "Finished exchanges. Route is empty where none matched; status is a class, or reset.", "route", "direction", "protocol", "status", "grpc_status")
	m.durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sluice_exchange_duration_seconds", Help: "From the request's head to the response's end.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"route", "direction", "protocol"})
	m.registry.MustRegister(m.durations)
	m.errors = counter("sluice_exchange_errors_total", "Exchanges that failed, by the side at fault and the reason.", "route", "origin", "reason")
	m.answered = counter("sluice_answered_total", "Exchanges that Sluice answered itself: by reject, rate_limit, fault, fallback, breaker or error.", "route", "by")
	m.steps = counter("sluice_steps_total", "Steps of rules, by what they did.", "route", "step", "result")
	m.messages = counter("sluice_stream_messages_total", "Messages of streams that passed a route's steps, from caller or upstream.", "route", "from", "edited")

	m.shadows = counter("sluice_shadow_total", "Exchanges past a route in shadow, by what it would have done: would_change, unchanged, would_reject, error, skipped, outranked. Reason is that of error and skipped.", "route", "outcome", "reason")
	m.shadowing = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sluice_shadow_step_duration_seconds", Help: "How long steps of routes in shadow ran.",
		Buckets: []float64{.000001, .00001, .0001, .001, .01, .1, 1},
	}, []string{"route", "step"})
	m.registry.MustRegister(m.shadowing)

	m.opened = counter("sluice_connections_opened_total", "Accepted connections.", "direction")
	m.closed = counter("sluice_connections_closed_total", "Ended connections. Reason is empty for a clean end.", "direction", "protocol", "lane", "reason")
	m.active = gauge("sluice_connections_active", "Open connections.", "direction")
	m.bytes = counter("sluice_connection_bytes_total", "Bytes of spliced connections, from caller or upstream, counted at their end.", "direction", "protocol", "from")

	m.changes = counter("sluice_breaker_changes_total", "Changes of circuit breakers to a state.", "route", "to")
	m.breakers = gauge("sluice_breaker_state", "1 for the state a circuit breaker is in, 0 for the others; of breakers that ever changed.", "breaker", "state")

	m.reloads = counter("sluice_rules_reloads_total", "Times that rule files were read: live, refused for problems, or unreadable.", "result")
	m.generation = gauge("sluice_rules_generation", "Generation of the rule set in force.").WithLabelValues()
	m.routes = gauge("sluice_rules_routes", "Routes of the rule set in force.").WithLabelValues()
	m.rulesInfo = gauge("sluice_rules_info", "1 for the hash of the rule set in force.", "hash")
	m.loaded = gauge("sluice_rules_last_reload_timestamp_seconds", "When rule files were read last.").WithLabelValues()
	m.succeeded = gauge("sluice_rules_last_reload_success", "1 if what was read last is in force.").WithLabelValues()

	lost("sluice_tap_dropped_events_total", "Events that readers of the tap lost for being slow.", c.TapDropped)
	lost("sluice_log_dropped_lines_total", "Log lines lost because nobody took them.", c.LogDropped)
	gauge("sluice_build_info", "1 for the version that runs.", "version", "goversion").WithLabelValues(c.Version, runtime.Version()).Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	m.byExchange.resolve = m.resolveExchange
	m.byStep.resolve = m.resolveStep
	m.byMessage.resolve = m.resolveMessage
	return m
}

// Handler serves /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, EnableOpenMetrics: true})
}

// Observe implements [proxy.Observer].
func (m *Metrics) Observe(e proxy.Event) {
	switch e := e.(type) {
	case *proxy.Record:
		m.exchange(e)
	case *proxy.Message:
		m.message(e)
	case *proxy.Shadowed:
		m.shadow(e)
	case *proxy.ConnOpened:
		m.opened.WithLabelValues(string(e.Direction)).Inc()
		m.active.WithLabelValues(string(e.Direction)).Inc()
	case *proxy.ConnClosed:
		m.connClosed(e)
	case *proxy.BreakerChange:
		m.breaker(e)
	case *proxy.Reload:
		m.reload(e)
	}
}

func (m *Metrics) shadow(e *proxy.Shadowed) {
	m.shadows.WithLabelValues(e.Route, string(e.Outcome), e.Reason).Inc()
	for i := range e.Steps {
		m.shadowing.WithLabelValues(e.Route, e.Steps[i].Step).Observe(e.Steps[i].Took.Seconds())
	}
}

func (m *Metrics) connClosed(e *proxy.ConnClosed) {
	direction, protocol, reason := string(e.Direction), string(e.Protocol), ""
	if e.Error != nil {
		reason = e.Error.Reason
	}
	m.active.WithLabelValues(direction).Dec()
	m.closed.WithLabelValues(direction, protocol, string(e.Lane), reason).Inc()
	if e.Lane == proxy.LaneSplice {
		m.bytes.WithLabelValues(direction, protocol, "caller").Add(float64(max(0, e.Sent)))
		m.bytes.WithLabelValues(direction, protocol, "upstream").Add(float64(max(0, e.Received)))
	}
}

func (m *Metrics) reload(e *proxy.Reload) {
	result, success := "live", 1.0
	switch {
	case e.Live:
		m.routes.Set(float64(e.Routes))
		m.rulesInfo.Reset()
		m.rulesInfo.WithLabelValues(e.Hash).Set(1)
	case e.Err != nil:
		result, success = "unreadable", 0
	default:
		result, success = "refused", 0
	}
	m.reloads.WithLabelValues(result).Inc()
	m.generation.Set(float64(e.Generation))
	m.loaded.Set(float64(e.At.UnixNano()) / float64(time.Second))
	m.succeeded.Set(success)
}
