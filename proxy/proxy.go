// Package proxy carries a service's connections through Sluice.
//
// flow.go tells the story: [Proxy.Serve] accepts connections; each is told
// apart by its first bytes, while its upstream is dialled, and takes a lane.
// Raw TCP and TLS are spliced. HTTP goes through the exchange lane, where
// every request begins an exchange, is matched with the rule set in force, and
// passes the steps of its route. What no rule touches passes as bytes.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/resilience"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
	"github.com/sluice-proxy/sluice/proxy/internal/splice"
	"github.com/sluice-proxy/sluice/proxy/internal/watch"
	"github.com/sluice-proxy/sluice/rules"
)

// Listener is a source of connections.
type Listener struct {
	// Name labels it: "outbound", "inbound", or an explicit listener's address.
	Name string
	// Net accepts *net.TCPConn. The Proxy closes it.
	Net       net.Listener
	Direction rules.Direction

	// Upstream, if not empty, is the host:port that every connection is for: an
	// explicit reverse proxy. Otherwise Destination tells.
	Upstream string
	// Destination tells where an accepted connection was going. Nil means what
	// the kernel's redirect recorded.
	Destination func(*net.TCPConn) (netip.AddrPort, error)
	// Dial connects to the upstream. Nil dials from this process with
	// Config.Mark.
	Dial func(ctx context.Context, address string) (*net.TCPConn, error)
	// Transparent dials the upstream in the caller's name, so that it sees the
	// caller's address. The redirect has to bring the answers back, as TPROXY's
	// does by Config.Mark. It goes with neither Upstream nor Dial.
	Transparent bool
}

// Config is what a Proxy is made of. Zero durations and sizes mean the default
// beside them.
type Config struct {
	Listeners []Listener
	Rules     *rules.Live     // nil: no rules
	Codecs    *codec.Registry // nil: no body can be decoded
	Methods   protobuf.Source // finds gRPC descriptors; nil: none
	Observer  Observer        // nil: nobody watches
	Log       *slog.Logger    // nil: discarded

	// Lane is the lane of all HTTP if it is LaneExchange.
	Lane Lane
	// LaneOf is the lane that a route needs, LaneRelay or LaneExchange. Nil means
	// the relay lane, in which every step that exists can act.
	LaneOf func(*rules.Route) Lane

	// ExplainToken reports whether the value of a request's x-sluice-explain is the
	// token by which its caller may learn which record is of it. It compares in
	// constant time. Nil: nobody may.
	ExplainToken func(value string) bool

	// PrivateReflection answers inbound calls of gRPC's reflection services with
	// UNIMPLEMENTED. Methods may ask the services all the same.
	PrivateReflection bool

	Mark           uint32        // SO_MARK of upstream sockets; 0: none
	ConnectTimeout time.Duration // 5 s
	HeadTimeout    time.Duration // for a head or any other first word once it began; 10 s
	IdleDrain      time.Duration // how long a connection may idle while draining, and then nobody come; 1 s
	Seed           uint64        // of what is decided by lot, such as a fault's sample; 0: another one each time
	Capture        codec.Bytes   // kept of each body for observers; 16 KiB; negative: nothing
}

