package proxy

import "github.com/sluice-proxy/sluice/proxy/internal/http2"

// This file turns a planned2 into a ruledStream, which has a goroutine and takes
// the long way from there.

// turnRequest turns a call of which nothing has left. data is what came of the
// request beside its head, and trailers what followed.
func (x *planned2) turnRequest(data []byte, trailers *http2.Head) {
	x.caller.HoldFrom(nil, false, data, trailers)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.told == nil {
		return
	}
	x.told = nil
	x.turned = &ruledStream{r: x.r, caller: x.caller}
	x.turned.begin(x.head, x.seen, false, nil, &x.found)
	x.r.c.exchanges.Add(-1) // it was counted as this one
}

// turnResponse turns a call whose request was sent, and the rest of whose story
// begins with its response: with a head, or nil, and what followed. It is called
// by the goroutine that reads the upstream, as is turnEnd.
func (x *planned2) turnResponse(u *http2.Stream, head *http2.Head, end bool, data []byte, trailers *http2.Head) {
	u.HoldFrom(head, end, data, trailers)
	x.caller.Hold()
	x.turn(func(c *call2) error { return c.ending(c.upstreamToCaller()) })
}

// turnEnd turns a call whose response has begun to pass, and that ends with err.
func (x *planned2) turnEnd(err error) {
	x.upstreamStream().Hold()
	x.caller.Hold()
	x.turn(func(c *call2) error { return c.ending(c.lost(err)) })
}

// turn lets a goroutine carry the call from there.
func (x *planned2) turn(from func(*call2) error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.told == nil {
		return
	}
	t, c := x.told, x.r.c
	y := &ruledStream{r: x.r, caller: x.caller, upstream: x.upstream, sending: true, fields: x.head.Fields}
	y.open(c, y, arrival{lane: LaneRelay, protocol: HTTP2, head: x.seen.head, ctx: c.ctx})
	y.adopt(&x.found)
	y.route, y.params, y.method = x.found.match.Route, x.found.match.Params, x.method
	y.readByMessage = true
	r := &t.record
	x.unframe()
	y.record.Route, y.record.Passed, y.record.Attempts, y.record.Status = r.Route, r.Passed, r.Attempts, r.Status
	y.record.Request, y.record.Response = r.Request, r.Response
	y.request.messages.Store(1)
	if r.Status != 0 {
		y.began = true
		y.response.in, y.response.out = r.Response.In, r.Response.Out
		y.response.messages.Store(int64(r.Response.MessageCount))
	}
	y.sent = r.Started
	x.told, x.turned = nil, y // t is not used again: y's record has its bytes
	x.r.held.Add(1)
	x.r.exchanges.Add(1)
	c.exchanges.Add(-1)
	c.p.wait.Go(func() {
		defer x.r.exchanges.Done()
		defer c.contain()
		y.finish(y.guard(func() error { return y.callFrom(from) }))
	})
}
