package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

var (
	duration = flag.Duration("soak", 0, "how long to run; else $SOAK, else 20s")
	seedFlag = flag.Uint64("seed", 0, "of all that is random; else the clock's")
	laneFlag = flag.String("lane", "", "Config.Lane: exchange, or nothing for the lane that each exchange needs")
	share    = flag.Float64("share", 0, "how much of a core to use; else 0.3 in a run of ten minutes and more, and 1 in a shorter one")
	direct   = flag.Bool("direct", false, "leave Sluice out: what fails then is the test's own")
	only     = flag.String("only", "", "the kinds of callers to run, with commas; else all")
)

// patience is how long one operation may take.
const patience = 10 * time.Second

// fault is what breaks an operation off, of its own making.
type fault int

const (
	none           fault = iota
	callerResets         // the caller resets its connection or its stream
	callerEnds           // the caller ends its connection in the middle
	upstreamResets       // instead of an answer
	upstreamCuts         // in the middle of an answer, by a reset
	upstreamEnds         // in the middle of an answer, by a clean end of its connection
)

func (f fault) String() string {
	return [...]string{"none", "caller resets", "caller ends", "upstream resets", "upstream cuts", "upstream ends"}[f]
}

// op is one operation: what its caller wants, and who breaks it off where.
type op struct {
	name  string
	id    uint64
	seed  uint64
	size  int
	fault fault
	at    int // of the bytes after which it is broken off
	*rand.Rand
}

func (o *op) String() string {
	return fmt.Sprintf("%s id %d size %d fault %q at %d", o.name, o.id, o.size, o.fault, o.at)
}

// kind is one kind of caller.
type kind struct {
	name    string
	workers int
	start   func(*rig) caller
}

// caller runs operations, one after the other, from one goroutine.
type caller interface {
	// run runs one operation. Its error is one that the operation's fault does
	// not explain.
	run(ctx context.Context, i *instance, o *op) error
	// move leaves the instance that it used so far: it is about to be drained.
	move()
}

var kinds = []kind{
	{"http1", 6, func(r *rig) caller { return newWebCaller(r, false) }},
	{"http1-raw", 4, func(r *rig) caller { return &wireCaller{r} }},
	{"http2", 4, func(r *rig) caller { return newWebCaller(r, true) }},
	{"grpc", 4, func(r *rig) caller { return &callCaller{rig: r} }},
	{"tcp", 4, func(r *rig) caller { return &rawCaller{r} }},
	{"refused", 1, func(r *rig) caller { return &refusedCaller{r} }},
}

func TestMain(m *testing.M) {
	flag.Parse()
	proxy.RegisterEncodings()
	os.Exit(m.Run())
}

func TestSoak(t *testing.T) {
	testbed.Leaks(t)
	length := howLong(t)
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("%v, go test ./test/soak -run TestSoak -soak %v -seed %d -lane %q", length, length, seed, *laneFlag)
	r := newRig(t, seed)
	switch {
	case *share > 0:
		r.share = *share
	case length >= 10*time.Minute:
		r.share = 0.3 // leaves the machine to others
	default:
		r.share = 1
	}
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var running sync.WaitGroup
	number := uint64(0)
	for _, k := range kinds {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), k.name) {
			continue
		}
		for range k.workers {
			number++
			rnd := rand.New(rand.NewPCG(seed, number))
			running.Go(func() { r.work(ctx, k, rnd) })
		}
	}
	running.Go(func() { r.swapRules(ctx, rand.New(rand.NewPCG(seed, 0))) })
	running.Go(func() { r.pace(ctx) })
	w := newWatch(length)
	r.rotate(ctx, w)
	running.Wait()
	r.end()
	w.judge(t, length)
	r.report(t)
}

func howLong(t *testing.T) time.Duration {
	switch {
	case *duration > 0:
		return *duration
	case os.Getenv("SOAK") != "":
		d, err := time.ParseDuration(os.Getenv("SOAK"))
		if err != nil {
			t.Fatalf("SOAK: %v", err)
		}
		return d
	}
	return 20 * time.Second
}

