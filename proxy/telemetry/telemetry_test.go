package telemetry

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func record(route string, status int) *proxy.Record {
	head := &rules.Head{Method: "GET", Path: "/v1/orders", Query: "token=s3cret", Host: "orders", Fields: rules.Fields{{Name: "Authorization", Value: "s3cret"}}}
	return &proxy.Record{
		ID: "x1", Protocol: proxy.HTTP1, Lane: proxy.LaneExchange, Route: route, Status: status, Started: noon, Duration: 3 * time.Millisecond,
		Call:    &rules.Request{ID: "x1", Direction: rules.Inbound, Head: head, Peer: netip.MustParseAddrPort("10.0.0.9:4000")},
		Request: proxy.Half{In: head, Out: head, Steps: []rules.StepReport{{Step: "request[0].jq", Result: "ran"}}},
	}
}

func everyEvent() []proxy.Event {
	failed := record("pay", 503)
	failed.Answered, failed.Breaker = "breaker", "pay@pay:80"
	failed.Error = &proxy.Error{Origin: proxy.OriginUpstream, Reason: "refused", Err: errors.New("connection refused")}
	grpc := record("", 200)
	grpc.Protocol, grpc.GRPCStatus = proxy.GRPC, "MADE_UP"
	reset := record("", 0)
	conn := proxy.Conn{ID: "c1", Direction: rules.Outbound, Listener: "outbound", Peer: grpc.Call.Peer, Upstream: "db:5432", Opened: noon}
	return []proxy.Event{
		record("orders", 200), record("orders", 200), failed, grpc, reset,
		&proxy.Message{Route: "orders", Upstream: true, Edited: true, Steps: []rules.StepReport{{Step: "response[0].jq", Result: "failed"}}},
		&proxy.Shadowed{Exchange: "x1", Route: "orders.v2", Outcome: proxy.ShadowChange, Steps: []rules.StepReport{{Step: "request[0].jq", Result: "ran", Took: time.Millisecond}}},
		&proxy.Shadowed{Exchange: "x2", Route: "orders.v2", Outcome: proxy.ShadowError, Reason: "jq_error"},
		&proxy.ConnOpened{Conn: conn}, &proxy.ConnOpened{Conn: conn},
		&proxy.ConnClosed{Conn: conn, Protocol: proxy.Raw, Lane: proxy.LaneSplice, Sent: 10, Received: 20, Duration: time.Second, Error: &proxy.Error{Origin: proxy.OriginUpstream, Reason: "reset"}},
		&proxy.BreakerChange{Name: "pay@pay:80", From: "closed", To: "open", Counts: rules.Counts{Requests: 20, Failures: 11}},
		&proxy.Reload{At: noon, Generation: 2, Hash: "abc", Read: "abc", Routes: 3, Live: true},
		&proxy.Reload{At: noon.Add(time.Second), Generation: 2, Hash: "abc", Read: "abd", Routes: 3, Problems: []rules.Problem{
			{Severity: rules.Warning, Message: "meh"},
			{Position: rules.Position{File: "rules/a.yaml", Line: 3, Column: 5}, Code: "unknown-key", Message: "respnse: unknown key"},
		}},
		&proxy.Reload{At: noon.Add(time.Second), Generation: 2, Hash: "abc", Routes: 3, Err: errors.New("read rules: permission denied")},
	}
}

func scrape(t *testing.T, m *Metrics) []string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	return strings.Split(answer.Body.String(), "\n")
}

func TestMetricsOfEveryEvent(t *testing.T) {
	m := NewMetrics(MetricsConfig{Version: "v1", TapDropped: func() uint64 { return 3 }, LogDropped: func() uint64 { return 4 }})
	for _, e := range everyEvent() {
		m.Observe(e)
	}
	var got strings.Builder
	for _, line := range scrape(t, m) {
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if !strings.HasPrefix(name, "sluice_") || strings.HasPrefix(name, "sluice_build_info{") || strings.Contains(line, "_bucket{") {
			continue
		}
		fmt.Fprintln(&got, line)
	}
	if strings.Contains(got.String(), "s3cret") || strings.Contains(got.String(), "MADE_UP") {
		t.Error("a label shows what is not bounded")
	}
	golden(t, "metrics.golden", []byte(got.String()))
}

func TestProcessAndRuntimeMetricsAreThere(t *testing.T) {
	lines := strings.Join(scrape(t, NewMetrics(MetricsConfig{Version: "v1"})), "\n")
	for _, want := range []string{"go_goroutines ", "process_resident_memory_bytes ", `sluice_build_info{goversion="go1`, "sluice_tap_dropped_events_total 0"} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %s in %s", want, lines)
		}
	}
}

