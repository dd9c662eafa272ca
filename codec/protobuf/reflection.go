package protobuf

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec"
)

// ReflectionConfig bounds what asking a server may cost. The zero value of a
// field means the default beside it.
type ReflectionConfig struct {
	Timeout     time.Duration // 2s: the longest that one Find waits
	TTL         time.Duration // 5m: how long an answer is fresh; a stale one serves while it is asked for again
	NegativeTTL time.Duration // 10s: how long a failure counts, and the least time between questions for an unknown method
	Size        codec.Bytes   // 10 MiB: all descriptors of one service
	Files       int           // 1000: their number
	Servers     int           // 1000: kept in the cache
	Services    int           // 1000: kept for each server

	// Store is what survives a restart. Nil: nothing does. A quarter of Timeout is
	// kept for it where nothing else is known.
	Store Store
}

func (c ReflectionConfig) withDefaults() ReflectionConfig {
	c.Timeout = orDefault(c.Timeout, 2*time.Second)
	c.TTL = orDefault(c.TTL, 5*time.Minute)
	c.NegativeTTL = orDefault(c.NegativeTTL, 10*time.Second)
	c.Size = orDefault(c.Size, 10*codec.MiB)
	c.Files = orDefault(c.Files, 1000)
	c.Servers = orDefault(c.Servers, 1000)
	c.Services = orDefault(c.Services, 1000)
	return c
}

func orDefault[T comparable](v, standard T) T {
	var zero T
	if v == zero {
		return standard
	}
	return v
}

// Reflection is a [Source] that asks a server about its own methods by gRPC
// server reflection, v1 and where that is not served v1alpha. Each server is
// asked one question at a time, on a connection that is closed afterwards;
// callers with the same question share the answer. What a server has said of a
// service is used on where it does not say it again, also after a restart if
// there is a [Store]: stale is better than none. Close ends it.
type Reflection struct {
	config ReflectionConfig
	ctx    context.Context //nolint:containedctx // of the queries, which outlive a caller that hangs up
	cancel context.CancelFunc
	wg     sync.WaitGroup // of the queries

	mu      sync.Mutex // guards servers with all that is in them
	servers map[string]*reflected

	storing chan struct{} // holds a token while a record is read or written
}

var _ Source = (*Reflection)(nil)

// reflected is what is known about a server.
type reflected struct {
	services map[string]*knowledge
	asking   chan struct{} // holds a token while the server is asked
	failed   error         // the server as a whole did not answer
	until    time.Time     // of failed
	used     time.Time
	stored   map[string]digest // what the store has of it, by service; nil: the store was not asked
}

// knowledge is what is known about a service.
type knowledge struct {
	schema *schema // nil: err
	err    error
	asked  time.Time
	used   time.Time
	flight *flight // nil: none under way
}

// flight is a question under way. It is done within the timeout.
type flight struct{ done chan struct{} }

var (
	errClosed = errors.New("reflection is closed")
	errNoTurn = errors.New("other questions took all the time")
)

// NewReflection returns a Reflection with an empty cache.
func NewReflection(config ReflectionConfig) *Reflection {
	ctx, cancel := context.WithCancel(context.Background())
	return &Reflection{
		config: config.withDefaults(), ctx: ctx, cancel: cancel,
		servers: make(map[string]*reflected), storing: make(chan struct{}, 1),
	}
}

// Close ends all questions and waits for them and for what is being stored. Find
// fails afterwards.
func (r *Reflection) Close() error {
	r.mu.Lock()
	r.cancel()
	r.mu.Unlock()
	r.wg.Wait()
	return nil
}

// Find returns the method as the server describes it, from the cache if it can.
// It waits for the timeout at most.
func (r *Reflection) Find(ctx context.Context, server Server, service, method string) (*Method, error) {
	if !protoreflect.FullName(service).IsValid() || !protoreflect.Name(method).IsValid() {
		return nil, fmt.Errorf("%q/%q: %w", service, method, ErrUnknownMethod)
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	for first := true; ; first = false {
		s, pending, err := r.lookup(server, service, method, first)
		if pending == nil {
			if err != nil {
				return nil, err
			}
			return s.method(service, method)
		}
		select {
		case <-pending.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("ask %s by reflection: %w", server.Key, context.Cause(ctx))
		}
	}
}

// lookup returns what is known, or the flight to wait for. Only the first look
// may start one for a method that is not in a fresh answer.
func (r *Reflection) lookup(server Server, service, method string, first bool) (*schema, *flight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return nil, nil, errClosed
	}
	now := time.Now()
	s := r.servers[server.Key]
	if s == nil {
		evict(r.servers, r.config.Servers, func(s *reflected) time.Time { return s.used })
		s = &reflected{services: make(map[string]*knowledge), asking: make(chan struct{}, 1)}
		r.servers[server.Key] = s
	}
	s.used = now
	k := s.services[service]
	switch {
	case k == nil:
		if s.failed != nil && now.Before(s.until) && !r.mayRecall(s, service) {
			return nil, nil, s.failed
		}
		evict(s.services, r.config.Services, func(k *knowledge) time.Time { return k.used })
		k = &knowledge{used: now}
		s.services[service] = k
	case k.schema == nil:
		if k.flight == nil && now.Sub(k.asked) < r.config.NegativeTTL {
			return nil, nil, k.err
		}
	case k.schema.knowsMethod(service, method):
		// A stale answer serves on while it is asked for again.
		if now.Sub(k.asked) >= r.config.TTL && (s.failed == nil || !now.Before(s.until)) {
			r.start(s, k, server, service)
		}
		k.used = now // only what a caller could use: names that nobody knows make way
		return k.schema, nil, nil
	case k.flight == nil && (!first || now.Sub(k.asked) < r.config.NegativeTTL):
		return k.schema, nil, nil // which says that it does not know the method
	}
	r.start(s, k, server, service)
	return nil, k.flight, nil
}

