package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/test/bench/internal/traffic"
)

// runner runs cases, one at a time.
type runner struct {
	*lab
	rounds   int
	profiles string            // a directory; empty: none
	also     map[string]string // further binaries of Sluice, by name
	backend  *backend
	benches  *goBenches
	pods     map[string]*pod // of the redirect's cases, by proxy
	progress func(format string, args ...any)
}

// run runs a case. Its proxies take turns, round after round, so that whatever
// else the machine does meets all of them. A proxy that is not installed is
// left out.
func (r *runner) run(ctx context.Context, c benchCase) (outcome, error) {
	if c.Go != nil {
		return r.runGo(ctx, c)
	}
	for name := range r.also {
		if at := slices.Index(c.Proxies, c.usual()); at >= 0 {
			c.Proxies = slices.Insert(slices.Clone(c.Proxies), at+1, name)
			c.Gates = append(slices.Clone(c.Gates), gate{Name: c.usual(), Peer: name})
		}
	}
	o := outcome{benchCase: c, By: map[string]samples{}}
	targets := map[string]*target{}
	defer func() {
		for _, t := range targets {
			t.stop()
		}
	}()
	rounds := r.rounds
	if c.Most > 0 {
		rounds = min(rounds, c.Most)
	}
	for round := range rounds {
		for i := range c.Proxies {
			// Each round begins with another one.
			name := c.Proxies[(i+round)%len(c.Proxies)]
			t := targets[name]
			if t == nil {
				var err error
				if t, err = r.start(c, name); errors.Is(err, errMissing) {
					if round == 0 {
						r.progress("%v", err)
					}
					continue
				} else if err != nil {
					return o, err
				}
				targets[name] = t
			}
			result, err := r.measure(ctx, c, name, t)
			if err != nil {
				return o, fmt.Errorf("case %s, %s: %w", c.ID, name, err)
			}
			r.show(o, name, result)
			o.By[name] = append(o.By[name], result)
			// A proxy that has failed may be left in any state.
			if c.Fresh || result.Errors > 0 {
				t.stop()
				delete(targets, name)
			}
		}
	}
	return o, r.profile(ctx, c, targets)
}

func (r *runner) start(c benchCase, name string) (*target, error) {
	if name == direct || name == redirected {
		if r.pods[name] == nil {
			p, err := r.newPod(name)
			if err != nil {
				return nil, err
			}
			r.pods[name] = p
		}
		return r.startInPod(r.pods[name], name)
	}
	// nginx has an upstream connection for each stream, of which an open loop
	// may have many.
	p := plan{name: name, kind: name, binary: r.sluice, upstream: r.backend.at, conns: c.Spec.Conns + 1024, edit: c.Spec.Edit}
	if binary, ok := r.also[name]; ok {
		p.binary, p.kind = binary, c.usual()
	}
	return r.startTarget(p)
}

func (r *runner) measure(ctx context.Context, c benchCase, name string, t *target) (traffic.Result, error) {
	spec := c.specOf(name)
	spec.Address, spec.PIDs, spec.OnCPU = t.at[spec.Kind.Protocol()], t.pids, r.cpus.proxy
	return r.load(ctx, t.caller, spec)
}

func (r *runner) show(o outcome, name string, result traffic.Result) {
	if result.Errors > 0 {
		r.progress("%-4s %-13s round %d: %d errors: %s", o.ID, name, len(o.By[name])+1, result.Errors, result.Error)
		return
	}
	r.progress("%-4s %-13s round %d: %.*f %s", o.ID, name, len(o.By[name])+1, o.Of.Digits, o.Of.Of(result), o.Of.Unit)
}

// profile runs the case once more, uncounted, for each Sluice, and keeps what
// its processor did.
func (r *runner) profile(ctx context.Context, c benchCase, targets map[string]*target) error {
	if r.profiles == "" || c.Spec.Kind == traffic.Idle {
		return nil
	}
	if err := os.MkdirAll(r.profiles, 0o755); err != nil {
		return err
	}
	for name, t := range targets {
		if !t.isSluice(name) {
			continue
		}
		seconds := max(int(c.Spec.For/time.Second), 1)
		path := filepath.Join(r.profiles, fmt.Sprintf("%s-%s.pprof", c.ID, name))
		longer := c
		longer.Spec.For = time.Duration(seconds)*time.Second + 500*time.Millisecond
		done := make(chan error, 1)
		go func() { done <- t.profile(seconds, path) }()
		_, err := r.measure(ctx, longer, name, t)
		if err := errors.Join(err, <-done); err != nil {
			return fmt.Errorf("case %s, %s: %w", c.ID, name, err)
		}
		r.progress("%-4s %-13s profile: go tool pprof -top %s", c.ID, name, path)
	}
	return nil
}

func (r *runner) close() {
	if r.backend != nil {
		r.backend.stop()
	}
	for _, p := range r.pods {
		p.close()
	}
}

// binaries reads -also: NAME=PATH.
type binaries map[string]string

func (b binaries) String() string { return "" }

// Set implements flag.Value.
func (b binaries) Set(s string) error {
	name, path, ok := strings.Cut(s, "=")
	if !ok {
		return errors.New("want NAME=PATH")
	}
	b[name] = path
	return nil
}
