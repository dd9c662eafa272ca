package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// rig is everything that operations run on.
type rig struct {
	t    *testing.T
	seed uint64
	tally

	web, calls, raw, refused string // the upstreams' addresses
	codecs                   *codec.Registry
	methods                  protobuf.Source

	live      rules.Live
	sets      []*rules.Set
	reloads   atomic.Int64
	current   atomic.Pointer[instance]
	instances int

	share float64      // of a core
	gate  sync.RWMutex // an operation holds it for reading; the watch stops all operations
	pause atomic.Int64 // between a caller's operations, in nanoseconds

	ids  atomic.Uint64
	seen [1 << 16]atomic.Uint32 // how often upstreams were asked, by an operation's id
}

// instance is one proxy, with a listener for each upstream.
type instance struct {
	*proxy.Proxy
	number                   int
	web, calls, raw, refused string // where callers connect
	cancel                   context.CancelFunc
	served                   chan error
}

// The rules: sets that cannot touch a connection, that touch some exchanges, and
// that have a breaker. An operation accepts what any of them would do to it, but
// not two of them.
var ruleSets = [][]rules.File{
	nil,
	{
		{Name: "rules/json.yaml", Text: []byte(`
match: {http: /json}
request:
  - head: .headers["x-set"] = "one"
  - jq: .request = "one"
response:
  - head: .headers["x-answer"] = "one"
  - jq: .response = "one"
`)},
		{Name: "rules/reject.yaml", Text: []byte(`
match: {http: /reject}
request:
  - when: .reject == true
    reject: {status: 403, message: not now}
`)},
		{Name: "rules/calls.yaml", Text: []byte(`
match: {grpc: soak.v1.Notes/*}
request:
  - jq: .request = "one"
response:
  - jq: .response = "one"
`)},
	},
	{{Name: "rules/other.yaml", Text: []byte("match: {port: 1}\nrequest:\n  - jq: .never = 1\n")}},
	{
		{Name: "rules/json.yaml", Text: []byte(`
match: {http: /json}
request:
  - head: .headers["x-set"] = "two"
  - jq: .request = "two"
response:
  - head: .headers["x-answer"] = "two"
  - jq: .response = "two"
`)},
		{Name: "rules/breaker.yaml", Text: []byte(`
match: {http: /breaker}
upstream:
  breaker: {trip: .failures >= 3, open: 200ms, fallback: {status: 203, body: {stale: true}}}
`)},
	},
	{{Name: "rules/heads.yaml", Text: []byte(`
request:
  - head: .headers["x-any"] = "1"
`)}},
}

func newRig(t *testing.T, seed uint64) *rig {
	t.Helper()
	r := &rig{t: t, seed: seed}
	r.ended, r.records, r.last = map[string]map[fault]int{}, map[string]int{}, map[string]*recordNote{}
	for i, files := range ruleSets {
		set, problems := rules.Compile(files)
		if set == nil {
			t.Fatalf("rules %d: %+v", i, problems)
		}
		r.sets = append(r.sets, set)
	}
	r.web, r.raw, r.calls, r.refused = startWeb(t, r), startRaw(t), startCalls(t, r), testbed.Refused(t)
	r.codecs = codec.NewRegistry(codec.Format{Codec: json.Codec{}, Types: []string{"application/json"}})
	r.methods = notesMethods(t)
	r.pause.Store(int64(5 * time.Millisecond))
	r.current.Store(r.startInstance())
	return r
}

// startInstance runs one more proxy.
func (r *rig) startInstance() *instance {
	r.instances++
	i := &instance{number: r.instances, served: make(chan error, 1)}
	cfg := proxy.Config{Rules: &r.live, Codecs: r.codecs, Methods: r.methods, Observer: r, Lane: proxy.Lane(*laneFlag)}
	for _, way := range []struct {
		upstream string
		addr     *string
	}{{r.web, &i.web}, {r.calls, &i.calls}, {r.raw, &i.raw}, {r.refused, &i.refused}} {
		l, err := proxy.Listen(context.Background(), "127.0.0.1:0", false)
		if err != nil {
			r.t.Fatal(err)
		}
		*way.addr = l.Addr().String()
		cfg.Listeners = append(cfg.Listeners, proxy.Listener{Name: way.upstream, Net: l, Direction: rules.Inbound, Upstream: way.upstream})
	}
	var err error
	if i.Proxy, err = proxy.New(cfg); err != nil {
		r.t.Fatal(err)
	}
	if *direct {
		i.web, i.calls, i.raw, i.refused = r.web, r.calls, r.raw, r.refused
	}
	var ctx context.Context
	ctx, i.cancel = context.WithCancel(context.Background())
	go func() { i.served <- i.Serve(ctx) }()
	return i
}