// start begins a flight for k unless one is under way. It needs r.mu.
func (r *Reflection) start(s *reflected, k *knowledge, server Server, service string) {
	if k.flight != nil {
		return
	}
	k.flight = &flight{done: make(chan struct{})}
	r.wg.Add(1)
	go r.fly(s, k, server, service)
}

// fly asks and files the answer, and then stores it: nobody waits for that.
func (r *Reflection) fly(s *reflected, k *knowledge, server Server, service string) {
	defer r.wg.Done()
	patience := r.config.Timeout
	if r.config.Store != nil && r.knowsNothing(k) {
		patience -= patience / 4
	}
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	found, err := r.ask(ctx, s, server, service)
	var stale *schema
	if err != nil && !errors.Is(err, ErrUnknownMethod) && r.knowsNothing(k) {
		stale = r.recall(s, server.Key, service)
	}
	r.land(s, k, service, found, stale, err)
	switch {
	case err == nil:
		r.remember(s, server.Key, service, found.files)
	case errors.Is(err, ErrUnknownMethod):
		r.remember(s, server.Key, service, nil)
	}
}

// land ends the flight of k with what was found, or with err and what was known
// of old, which may be nil.
func (r *Reflection) land(s *reflected, k *knowledge, service string, found *answer, stale *schema, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil:
		k.schema, k.err, s.failed = found.schema, nil, nil
	case errors.Is(err, ErrUnknownMethod):
		k.schema, k.err, s.failed = nil, err, nil
	case errors.Is(err, errNoTurn):
		k.err = err // others are slow, which says nothing of this service
	default:
		k.err = err // an old answer stays
		s.failed, s.until = err, now.Add(r.config.NegativeTTL)
	}
	if stale != nil {
		k.schema = stale
	}
	k.asked = now
	if errors.Is(err, errNoTurn) && k.schema == nil && s.services[service] == k {
		delete(s.services, service)
	}
	if err != nil && k.schema != nil { // try again after the negative time
		k.asked = now.Add(r.config.NegativeTTL - r.config.TTL)
	}
	close(k.flight.done)
	k.flight = nil
}

func (r *Reflection) knowsNothing(k *knowledge) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return k.schema == nil && r.ctx.Err() == nil
}

// ask waits for its turn at the server and asks. If meanwhile another question
// found that the server does not answer, that is the answer.
func (r *Reflection) ask(ctx context.Context, s *reflected, server Server, service string) (*answer, error) {
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return nil, fmt.Errorf("ask %s by reflection: %w: %w", server.Key, errNoTurn, ctx.Err())
	}
	r.mu.Lock()
	failed, until := s.failed, s.until
	r.mu.Unlock()
	if failed != nil && time.Now().Before(until) {
		return nil, failed
	}
	found, err := query(ctx, r.config, server, service)
	if err != nil {
		return nil, fmt.Errorf("ask %s by reflection: %w", server.Key, err)
	}
	return found, nil
}

// evict makes room for one more in m, by what was used longest ago.
func evict[V any](m map[string]V, most int, used func(V) time.Time) {
	for len(m) >= most {
		var oldest string
		var at time.Time
		for k, v := range m {
			if t := used(v); oldest == "" || t.Before(at) {
				oldest, at = k, t
			}
		}
		delete(m, oldest)
	}
}

func (s *schema) knowsMethod(service, method string) bool {
	d, err := s.files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return false
	}
	sd, ok := d.(protoreflect.ServiceDescriptor)
	return ok && sd.Methods().ByName(protoreflect.Name(method)) != nil
}

// Sources returns a Source that asks others in order until one knows the
// method. It stops at an error other than [ErrUnknownMethod].
func Sources(sources ...Source) Source { return inOrder(sources) }

type inOrder []Source

func (s inOrder) Find(ctx context.Context, server Server, service, method string) (*Method, error) {
	for _, source := range s {
		m, err := source.Find(ctx, server, service, method)
		if err == nil || !errors.Is(err, ErrUnknownMethod) {
			return m, err
		}
	}
	return nil, fmt.Errorf("%s/%s: %w", service, method, ErrUnknownMethod)
}
