package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/config"
	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/admin"
	"github.com/sluice-proxy/sluice/proxy/tap"
	"github.com/sluice-proxy/sluice/proxy/telemetry"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/watch"
)

// sidecar is the proxy with everything around it, as run and exec need it.
type sidecar struct {
	config  config.Config
	options sidecarOptions
	started time.Time
	reserve []byte // of the heap, held for its size alone

	live    *rules.Live
	watcher *watch.Watcher               // nil without a rules directory
	reload  atomic.Pointer[admin.Reload] // nil without one
	methods *protobuf.Reflection
	tap     *tap.Tap
	metrics *telemetry.Metrics
	writer  *telemetry.Writer
	level   slog.LevelVar
	log     *slog.Logger
	proxy   *proxy.Proxy
	admin   *admin.Server
	health  net.Listener
	all     proxy.Observers

	quit     chan struct{} // closed to end the process after draining
	quitOnce sync.Once
	draining sync.Once
}

// sidecarOptions are what a sidecar needs beside sluice.yaml.
type sidecarOptions struct {
	Listeners []proxy.Listener // the sidecar closes them
	Mark      uint32
	Stderr    io.Writer
	Level     slog.Level
	Command   []string         // of exec, for status
	Observers []proxy.Observer // further ones
}

// newSidecar builds all parts and opens the admin and health ports. Nothing
// serves yet. A rules directory with problems is an [exitError] with
// [exitData], after its problems were printed.
func newSidecar(cfg config.Config, o sidecarOptions) (_ *sidecar, err error) {
	s := &sidecar{config: cfg, options: o, started: time.Now(), live: new(rules.Live), quit: make(chan struct{})}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.reserve = tuneMemory(os.DirFS("/"), int64(cfg.Tap.Memory))
	s.level.Set(o.Level)
	s.writer = telemetry.NewWriter(o.Stderr, 4096)
	s.log = newLogger(s.writer, o.Stderr, &s.level)

	formats := formats()
	if s.methods, err = newReflection(cfg.Reflection, s.log); err != nil {
		return nil, &exitError{Code: exitData, Err: err}
	}
	files, err := loadDescriptors(cfg.Descriptors)
	if err != nil {
		return nil, &exitError{Code: exitData, Err: err}
	}
	memory, capture := cfg.Tap.Memory, cfg.Tap.Body
	if memory == 0 {
		memory, capture = -1, -1
	}
	s.tap = tap.New(tap.Config{
		Memory: memory, Body: cfg.Tap.Body, Codecs: formats, Schemaless: protobuf.Raw(),
		Candidates: s.candidates,
		Describe:   func(ctx context.Context, q *rules.Request) (in, out codec.Codec) { return s.proxy.Describe(ctx, q) },
	})
	s.metrics = telemetry.NewMetrics(telemetry.MetricsConfig{
		Version: buildVersion(), TapDropped: s.tap.Dropped, LogDropped: s.writer.Dropped,
	})
	exchanges, err := telemetry.NewLog(s.log, telemetry.Exchanges(cfg.Log.Exchanges))
	if err != nil {
		return nil, err
	}
	s.all = append(proxy.Observers{s.tap, s.metrics, exchanges}, o.Observers...)
	if err := s.loadRules(protobuf.Sources(files)); err != nil {
		return nil, err
	}
	s.proxy, err = proxy.New(proxy.Config{
		Listeners:         o.Listeners,
		Rules:             s.live,
		Codecs:            formats,
		Methods:           protobuf.Sources(files, s.methods),
		PrivateReflection: cfg.Reflection.Private,
		ExplainToken:      func(given string) bool { return s.admin != nil && s.admin.Allows(given) },
		Observer:          s.all,
		Log:               s.log,
		Mark:              o.Mark,
		Capture:           capture,
	})
	if err != nil {
		return nil, err
	}
	return s, s.openAdmin()
}

// loadRules reads the rules directory for the first time. At the very start
// there is no last good set, so a problem ends the process.
func (s *sidecar) loadRules(descriptors protobuf.Source) error {
	if s.config.Rules == "" {
		return nil
	}
	options := watch.Options{OnResult: s.reloaded}
	if s.config.RequireTests {
		options.Judge = tested(descriptors)
	}
	watcher, problems, err := watch.New(s.config.Rules, s.live, options)
	if len(problems) > 0 {
		_ = writeProblems(s.options.Stderr, problems)
	}
	if err != nil {
		return &exitError{Code: exitData, Err: fmt.Errorf("rules %s: %w", s.config.Rules, err)}
	}
	s.watcher = watcher
	return nil
}

