package telemetry

import (
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// exchangeKey is the labels of an exchange's metrics.
type exchangeKey struct {
	route     string
	direction rules.Direction
	protocol  proxy.Protocol
	class     string
	grpc      rules.Code
}

// exchangeMetrics are the metrics of every exchange with one key.
type exchangeMetrics struct {
	count    prometheus.Counter
	duration prometheus.Observer
}

// messageKey is the labels of a stream's messages.
type messageKey struct {
	route            string
	upstream, edited bool
}

// stepKey is the labels of a step's counter.
type stepKey struct{ route, step, result string }

func (m *Metrics) exchange(e *proxy.Record) {
	hint := len(e.Route) + e.Status/100 + len(e.Call.Direction) + len(e.Protocol) + len(e.GRPCStatus)
	found := m.byExchange.get(exchangeKey{e.Route, e.Call.Direction, e.Protocol, class(e.Status), boundedCode(e.GRPCStatus)}, hint)
	found.count.Inc()
	found.duration.Observe(e.Duration.Seconds())
	if e.Error != nil {
		m.errors.WithLabelValues(e.Route, string(e.Error.Origin), e.Error.Reason).Inc()
	}
	if e.Answered != "" {
		m.answered.WithLabelValues(e.Route, e.Answered).Inc()
	}
	m.countSteps(e.Route, e.Request.Steps)
	m.countSteps(e.Route, e.Response.Steps)
}

func (m *Metrics) countSteps(route string, steps []rules.StepReport) {
	for i := range steps {
		m.byStep.get(stepKey{route, steps[i].Step, steps[i].Result}, i+len(steps[i].Result)).Inc()
	}
}

func (m *Metrics) message(e *proxy.Message) {
	hint := len(e.Route)
	if e.Upstream {
		hint++
	}
	m.byMessage.get(messageKey{e.Route, e.Upstream, e.Edited}, hint).Inc()
	m.countSteps(e.Route, e.Steps)
}

func (m *Metrics) resolveExchange(k exchangeKey) *exchangeMetrics {
	return &exchangeMetrics{
		count:    m.exchanges.WithLabelValues(k.route, string(k.direction), string(k.protocol), k.class, string(k.grpc)),
		duration: m.durations.WithLabelValues(k.route, string(k.direction), string(k.protocol)),
	}
}

func (m *Metrics) resolveStep(k stepKey) prometheus.Counter {
	return m.steps.WithLabelValues(k.route, k.step, k.result)
}

func (m *Metrics) resolveMessage(k messageKey) prometheus.Counter {
	from := "caller"
	if k.upstream {
		from = "upstream"
	}
	return m.messages.WithLabelValues(k.route, from, strconv.FormatBool(k.edited))
}

// resolved holds metrics by their labels, so that the data path looks up one
// key without a lock and without allocating. The map is replaced as a whole.
// Before it are the keys of late, since most are one of few and comparing is
// several times as fast as hashing.
type resolved[K comparable, V any] struct {
	resolve func(K) V
	late    [32]atomic.Pointer[labelled[K, V]]
	found   atomic.Pointer[map[K]*labelled[K, V]]
	mu      sync.Mutex // held while replacing
}

type labelled[K comparable, V any] struct {
	key   K
	value V
}

// get returns what key resolves to. The hint is the same for the same key, and
// well another one for another key.
func (r *resolved[K, V]) get(key K, hint int) V {
	late := &r.late[uint(hint)%uint(len(r.late))]
	if l := late.Load(); l != nil && l.key == key {
		return l.value
	}
	var l *labelled[K, V]
	if m := r.found.Load(); m != nil {
		l = (*m)[key]
	}
	if l == nil {
		l = r.add(key)
	}
	late.Store(l)
	return l.value
}

func (r *resolved[K, V]) add(key K) *labelled[K, V] {
	r.mu.Lock()
	defer r.mu.Unlock()
	grown := map[K]*labelled[K, V]{}
	if m := r.found.Load(); m != nil {
		if l := (*m)[key]; l != nil {
			return l
		}
		grown = maps.Clone(*m)
	}
	l := &labelled[K, V]{key, r.resolve(key)}
	grown[key] = l
	r.found.Store(&grown)
	return l
}

// class is the class of a status.
func class(status int) string {
	switch {
	case status == 0:
		return "reset"
	case status < 200:
		return "1xx"
	case status < 300:
		return "2xx"
	case status < 400:
		return "3xx"
	case status < 500:
		return "4xx"
	case status < 600:
		return "5xx"
	}
	return "other" // the upstream chooses: 600 to 999 parse as well
}

// boundedCode keeps what an upstream made up out of the labels.
func boundedCode(c rules.Code) rules.Code {
	if c == "" {
		return ""
	}
	if _, ok := c.Number(); !ok {
		return "UNKNOWN"
	}
	return c
}

// mostBreakers bounds the breakers that have a state metric: a route without
// a destination of its own has a breaker for every address that is called.
const mostBreakers = 1000

// breakerStates are the states that a breaker's metric tells apart.
func breakerStates() [4]string { return [4]string{"closed", "half_open", "open", "forced_open"} }

func (m *Metrics) breaker(e *proxy.BreakerChange) {
	m.changes.WithLabelValues(routeOf(e.Name), e.To).Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.known[e.Name]; !ok && len(m.known) >= mostBreakers && !m.forgetClosed() {
		return
	}
	m.known[e.Name] = e.To
	for _, state := range breakerStates() {
		value := 0.0
		if state == e.To {
			value = 1
		}
		m.breakers.WithLabelValues(e.Name, state).Set(value)
	}
}

// forgetClosed makes room for a breaker by dropping one that is closed.
func (m *Metrics) forgetClosed() bool {
	for name, state := range m.known {
		if state == "closed" {
			delete(m.known, name)
			m.breakers.DeletePartialMatch(prometheus.Labels{"breaker": name})
			return true
		}
	}
	return false
}

// routeOf is the route of a breaker's name, route@host:port.
func routeOf(name string) string {
	if at := strings.LastIndexByte(name, '@'); at >= 0 {
		return name[:at]
	}
	return name
}