func TestBreakerMetricsAreBounded(t *testing.T) {
	m := NewMetrics(MetricsConfig{})
	count := func() int {
		n := 0
		for _, line := range scrape(t, m) {
			if strings.HasPrefix(line, "sluice_breaker_state{") && strings.Contains(line, `state="open"`) {
				n++
			}
		}
		return n
	}
	for i := range mostBreakers + 50 {
		m.Observe(&proxy.BreakerChange{Name: fmt.Sprintf("r@10.0.0.1:%d", i), To: "open"})
	}
	if got := count(); got != mostBreakers {
		t.Errorf("got %d breakers, want %d", got, mostBreakers)
	}
	m.Observe(&proxy.BreakerChange{Name: "r@10.0.0.1:0", To: "closed"})
	m.Observe(&proxy.BreakerChange{Name: "r@new:80", To: "open"})
	if got := count(); got != mostBreakers || !slices.Contains(scrape(t, m), `sluice_breaker_state{breaker="r@new:80",state="open"} 1`) {
		t.Errorf("got %d breakers; want %d with the new one in place of the closed one", got, mostBreakers)
	}
}

func TestCountingAnExchangeDoesNotAllocate(t *testing.T) {
	m := NewMetrics(MetricsConfig{})
	e := record("orders", 200)
	if n := testing.AllocsPerRun(100, func() { m.Observe(e) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestKeysWithTheSameHintAreToldApart(t *testing.T) {
	r := resolved[string, string]{resolve: func(key string) string { return "of " + key }}
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			for i := range 1000 {
				key := fmt.Sprint(i % 7)
				if got := r.get(key, i%2); got != "of "+key {
					t.Errorf("got %q for %s", got, key)
				}
			}
		})
	}
	done.Wait()
}

// usual is an exchange that no rule looked at and that went well.
func usual() *proxy.Record {
	e := record("", 200)
	e.Request.Steps = nil
	return e
}

func TestTheLogOfErrorsCostsNothingForWhatWentWell(t *testing.T) {
	l, err := NewLog(logger(io.Discard), ExchangesErrors)
	if err != nil {
		t.Fatal(err)
	}
	e := usual()
	if n := testing.AllocsPerRun(100, func() { l.Observe(e) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkObserveUsual(b *testing.B) {
	m := NewMetrics(MetricsConfig{})
	e := usual()
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(e)
	}
}

func BenchmarkLogUsual(b *testing.B) {
	l, err := NewLog(logger(io.Discard), ExchangesErrors)
	if err != nil {
		b.Fatal(err)
	}
	e := usual()
	b.ReportAllocs()
	for b.Loop() {
		l.Observe(e)
	}
}

func BenchmarkObserve(b *testing.B) {
	m := NewMetrics(MetricsConfig{})
	e := record("orders", 200)
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(e)
	}
}

func logger(to io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		return a
	}}))
}

func TestLogOfEveryEvent(t *testing.T) {
	var got bytes.Buffer
	for _, choice := range []Exchanges{ExchangesOff, ExchangesErrors, ExchangesAll} {
		fmt.Fprintf(&got, "-- %s --\n", choice)
		l, err := NewLog(logger(&got), choice)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range everyEvent() {
			l.Observe(e)
		}
	}
	if strings.Contains(got.String(), "s3cret") {
		t.Error("a secret is logged")
	}
	golden(t, "log.golden", got.Bytes())
}

func TestLogRefusesAnUnknownChoice(t *testing.T) {
	if _, err := NewLog(slog.Default(), "some"); err == nil {
		t.Error("got no error")
	}
}

// stalled is a pipe that nobody reads until it is released.
type stalled struct {
	release chan struct{}
	mu      sync.Mutex
	lines   []string
}

func (s *stalled) Write(p []byte) (int, error) {
	<-s.release
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, string(p))
	return len(p), nil
}

func TestAStalledLogBlocksNobodyAndCountsWhatItLost(t *testing.T) {
	to := &stalled{release: make(chan struct{})}
	w := NewWriter(to, 10)
	for i := range 100 {
		fmt.Fprintf(w, "line %d\n", i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v from closing a stalled log, want context.Canceled", err)
	}
	close(to.release)
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
	// The goroutine may have taken one line out of the queue.
	if n, lost := len(to.lines), int(w.Dropped()); n+lost != 100 || n < 10 || n > 11 || to.lines[0] != "line 0\n" {
		t.Errorf("got %d lines and %d lost, want 10 or 11 and the rest", n, lost)
	}
	w.Write([]byte("late"))
	if got := w.Dropped(); got < 90 {
		t.Errorf("a line after Close is not counted: %d", got)
	}
}

// Of connections that carried exchanges, these tell what the log says.
func TestTheLogLeavesConnectionsOfExchangesOut(t *testing.T) {
	var got bytes.Buffer
	l, err := NewLog(logger(&got), ExchangesAll)
	if err != nil {
		t.Fatal(err)
	}
	for _, lane := range []proxy.Lane{proxy.LaneRelay, proxy.LaneExchange} {
		l.Observe(&proxy.ConnClosed{Conn: proxy.Conn{ID: "c1"}, Protocol: proxy.HTTP1, Lane: lane})
	}
	if got.Len() > 0 {
		t.Errorf("got %s", got.String())
	}
	l.Observe(&proxy.ConnClosed{Conn: proxy.Conn{ID: "c1"}, Protocol: proxy.Raw, Lane: proxy.LaneSplice})
	if got.Len() == 0 {
		t.Error("nothing else tells of a raw connection")
	}
}