func (s *sidecar) reloaded(r watch.Result) {
	if r.Err != nil && s.watcher == nil {
		return // the first load ends the process, which says why
	}
	s.reload.Store(reloadOf(r, s.reload.Load()))
	event := &proxy.Reload{
		At: r.At, Generation: r.Generation, Hash: r.Hash, Read: r.Read, Routes: r.Routes, Problems: r.Problems, Live: r.Err == nil,
	}
	if !errors.Is(r.Err, watch.ErrProblems) {
		event.Err = r.Err
	}
	s.all.Observe(event)
}

// reloadOf is what the admin API says of a load; before is the one before, nil
// for none.
func reloadOf(r watch.Result, before *admin.Reload) *admin.Reload {
	now := &admin.Reload{Since: r.At, Time: r.At, Result: "live", Generation: r.Generation, Read: r.Read, Problems: len(r.Problems)}
	switch {
	case errors.Is(r.Err, watch.ErrProblems):
		now.Result = "refused"
	case r.Err != nil:
		now.Result = "unreadable"
	}
	if before != nil && before.Generation == r.Generation {
		now.Since = before.Since
	}
	if len(r.Problems) > 0 {
		p := &r.Problems[0]
		now.At = fmt.Sprintf("%s:%d:%d [%s]", p.File, p.Line, p.Column, p.Code)
	}
	return now
}

func (s *sidecar) openAdmin() (err error) {
	cfg := admin.Config{
		Socket: s.config.Admin.Socket, TokenFile: s.config.Admin.TokenFile,
		Tap: s.tap, Rules: s.live, Breakers: breakerAdmin{s.proxy}, Status: s.status, Shadows: s.shadows, Config: s.shown, Level: &s.level, Explain: s.explain,
		Drain: func() { s.draining.Do(func() { go s.drainInBackground() }) },
		Quit:  s.end, Log: s.log,
	}
	if s.watcher != nil {
		cfg.Files = s.watcher
	}
	if s.config.Admin.Listen.Port != 0 {
		cfg.Listen = s.config.Admin.Listen.String()
	}
	if cfg.Listen != "" || cfg.Socket != "" {
		if s.admin, err = admin.New(cfg); err != nil {
			return err
		}
	}
	if s.config.Health.Port != 0 {
		if s.health, err = net.Listen("tcp", s.config.Health.String()); err != nil {
			return fmt.Errorf("health: %w", err)
		}
	}
	return nil
}

// serve runs everything until ctx ends or somebody asks to quit, then drains
// and closes. A second end of interrupt cuts the draining short.
func (s *sidecar) serve(ctx context.Context, interrupt <-chan struct{}) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var parts sync.WaitGroup
	failed := make(chan error, 3)
	run := func(name string, f func(context.Context) error) {
		parts.Go(func() {
			if err := f(serving); err != nil && serving.Err() == nil {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	run("proxy", s.proxy.Serve)
	if s.admin != nil {
		run("admin", s.admin.Serve)
	}
	if s.health != nil {
		run("health", s.serveHealth)
	}
	if s.watcher != nil {
		parts.Go(func() { s.watcher.Run(serving) })
	}
	var err error
	select {
	case <-ctx.Done():
	case <-s.quit:
	case err = <-failed:
	}
	if err == nil && s.config.Drain > 0 {
		s.drain(interrupt)
	}
	stop()
	s.close()
	parts.Wait()
	return err
}

func (s *sidecar) drain(interrupt <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Drain)
	defer cancel()
	stopped := make(chan struct{})
	defer close(stopped)
	go func() {
		select {
		case <-interrupt:
			cancel()
		case <-stopped:
		}
	}()
	s.log.Info("draining", "connections", s.proxy.Conns(), "limit", s.config.Drain.String())
	s.drainUntil(ctx)
}

// drainInBackground is POST /drain: traffic is asked to leave, the process stays.
func (s *sidecar) drainInBackground() {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Drain)
	defer cancel()
	s.drainUntil(ctx)
}

func (s *sidecar) drainUntil(ctx context.Context) {
	if err := s.proxy.Drain(ctx); err != nil {
		s.log.Warn("drained too late", "connections", s.proxy.Conns())
	}
}

// end asks serve to drain and return.
func (s *sidecar) end() { s.quitOnce.Do(func() { close(s.quit) }) }

// close ends at once whatever was made, and flushes the log.
func (s *sidecar) close() {
	if s.proxy != nil {
		s.proxy.Close()
	} else {
		for _, l := range s.options.Listeners {
			l.Net.Close()
		}
	}
	if s.admin != nil {
		s.admin.Close()
	}
	if s.health != nil {
		s.health.Close()
	}
	if s.methods != nil {
		s.methods.Close()
	}
	if s.writer != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.writer.Close(ctx)
	}
}

