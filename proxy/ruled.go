package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
)

// ruled is an HTTP/2 connection in the relay lane that rules can touch. Each
// side has a hop of its own, with its compression, settings and windows. A
// stream without a route passes inline, in the goroutine that reads it; one with
// a route is carried by its exchange in a goroutine of its own, and is opened
// upstream when the exchange sends its request.
type ruled struct {
	c      *conn
	link   *http2.Link
	caller *http2.Hop

	exchanges sync.WaitGroup // that have goroutines
	held      atomic.Int64   // how many
	leaving   atomic.Bool    // the caller was asked to begin no more streams
	heard     atomic.Bool    // and has heard it
	over      atomic.Bool    // no stream is taken any more
	told      atomic.Bool    // the caller was told the last stream that is
	left      atomic.Bool    // our side towards the caller has ended
	ending    atomic.Bool    // both sides have deadlines of their ends

	// Of the goroutine that reads the caller.
	begun   bool     // it has said its first settings
	methods methods2 // that it has called
	room    []byte   // for what a plan makes of a message

	mu        sync.Mutex // guards what follows
	attaching *time.Timer
	up        *ruledUpstream
	all       []*ruledUpstream // that are connected, or will be
	said      []http2.Setting  // by the caller, for the upstream
	ended     bool             // the caller is gone
}

// relayRuled carries c, which began with HTTP/2's preface, to its end.
func (p *Proxy) relayRuled(c *conn) {
	c.protocol, c.lane = HTTP2, LaneRelay
	r := newRuled(c)
	c.race.enter(LaneRelay, r)
	c.setRelay(r)
	in := &ruledInput{Reader: sock.NewReader(c.tcp, &p.buffers, c.first), r: r, tcp: c.tcp, hop: r.caller}
	c.first = nil
	r.link.Flush()
	err := c.contained(func() error { return r.caller.Read(in) })
	r.callerEnded(err)
	r.exchanges.Wait()
	c.end(r.failure(err))
}

func newRuled(c *conn) *ruled {
	r := &ruled{c: c, link: http2.NewLink(c.p.wait.Go)}
	r.caller = r.link.Caller(ruledCaller{r}, newRuledOutput(c.tcp),
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Value: maxStreams},
		http2.Setting{ID: http2.SettingInitialWindowSize, Value: http2.DefaultWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Value: uint32(maxHead)},
	)
	return r
}

// failure is what the connection ended with, for the observers: err is that of
// reading the caller.
func (r *ruled) failure(err error) error {
	var violated *http2.Error
	switch {
	case r.c.failure() != nil:
		return r.c.failure()
	case errors.As(err, &violated):
		return &Error{Origin: OriginCaller, Reason: intercept.Protocol, Err: err}
	}
	return nil
}

// callerEnded ends what is left when the caller can say no more.
func (r *ruled) callerEnded(err error) {
	r.over.Store(true)
	r.ending.Store(true)
	if errors.Is(err, io.EOF) && !r.left.Load() && sock.Broken(r.c.tcp) {
		err = syscall.ECONNRESET // told to a write, which leaves an end for the reader
	}
	reset := isReset(err)
	if reset {
		r.c.cancel(&Error{Origin: OriginCaller, Reason: "reset", Err: err})
	}
	var violated *http2.Error
	if errors.As(err, &violated) {
		r.caller.Shut()
	}
	for _, s := range r.caller.Fail(err) {
		if x, ok := s.Owner.(stream2); ok {
			x.callerReset(http2.Cancel, err)
		}
	}
	r.mu.Lock()
	r.ended = true
	if r.attaching != nil {
		r.attaching.Stop()
	}
	all := r.all
	r.mu.Unlock()
	for _, up := range all {
		up.callerEnded(reset)
	}
	if violated != nil {
		r.c.tcp.SetReadDeadline(time.Now().Add(farewell))
		discard(r.c.tcp, discardAtMost) // to close with it unread would be a reset, and overtake the GOAWAY
	}
}

// goAway implements [relayConn]: a graceful GOAWAY (RFC 9113, 6.8), and a PING
// to know when the caller has heard it.
func (r *ruled) goAway() {
	if r.leaving.Swap(true) {
		return
	}
	r.caller.GoAway(http2.MaxStream, http2.NoError, "")
	r.caller.Ping(false, []byte(farewellPing))
	r.link.Flush()
}