func (c Config) withDefaults() Config {
	if c.Rules == nil {
		c.Rules = new(rules.Live)
	}
	if c.Codecs == nil {
		c.Codecs = codec.NewRegistry()
	}
	if c.Observer == nil {
		c.Observer = Observers(nil)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	if c.HeadTimeout == 0 {
		c.HeadTimeout = 10 * time.Second
	}
	if c.IdleDrain == 0 {
		c.IdleDrain = time.Second
	}
	switch {
	case c.Capture == 0:
		c.Capture = 16 * codec.KiB
	case c.Capture < 0:
		c.Capture = 0
	}
	return c
}

// Proxy carries connections. Make one with [New].
type Proxy struct {
	Config
	dialer   *intercept.Dialer
	own      *intercept.Own
	breakers *resilience.Group
	limiters resilience.Limiters // by route
	draws    draws
	ids      idSource
	known    known // destinations that speak HTTP

	transports transports
	calls      grpcFronts // for calls whose messages a route touches

	pipes   splice.Pipes // kernel pipes
	buffers sock.Buffers // of the relay lane
	watch   *watch.Watch // of conns in the relay lane
	watched bool         // somebody observes
	shadows *shadows     // nil of one that only computes

	instant   time.Time        // that exchanges see; zero: the clock's
	stepClock func() time.Time // times steps that run in place too; nil: not worth it

	draining atomic.Bool
	drains   chan struct{} // closed when draining begins

	mu     sync.Mutex // guards what follows
	http2  *httpFront // replaced when draining begins: the old one says GOAWAY
	fronts []*httpFront
	conns  map[*conn]struct{}
	gone   *sync.Cond // the last of conns is gone
	closed bool
	done   chan struct{} // closed with it

	idle       chan struct{} // made by Drain, closed when it may return
	quietSince time.Time     // when the last connection ended

	wait sync.WaitGroup // every goroutine that the proxy started

	stopShadows context.CancelFunc
}

// New checks cfg and returns a Proxy that is not serving yet.
func New(cfg Config) (*Proxy, error) {
	cfg = cfg.withDefaults()
	if len(cfg.Listeners) == 0 {
		return nil, errors.New("no listeners")
	}
	for _, l := range cfg.Listeners {
		if l.Net == nil {
			return nil, fmt.Errorf("listener %s: not open", l.Name)
		}
		if l.Direction != rules.Inbound && l.Direction != rules.Outbound {
			return nil, fmt.Errorf("listener %s: direction %q is neither inbound nor outbound", l.Name, l.Direction)
		}
		if l.Transparent && (l.Upstream != "" || l.Dial != nil) {
			return nil, fmt.Errorf("listener %s: only redirected connections are dialled in the caller's name", l.Name)
		}
		if l.Upstream != "" {
			if _, _, err := net.SplitHostPort(l.Upstream); err != nil {
				return nil, fmt.Errorf("listener %s: upstream: %w", l.Name, err)
			}
		}
	}
	p := &Proxy{
		Config: cfg,
		dialer: &intercept.Dialer{Mark: cfg.Mark, Timeout: cfg.ConnectTimeout},
		conns:  make(map[*conn]struct{}),
		done:   make(chan struct{}),
		drains: make(chan struct{}),
		draws:  newDraws(cfg.Seed),
	}
	addrs := make([]net.Addr, len(cfg.Listeners))
	for i, l := range cfg.Listeners {
		addrs[i] = l.Net.Addr()
	}
	p.own = intercept.NewOwn(addrs...)
	var err error
	if p.watch, err = watch.New(); err != nil {
		return nil, err
	}
	if several, ok := cfg.Observer.(Observers); !ok || len(several) > 0 {
		p.watched = true
	}
	p.gone = sync.NewCond(&p.mu)
	p.breakers = resilience.NewGroup(p.breakerChanged)
	p.transports = newTransports()
	p.http2 = p.newFront()
	p.wait.Go(p.followRules)
	p.shadows = newShadows(p)
	var shadowing context.Context
	shadowing, p.stopShadows = context.WithCancel(context.Background())
	p.wait.Go(func() { p.shadows.work(shadowing) })
	return p, nil
}

// Listen opens a TCP listener on address, [host]:port; without a host on IPv4 and
// IPv6. A transparent one takes what TPROXY sends, which needs CAP_NET_ADMIN.
func Listen(ctx context.Context, address string, transparent bool) (net.Listener, error) {
	return intercept.Listen(ctx, address, intercept.Options{Transparent: transparent})
}

// CheckMark tries whether this process may set Config.Mark, which needs
// CAP_NET_ADMIN.
func CheckMark(mark uint32) error {
	d := intercept.Dialer{Mark: mark}
	return d.CheckMark()
}

// Drain asks every connection to end: HTTP/1 answers carry Connection: close,
// HTTP/2 says a graceful GOAWAY, idle connections are closed. Listeners stay
// open and go on accepting. It returns when no connection has been open for
// IdleDrain, or with ctx's error. Call [Proxy.Close] afterwards.
func (p *Proxy) Drain(ctx context.Context) error {
	p.mu.Lock()
	if p.idle == nil {
		p.idle = make(chan struct{})
		old := p.http2
		p.http2 = p.newFront()
		p.draining.Store(true)
		close(p.drains)
		p.quietSince = time.Now()
		p.wait.Go(old.sayGoAway)
		p.wait.Go(p.sayGoAway)
		p.wait.Go(p.emptyOut)
	}
	idle := p.idle
	p.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Draining reports whether [Proxy.Drain] was called.
func (p *Proxy) Draining() bool { return p.draining.Load() }

// emptyOut ends connections without an exchange while draining, and tells when
// none has been open for IdleDrain. A connection has to idle that long first:
// closing at once would race with a request on its way, and a caller whose
// every answer says Connection: close has no connection open in between.
func (p *Proxy) emptyOut() {
	tick := time.NewTicker(p.IdleDrain / 4)
	defer tick.Stop()
	for range tick.C {
		p.mu.Lock()
		empty := len(p.conns) == 0 && time.Since(p.quietSince) >= p.IdleDrain
		if p.closed || empty {
			close(p.idle)
			p.mu.Unlock()
			return
		}
		var old []*conn
		for c := range p.conns {
			switch {
			case c.idleFor() > p.IdleDrain && c.mayHangUp(p.IdleDrain):
				c.hangUp()
			case time.Since(c.Opened) > p.IdleDrain:
				old = append(old, c)
			}
		}
		p.mu.Unlock()
		for _, c := range old {
			// A connection of HTTP/2 that came while draining carries what its caller
			// made it for first: who is told to go away at once has nowhere to go.
			if r := c.relayed(); r != nil {
				r.goAway()
			}
		}
	}
}

// Close ends everything at once: listeners, connections and exchanges, and
// waits for the goroutines it started.
func (p *Proxy) Close() {
	p.mu.Lock()
	if !p.closed {
		close(p.done)
	}
	p.closed = true
	p.stopShadows()
	fronts := p.fronts
	for c := range p.conns {
		c.abort(&Error{Origin: OriginSluice, Reason: "closed"})
	}
	p.mu.Unlock()
	for _, l := range p.Listeners {
		l.Net.Close()
	}
	for _, f := range fronts {
		f.close()
	}
	p.calls.stop()
	p.mu.Lock()
	for len(p.conns) > 0 {
		p.gone.Wait() // net/http runs the exchanges
	}
	p.mu.Unlock()
	p.wait.Wait()
	p.breakers.Close()
	p.pipes.Close()
	p.watch.Close()
}

// Conns returns how many connections are open.
func (p *Proxy) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// add registers c, or reports false if the proxy is closed.
func (p *Proxy) add(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) remove(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	p.quietSince = time.Now()
	if len(p.conns) == 0 {
		p.gone.Broadcast()
	}
}

// front returns the HTTP/2 server for connections that begin now, nil if the
// proxy is closed.
func (p *Proxy) front() *httpFront {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	return p.http2
}

var _ http.Handler = (*Proxy)(nil)