// work runs operations of one kind until ctx ends.
func (r *rig) work(ctx context.Context, k kind, rnd *rand.Rand) {
	c := k.start(r)
	var at *instance
	defer c.move()
	for sequence := 0; ctx.Err() == nil; sequence++ {
		r.gate.RLock()
		if now := r.current.Load(); now != at {
			c.move()
			at = now
		}
		r.runOne(c, at, k, rnd, sequence)
		r.gate.RUnlock()
		pause := time.Duration(r.pause.Load())
		select {
		case <-time.After(pause/2 + time.Duration(rnd.Int64N(int64(pause)+1))):
		case <-ctx.Done():
		}
	}
}

// runOne runs one operation, and notes how it ended.
func (r *rig) runOne(c caller, at *instance, k kind, rnd *rand.Rand, sequence int) {
	o := &op{name: k.name, id: r.nextID(), seed: rnd.Uint64(), size: sizeOf(rnd), Rand: rnd}
	if rnd.IntN(2) == 0 {
		o.fault = fault(1 + rnd.IntN(int(upstreamEnds)))
		o.at = rnd.IntN(o.size + 1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	err := c.run(ctx, at, o)
	switch took := time.Since(began); {
	case err != nil && took < patience && at.Draining() && lost(err):
		r.late.Add(1)
	case took >= patience:
		r.fail("%v, operation %d, instance %d: took %v: %v%s", o, sequence, at.number, took, err, r.trail(o.id))
	case err != nil:
		r.fail("%v, operation %d, instance %d, after %v: %v%s", o, sequence, at.number, took, err, r.trail(o.id))
	default:
		r.count(o.name, o.fault)
	}
}

// lost reports whether a connection ended before its answer. On a machine that
// is short of time a caller's next words may cross with the end of a connection
// that had been idle when the draining began. That is bounded by report.
func lost(err error) bool {
	return !errors.Is(err, errCorrupt) && (testbed.IsReset(err) || errors.Is(err, io.EOF) ||
		strings.Contains(err.Error(), "error reading from server") || strings.Contains(err.Error(), "GOAWAY"))
}

// sizeOf is mostly small, and now and then more than any buffer.
func sizeOf(rnd *rand.Rand) int {
	switch n := rnd.IntN(100); {
	case n < 40:
		return rnd.IntN(1 << 10)
	case n < 80:
		return rnd.IntN(32 << 10)
	case n < 98:
		return rnd.IntN(256 << 10)
	}
	return rnd.IntN(2 << 20)
}

// tally counts operations by name and fault.
type tally struct {
	failed atomic.Int64
	late   atomic.Int64 // operations that met the end of an idle connection while draining

	mu      sync.Mutex // guards what follows
	ended   map[string]map[fault]int
	records map[string]int         // by lane, and by what went wrong
	last    map[string]*recordNote // of each open connection
	recent  [1024]pair             // the last of all
	told    int
}

func (r *rig) count(name string, f fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended[name] == nil {
		r.ended[name] = map[fault]int{}
	}
	r.ended[name][f]++
}

// fail notes what nobody was told to do. The first are printed at once.
func (r *rig) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if r.failed.Add(1) > 50 {
		return
	}
	r.t.Errorf("unexplained (seed %d): %s", r.seed, text)
}

func (r *rig) report(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	total := 0
	for _, name := range slices.Sorted(maps.Keys(r.ended)) {
		var parts []string
		for f := none; f <= upstreamEnds; f++ {
			parts = append(parts, fmt.Sprintf("%v %d", f, r.ended[name][f]))
			total += r.ended[name][f]
		}
		t.Logf("%-10s %s", name, strings.Join(parts, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(r.records)) {
		t.Logf("records: %s %d", name, r.records[name])
	}
	t.Logf("%d operations, %d unexplained, %d reloads, %d proxies", total, r.failed.Load(), r.reloads.Load(), r.instances)
	if late, most := r.late.Load(), int64(1+total/5000); late > most {
		t.Errorf("%d operations met a draining proxy's end, over %d", late, most)
	} else if late > 0 {
		t.Logf("%d operations met a draining proxy's end", late)
	}
	if total == 0 {
		t.Error("nothing ran")
	}
}