// farewellPing is the content of the PING that follows a GOAWAY.
const farewellPing = "\x00sluice\x00"

// maybeLeave ends our side towards the caller once it has heard that it should
// go, and no stream is open.
func (r *ruled) maybeLeave() {
	if !r.leaving.Load() || !r.heard.Load() && !r.over.Load() {
		return
	}
	r.over.Store(true)
	if r.caller.Streams() > 0 || r.held.Load() > 0 || r.left.Swap(true) {
		return
	}
	if !r.told.Swap(true) {
		r.caller.GoAway(r.caller.LastStream(), http2.NoError, "")
	}
	r.caller.Shut()
	r.ending.Store(true)
	r.c.tcp.SetReadDeadline(time.Now().Add(ruledFarewell))
}

// ruledFarewell is how long a caller may take to hang up that was told the last
// GOAWAY.
const ruledFarewell = time.Second

// Close implements closer: the connection is aborted, and the caller's side has
// been reset.
func (r *ruled) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, up := range r.all {
		up.reset()
	}
}

// upstream returns where new streams go. It is dialled if it was not.
func (r *ruled) upstream() *ruledUpstream {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.up == nil {
		r.newUpstream()
	}
	return r.up
}

// newUpstream begins a connection to the upstream. mu is held.
func (r *ruled) newUpstream() {
	up := &ruledUpstream{r: r, tried: make(chan struct{})}
	up.hop = r.link.Upstream(ruledUpstreamSide{up})
	if r.ended { // an exchange that has yet to hear of it
		up.parting = true
		up.hop.Shut()
	}
	r.up = up
	r.all = append(r.all, up)
	r.c.p.wait.Go(up.carry)
}

// attachPatience is how long a caller may be silent after its settings before the
// upstream is attached that might not be needed.
const attachPatience = 100 * time.Millisecond

// attach takes the connection that was dialled at accept, before a stream needs
// it: what the upstream's settings allow (extended CONNECT, RFC 8441) a caller
// has to know before it begins one. Where a route may answer in the upstream's
// place, only a caller that waits makes it hear a byte. A dial that was put off
// stays so.
func (r *ruled) attach() {
	c := r.c
	c.race.mu.Lock()
	put := c.race.put
	c.race.mu.Unlock()
	switch {
	case put:
	case c.p.Rules.Load().CanAnswer(c.Direction, c.port()):
		r.mu.Lock()
		defer r.mu.Unlock()
		r.attaching = time.AfterFunc(attachPatience, r.attachLate)
	default:
		r.upstream()
	}
}

func (r *ruled) attachLate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended && r.up == nil {
		r.newUpstream()
	}
}

