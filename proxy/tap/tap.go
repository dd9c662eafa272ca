// Package tap remembers what passed, and shows it.
//
// A [Tap] keeps the last events in a ring in memory, bounded in bytes and in
// number, packed into bytes without a pointer and beside the collector's heap.
// Observing an event is packing it and one short lock; nothing is rendered until
// somebody reads. Readers follow the ring with a cursor of their own, so a slow
// one loses events, is told how many, and never holds anything up.
//
// # The form of an event
//
// An event is one JSON object. Its type comes first: exchange, message, conn,
// breaker, reload or shadow, and dropped for what a reader lost.
//
//	{"type": "exchange", "id": "..", "time": "..", "conn": "..",
//	 "direction": "inbound", "protocol": "grpc", "lane": "exchange",
//	 "route": "orders.create",              null if none matched
//	 "method": "POST", "host": "orders:8080", "path": "/shop.v1.Orders/Create", "query": "",
//	 "grpc": {"service": "shop.v1.Orders", "method": "Create"},   of gRPC only
//	 "status": 200, "grpc_status": "OK",    status 0: the caller got a reset
//	 "duration_ms": 3.14, "peer": "ip:port", "destination": "ip:port",
//	 "generation": 7, "attempts": 1,
//	 "request": HALF, "response": HALF,     null if there was none
//	 "steps": [{"step": "request[0].jq", "result": "ran", "took_ms": 0.05, "body": .., "head": ..}],
//	 "passed": [{"route": "..", "why": "where"}],
//	 "breaker": "route@host:port", "answered": "fallback",
//	 "error": {"origin": "upstream", "reason": "refused", "route": "..", "step": "..", "cause": ".."}}
//
// A HALF is what came, and under "after" only what left differently:
//
//	{"headers": {"content-type": "application/json"}, "trailers": {..},
//	 "body": {..}, "format": "json", "size": 120,
//	 "after": {"headers": {..}, "body": {..}, "format": "json", "size": 98}}
//
// Header names are lower case, repeats are joined by ", ", set-cookie is always
// an array. The format says how to read body: json, protobuf and other names
// of codecs mean a decoded message; text a string; base64 the bytes. A body that
// was not kept whole has "truncated": true. A step with "in_place": true ran on the
// message's bytes, so that there is no body after it. Of gRPC that no rule looked at, a
// body of several messages is in "messages" instead. What is empty or does not
// apply is left out, but for the keys shown above "breaker".
//
// An exchange that is asked for by its id has "messages", "candidates", the routes
// that competed for it, while its rules are in force, and "shadow".
//
// What a route in shadow would have done is a shadow: with the outcome
// would_change, unchanged, would_reject, error, skipped or outranked, the
// exchange's id and target, and "reason" and "step" where they say more. One a
// second of each outcome has "request", "response" and "messages" as the exchange
// would have had them, and "differences": the places that would have changed.
//
// Values of authorization, cookies and the like read "[redacted]", also for
// a where. So does what a route's redact names: it is hidden before an event comes
// here. A body that may have it, but cannot be read for it, has "withheld" in place
// of its body, with the reason.
package tap

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// Config configures a [Tap]. The zero Config is ready.
type Config struct {
	Memory codec.Bytes // bound of all that is remembered; 16 MiB; negative: the tap is off, nothing is
	Events int         // bound of their number; 16,384
	Body   codec.Bytes // of one rendered step's body; longer ones are cut to text; 16 KiB

	// Redact are names of headers, in lower case, whose values are never
	// shown, beside those that never are anyway.
	Redact []string

	// Codecs finds the codec of a content type for bodies that no rule looked
	// at. Nil means JSON alone.
	Codecs *codec.Registry

	// Describe finds the codecs of a gRPC method for messages that no rule
	// looked at. It is called when an event is read, not when it happens, and
	// may block until ctx ends. Nil codecs mean that it does not know. Nil
	// Describe knows none.
	Describe func(ctx context.Context, q *rules.Request) (input, output codec.Codec)

	// Candidates explains the match of an exchange that is asked for by its ID. Nil
	// candidates mean that it is not known any more. Nil Candidates know none.
	Candidates func(ctx context.Context, e *proxy.Record) []rules.Candidate

	// DescribeTimeout bounds one call of Describe; 1 s.
	DescribeTimeout time.Duration

	// Schemaless decodes a protobuf message of unknown type. Nil shows base64.
	Schemaless codec.Codec

	// Readers bounds how many may read at once; 64.
	Readers int

	Now func() time.Time // time.Now
}

func (c Config) withDefaults() Config {
	if c.Memory == 0 {
		c.Memory = 16 * codec.MiB
	}
	if c.Events <= 0 {
		c.Events = 16384
	}
	if c.Body <= 0 {
		c.Body = 16 * codec.KiB
	}
	if c.DescribeTimeout <= 0 {
		c.DescribeTimeout = time.Second
	}
	if c.Readers <= 0 {
		c.Readers = 64
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Tap is a [proxy.Observer] that remembers. Make one with [New]. It is safe
// for concurrent use.
type Tap struct {
	config  Config
	render  *renderer
	ring    ring
	packers sync.Pool
	dropped atomic.Uint64

	mu        sync.Mutex // guards followers
	followers int
}

var _ proxy.Observer = (*Tap)(nil)

// New returns an empty tap.
func New(c Config) *Tap {
	c = c.withDefaults()
	t := &Tap{config: c, render: newRenderer(c), ring: newRing(c.Events, int64(c.Memory))}
	words := newLexicon()
	t.packers.New = func() any { return &packer{words: words} }
	runtime.AddCleanup(t, (*pages).close, t.ring.pages)
	return t
}

// Observe remembers e, of which nothing is held on to but the codecs of bodies
// and what steps made of them. It never blocks and does not allocate. Of an
// event that alone would fill much of the memory the steps' bodies are left out.
func (t *Tap) Observe(e proxy.Event) {
	if t.ring.most == 0 {
		return
	}
	p := t.packers.Get().(*packer)
	p.event(e)
	if p.weight > 0 && p.weight+int64(p.size()) > t.ring.most/8 {
		p.reset()
		p.light = true
		p.event(e)
	}
	t.ring.add(p)
	p.reset()
	t.packers.Put(p)
}

// Dropped returns how many events readers have lost for being slow.
func (t *Tap) Dropped() uint64 { return t.dropped.Load() }

// enter counts a reader in; false if there are too many.
func (t *Tap) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.followers >= t.config.Readers {
		return false
	}
	t.followers++
	return true
}

func (t *Tap) leave() {
	t.mu.Lock()
	t.followers--
	t.mu.Unlock()
}