func (s *sidecar) serveHealth(ctx context.Context) error {
	server := &http.Server{
		Handler:           admin.NewHealth(admin.HealthConfig{Ready: s.ready, Metrics: s.metrics.Handler()}),
		ReadHeaderTimeout: 5 * time.Second,
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(s.health); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *sidecar) ready() (bool, string) {
	if s.proxy.Draining() {
		return false, "draining"
	}
	return true, ""
}

func (s *sidecar) status() admin.Status {
	ready, reason := s.ready()
	status := admin.Status{
		PID: os.Getpid(), Version: buildVersion(), Started: s.started, UptimeSeconds: time.Since(s.started).Seconds(),
		Ready: ready, Reason: reason, Draining: s.proxy.Draining(), Connections: s.proxy.Conns(), Command: s.options.Command,
		Reload: s.reload.Load(),
	}
	for _, l := range s.options.Listeners {
		status.Listeners = append(status.Listeners, admin.Listener{
			Name: l.Name, Address: l.Net.Addr().String(), Direction: string(l.Direction), Upstream: l.Upstream,
		})
	}
	return status
}

// candidates matches an exchange that has happened again, to say why each route
// was or was not its own; nil if the rules have changed since, or what is remembered
// of it leads to another route, as where a redacted field was looked at.
func (s *sidecar) candidates(ctx context.Context, e *proxy.Record) []rules.Candidate {
	g := s.live.Load()
	if e.Call == nil || e.Generation != g.Number {
		return nil
	}
	m, err := g.Match(ctx, e.Call, e.Started)
	name := ""
	if m.Route != nil {
		name = m.Route.Name()
	}
	if name != e.Route {
		return nil
	}
	return g.Candidates(ctx, e.Call, e.Started, m, err)
}

// explain answers POST /explain.
func (s *sidecar) explain(ctx context.Context, q proxy.Question) ([]byte, error) {
	e, err := s.proxy.Explain(ctx, q)
	if err != nil {
		return nil, err
	}
	return explanationText(ctx, e), nil
}

// shown is the configuration in force, for GET /config. It holds no secrets.
func (s *sidecar) shown() any {
	c := s.config
	return map[string]any{
		"rules": s.shownRules(),
		"listeners": map[string]any{
			"outbound": c.Listeners.Outbound.String(), "inbound": c.Listeners.Inbound.String(), "explicit": len(c.Listeners.Explicit),
		},
		"admin":       map[string]any{"listen": c.Admin.Listen.String(), "socket": c.Admin.Socket},
		"health":      c.Health.String(),
		"descriptors": c.Descriptors,
		"reflection":  map[string]any{"ttl": c.Reflection.TTL.String(), "cache": c.Reflection.Cache, "private": c.Reflection.Private},
		"tap":         map[string]any{"memory": c.Tap.Memory, "body": c.Tap.Body},
		"log":         map[string]any{"exchanges": c.Log.Exchanges},
		"drain":       c.Drain.String(),
	}
}

// shownRules is where the rules come from, and what is in force of them.
func (s *sidecar) shownRules() any {
	g := s.live.Load()
	return map[string]any{
		"dir": s.config.Rules, "generation": g.Number, "hash": g.Hash(), "routes": len(g.Routes()), "reload": s.reload.Load(),
	}
}

// breakerAdmin shows the proxy's breakers to the admin API.
type breakerAdmin struct{ proxy *proxy.Proxy }

var _ admin.Breakers = breakerAdmin{}

func (b breakerAdmin) List() []admin.Breaker {
	var list []admin.Breaker
	for _, s := range b.proxy.Breakers() {
		list = append(list, admin.Breaker{
			Name: s.Name, State: s.State, Since: s.Since, RetryAfterSeconds: s.RetryAfter.Seconds(),
			Counts: admin.Counts{
				Requests: s.Counts.Requests, Successes: s.Counts.Successes,
				Failures: s.Counts.Failures, ConsecutiveFailures: s.Counts.ConsecutiveFailures,
			},
		})
	}
	return list
}

func (b breakerAdmin) Set(name, action string) error { return b.proxy.SetBreaker(name, action) }