// drain ends an instance that callers have left, or are about to.
func (r *rig) drain(i *instance) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	if err := i.Drain(ctx); err != nil {
		r.fail("instance %d: drain: %v, %d connections are open", i.number, err, i.Conns())
	}
	i.close(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.last) // records may have come after the end of their connections
}

func (i *instance) close(r *rig) {
	i.cancel()
	i.Close()
	if err := <-i.served; err != nil {
		r.fail("instance %d: serve: %v", i.number, err)
	}
	if n := i.Conns(); n != 0 {
		r.fail("instance %d: %d connections are open after Close", i.number, n)
	}
}

// rotate replaces the proxy every few seconds, and has the watch look in between,
// until ctx ends.
func (r *rig) rotate(ctx context.Context, w *watch) {
	for ctx.Err() == nil {
		select {
		case <-time.After(3 * time.Second):
		case <-ctx.Done():
		}
		old := r.current.Swap(r.startInstance())
		r.drain(old)
		if w.due() && ctx.Err() == nil {
			r.gate.Lock() // waits for every operation
			w.look()
			r.gate.Unlock()
		}
	}
}

func (r *rig) end() { r.drain(r.current.Load()) }

// swapRules puts another set in force, several times a second.
func (r *rig) swapRules(ctx context.Context, rnd *rand.Rand) {
	for {
		r.live.Swap(r.sets[rnd.IntN(len(r.sets))])
		r.reloads.Add(1)
		select {
		case <-time.After(time.Duration(50+rnd.IntN(300)) * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// pace keeps the process at its share of a core.
func (r *rig) pace(ctx context.Context) {
	total, at := cpuTime(), time.Now()
	for {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
		now, then := cpuTime(), time.Now()
		used := (now - total).Seconds() / then.Sub(at).Seconds()
		total, at = now, then
		pause := float64(r.pause.Load()) * min(2, max(0.5, used/r.share))
		r.pause.Store(int64(min(max(pause, float64(200*time.Microsecond)), float64(2*time.Second))))
	}
}

// cpuTime is what the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// nextID is a new operation's.
func (r *rig) nextID() uint64 {
	id := r.ids.Add(1)
	r.seen[id%uint64(len(r.seen))].Store(0)
	return id
}

// asked notes that an upstream was asked, and times tells how often.
func (r *rig) asked(id uint64) { r.seen[id%uint64(len(r.seen))].Add(1) }

func (r *rig) times(id uint64) uint32 { return r.seen[id%uint64(len(r.seen))].Load() }

// Observe counts records, and fails on those that tell of a mistake in Sluice: no
// caller speaks badly, so what seems so is a body that was taken for a head.
func (r *rig) Observe(e proxy.Event) {
	var record *proxy.Record
	switch e := e.(type) {
	case *proxy.ConnClosed:
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.last, e.ID)
		return
	case *proxy.Record:
		record = e
	default:
		return
	}
	r.mu.Lock()
	now, last := noteOn(record), r.last[record.Conn.ID]
	r.last[record.Conn.ID] = now
	r.recent[r.told%len(r.recent)] = pair{now, last}
	r.told++
	r.records["lane "+string(record.Lane)]++
	if record.Error != nil {
		r.records[fmt.Sprintf("%s/%s", record.Error.Origin, record.Error.Reason)]++
	}
	r.mu.Unlock()
	if record.Error != nil && !slices.Contains(reasons, record.Error.Reason) {
		r.fail("record: %v, after %v", now, last)
	}
}

// recordNote is what is kept of a record: the record itself would keep its heads
// and bodies.
type recordNote struct{ id, text string }

func (n *recordNote) String() string {
	if n == nil {
		return "nothing"
	}
	return n.text
}

func noteOn(record *proxy.Record) *recordNote {
	head := record.Call.Head
	return &recordNote{
		id: strings.Clone(head.Fields.Get(idField)),
		text: fmt.Sprintf("%.16s: %.8s %.40s, route %q, status %d, answered %q, error %v, id %s fault %q expect %q",
			record.ID, head.Method, head.Path, record.Route, record.Status, record.Answered, record.Error,
			head.Fields.Get(idField), head.Fields.Get(faultField), head.Fields.Get("Expect")),
	}
}

// pair is a record, and the one before it on its connection.
type pair struct{ record, before *recordNote }

// trail is what was told of an operation lately.
func (r *rig) trail(id uint64) string {
	wanted := strconv.FormatUint(id, 10)
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, p := range r.recent {
		if p.record != nil && p.record.id == wanted {
			fmt.Fprintf(&b, "\n\ttold: %v\n\tbefore: %v", p.record, p.before)
		}
	}
	return b.String()
}

// reasons are those that a fault may have.
var reasons = []string{"cancelled", "truncated", "reset", "refused", "timeout", "protocol"}
