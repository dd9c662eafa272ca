// Package ruletest runs the tests of rule files offline, through the very code
// that runs in production: each case is an exchange in a lane of the proxy that has
// no wire ([proxy.Rehearsal]), with breakers of its own.
package ruletest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// Config is what cases are run with.
type Config struct {
	Codecs *codec.Registry

	// Descriptors reads the descriptors of files and directories, each as
	// [filepath.Join] makes it of a rule file's directory and what a case says. Nil:
	// no case may have some.
	Descriptors func(paths []string) (protobuf.Source, error)
	Methods     protobuf.Source // asked after those; nil: none
}

// Report is the outcome of a run.
type Report struct {
	Results []Result
	cover   *cover
}

// Failed counts the cases that failed.
func (r *Report) Failed() int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Failed() {
			n++
		}
	}
	return n
}

// Result is what became of a case.
type Result struct {
	Case     *rules.Case
	Took     time.Duration
	Err      error // why it could not be run; nil if it could
	Failures []Failure
	Notes    []string // what may explain the failures

	got *got
}

// Failed reports whether the case did not end as it expects.
func (r *Result) Failed() bool { return r.Err != nil || len(r.Failures) > 0 }

// Failure is a part of what a case expects that is otherwise.
type Failure struct {
	Place     string // request.body, request.headers.x-tier; "" for all of it
	Want, Got string // one line or, of messages, several of indented JSON
	Said      string // a sentence, in place of Want and Got

	fix *fix // nil: only writing all of expect anew helps
}

// Run runs the cases of a set that pick takes, in the order of the files. The error
// is of ctx.
func Run(ctx context.Context, cfg Config, set *rules.Set, pick func(*rules.Case) bool) (*Report, error) {
	live := new(rules.Live)
	live.Swap(set)
	report := &Report{cover: newCover(set)}
	descriptors := make(map[string]protobuf.Source)
	for _, route := range set.Routes() {
		for _, c := range route.Cases() {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if !pick(c) {
				continue
			}
			began := time.Now()
			r := runner{cfg: cfg, live: live, set: set, c: c, cover: report.cover, descriptors: descriptors}
			result := r.run(ctx)
			result.Took = time.Since(began)
			report.Results = append(report.Results, result)
		}
	}
	return report, nil
}

// runner runs one case.
type runner struct {
	cfg         Config
	live        *rules.Live
	set         *rules.Set
	c           *rules.Case
	cover       *cover
	descriptors map[string]protobuf.Source // by their paths
}

// got is what came of a case.
type got struct {
	*proxy.Explanation // nil: no exchange behind the outcomes was wanted
	question           proxy.Question
	breaker            string // its state in the end; "" if the route has none
}

func (r *runner) run(ctx context.Context) Result {
	result := Result{Case: r.c}
	g, err := r.exchanges(ctx)
	if err != nil {
		result.Err = err
		return result
	}
	result.got = g
	if r.c.Expect == nil {
		result.Failures = []Failure{{Said: "it expects nothing; with --update what comes of it is written down"}}
		return result
	}
	j := judge{cfg: r.cfg, c: r.c, got: g}
	j.all()
	if result.Failures = j.failures; len(j.failures) > 0 && g.Explanation != nil {
		result.Notes = notes(r.c, g)
		for _, f := range j.failures {
			result.Notes = slices.DeleteFunc(result.Notes, func(note string) bool { return strings.Contains(f.Said, note) })
		}
	}
	return result
}

// exchanges runs the outcomes, and then the exchange.
func (r *runner) exchanges(ctx context.Context) (*got, error) {
	methods, err := r.methods()
	if err != nil {
		return nil, err
	}
	rehearsal := proxy.NewRehearsal(proxy.Config{Rules: r.live, Codecs: r.cfg.Codecs, Methods: methods})
	defer rehearsal.Close()
	g := new(got)
	if g.question, err = r.question(); err != nil {
		return nil, err
	}
	for i, o := range r.c.Outcomes {
		q := g.question
		q.Failure, q.Took, q.Response = o.Error, o.Duration, nil
		if err := r.answer(&q, &o.CaseMessage); err != nil {
			return nil, fmt.Errorf("outcomes[%d]: %w", i, err)
		}
		for range max(o.Times, 1) {
			e, err := r.explain(ctx, rehearsal, q)
			if err != nil {
				return nil, fmt.Errorf("outcomes[%d]: %w", i, err)
			}
			if e.Record.Breaker == "" {
				return nil, fmt.Errorf("outcomes[%d]: the breaker is not asked: %s", i, ending(r.c, e))
			}
		}
	}
	if e := r.c.Expect; e == nil || e.Exchange() || len(r.c.Outcomes) == 0 {
		if g.Explanation, err = r.explain(ctx, rehearsal, g.question); err != nil {
			return nil, err
		}
	}
	g.breaker = state(rehearsal, r.c)
	return g, nil
}

// explain runs one exchange and notes what it reaches.
func (r *runner) explain(ctx context.Context, rehearsal *proxy.Rehearsal, q proxy.Question) (*proxy.Explanation, error) {
	before := state(rehearsal, r.c)
	e, err := rehearsal.Exchange(ctx, q)
	if err != nil {
		return nil, cmp.Or(errors.Unwrap(err), err)
	}
	if e.Record.Route != r.c.Route.Name() { // why that is so
		e.Candidates = r.candidates(ctx, e.Record)
	}
	r.cover.exchange(e)
	r.cover.breakers(r.c, rehearsal.Breakers(), before)
	return e, nil
}

// candidates says why a request has the route that it has.
func (r *runner) candidates(ctx context.Context, record *proxy.Record) []rules.Candidate {
	m, err := r.set.Match(ctx, record.Call, record.Started)
	return r.set.Candidates(ctx, record.Call, record.Started, m, err)
}

// state is that of the breaker of the case's route.
func state(rehearsal *proxy.Rehearsal, c *rules.Case) string {
	if c.Route.Breaker() == nil {
		return ""
	}
	for _, b := range rehearsal.Breakers() {
		if strings.HasPrefix(b.Name, c.Route.Name()+"@") {
			return b.State
		}
	}
	return "closed"
}

// methods finds the descriptors that the case names, and then all others.
func (r *runner) methods() (protobuf.Source, error) {
	if len(r.c.Descriptors) == 0 {
		return r.cfg.Methods, nil
	}
	if r.cfg.Descriptors == nil {
		return nil, errors.New("there are no descriptor files here")
	}
	var paths []string
	for _, path := range r.c.Descriptors {
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(r.c.Position.File), path)
		}
		paths = append(paths, path)
	}
	key := strings.Join(paths, "\x00")
	if r.descriptors[key] == nil {
		source, err := r.cfg.Descriptors(paths)
		if err != nil {
			return nil, err
		}
		r.descriptors[key] = source
	}
	if r.cfg.Methods == nil {
		return r.descriptors[key], nil
	}
	return protobuf.Sources(r.descriptors[key], r.cfg.Methods), nil
}