// connected returns a connection to the upstream, once there is one.
func (r *ruled) connected(ctx context.Context) (*ruledUpstream, error) {
	up := r.upstream()
	select {
	case <-up.tried:
		return up, up.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// forget makes the next stream take another connection than up.
func (r *ruled) forget(up *ruledUpstream, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.up == up {
		r.up = nil
	}
	if !gone {
		return
	}
	for i, each := range r.all {
		if each == up {
			r.all = append(r.all[:i:i], r.all[i+1:]...)
			break
		}
	}
}

// ruledUpstream is one connection to the upstream of a ruled connection. There
// is a second one only if the first takes no more streams.
type ruledUpstream struct {
	r     *ruled
	hop   *http2.Hop
	tried chan struct{} // closed when it is connected, or will not be
	err   error         // why it is not; valid then

	callerPings pings2   // of the goroutine that reads the caller
	pings       pings2   // of the goroutine that reads the upstream, as what follows
	refused     []uint32 // the caller's streams that a GOAWAY refused

	greeted bool            // its first settings are on their way; guarded by r.mu, as what follows
	settled bool            // and later ones are sent as they come
	late    []http2.Setting // those that have come in between

	mu      sync.Mutex // guards what follows
	tcp     *net.TCPConn
	aborted bool
	parting bool // the caller has ended
}

// carry is the life of the connection.
func (up *ruledUpstream) carry() {
	r := up.r
	tcp, greeting, err := r.c.take()
	if err == nil && tcp == nil {
		tcp, err = r.c.dial(r.c.ctx)
	}
	if err != nil {
		up.err = err
		r.forget(up, true)
		close(up.tried)
		up.lost(err)
		return
	}
	up.mu.Lock()
	up.tcp = tcp
	switch {
	case up.aborted:
		intercept.Reset(tcp)
	case up.parting:
		tcp.SetReadDeadline(time.Now().Add(farewell))
	}
	up.mu.Unlock()
	up.hop.Attach(newRuledOutput(tcp), up.firstSettings()...)
	close(up.tried)
	up.lateSettings()
	r.link.Flush()
	in := &ruledInput{Reader: sock.NewReader(tcp, &r.c.p.buffers, greeting), r: r, tcp: tcp, hop: up.hop}
	err = r.c.contained(func() error { return up.hop.Read(in) })
	r.forget(up, true)
	up.ended(err)
}

// reset aborts the connection.
func (up *ruledUpstream) reset() {
	up.mu.Lock()
	defer up.mu.Unlock()
	up.aborted = true
	if up.tcp != nil {
		intercept.Reset(up.tcp)
	}
}

// callerEnded does to the upstream what the caller did.
func (up *ruledUpstream) callerEnded(reset bool) {
	if reset {
		up.reset()
		return
	}
	up.hop.Shut()
	up.mu.Lock()
	defer up.mu.Unlock()
	up.parting = true
	if up.tcp != nil {
		up.tcp.SetReadDeadline(time.Now().Add(farewell))
	}
}

// ended does to the caller what the upstream did.
func (up *ruledUpstream) ended(err error) {
	r := up.r
	var violated *http2.Error
	if errors.As(err, &violated) {
		up.hop.Shut()
		up.tcp.SetReadDeadline(time.Now().Add(farewell))
		discard(up.tcp, discardAtMost)
	} else if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // of each stream that is open
		if !r.ending.Load() && sock.Broken(up.tcp) {
			err = syscall.ECONNRESET // as with the caller
		}
	}
	r.mu.Lock()
	last := !r.ended && r.up == nil && !up.spared()
	r.mu.Unlock()
	// Exchanges that are answered have more to say; lost ends them.
	mirrored := last && isReset(err) && r.held.Load() == 0
	if mirrored {
		r.left.Store(true) // else who reads the caller may end it in order, with the abort to come
	}
	if last {
		// First: a caller that has been told how its streams ended may open another at
		// once, and has to know that this is no longer the connection for it.
		r.over.Store(true)
		r.leaving.Store(true)
		if !r.told.Swap(true) {
			r.caller.GoAway(r.caller.LastStream(), http2.NoError, "")
		}
	}
	up.lost(err)
	up.tcp.Close()
	if !last {
		return
	}
	if mirrored {
		r.c.abort(&Error{Origin: OriginUpstream, Reason: intercept.WasReset, Err: err})
		return
	}
	r.maybeLeave()
	r.link.Flush()
}

// spared reports whether the end of the connection is no end of the caller's: it
// was asked nothing, and a route may answer in its place, as where the dial
// fails. What has to be asked then is asked on another one.
func (up *ruledUpstream) spared() bool {
	c := up.r.c
	return up.hop.LastStream() == 0 && c.p.Rules.Load().CanAnswer(c.Direction, c.port())
}

// lost tells the streams that the connection is gone, or never was.
func (up *ruledUpstream) lost(err error) {
	for _, u := range up.hop.Fail(err) {
		switch x := u.Owner.(type) {
		case *inline2:
			up.lostInline(x, err)
		case *planned2:
			x.upstreamLost(err)
		case *ruledStream:
			x.upstreamLost(err)
		}
	}
	up.r.link.Flush()
}

// lostInline tells a stream without a route. A destination that refused is
// mirrored as a reset.
func (up *ruledUpstream) lostInline(x *inline2, err error) {
	if !up.hop.Attached() {
		x.notSent()
		up.r.c.abort(&Error{Origin: OriginUpstream, Reason: intercept.Classify(err), Err: err})
	}
	x.upstreamLost(err)
}
