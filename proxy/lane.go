package proxy

import "github.com/sluice-proxy/sluice/rules"

// HTTP takes the lane that its rules need. HTTP/1 chooses for each request
// (relay1exchange.go), HTTP/2 for each connection: all of its streams share one.

// carryHTTP2 carries a connection whose caller speaks HTTP/2, to its end.
func (p *Proxy) carryHTTP2(c *conn) {
	set := p.Rules.Load()
	switch {
	case p.laneOfConn(c, set.Set) == LaneExchange:
		p.serveHTTP2(c) // front.go
	case c.mayTouch(set.Set):
		p.relayRuled(c) // ruled.go: stream by stream, each side with a compression of its own
	default:
		p.relayVerbatim(c) // verbatim.go: frames as they come
	}
}

// laneOf is the lane that an exchange of a route needs. A nil route is none.
func (p *Proxy) laneOf(route *rules.Route) Lane {
	switch {
	case p.Lane == LaneExchange:
		return LaneExchange
	case p.LaneOf == nil || route == nil:
		return LaneRelay
	}
	return p.LaneOf(route)
}

// laneOfConn is the lane that the routes which could match an exchange of c
// need. One that needs the exchange lane decides: all steps can act there.
func (p *Proxy) laneOfConn(c *conn, set *rules.Set) Lane {
	if p.Lane == LaneExchange {
		return LaneExchange
	}
	if p.LaneOf != nil {
		for _, route := range set.Routes() {
			if route.Touches(c.Direction, c.port()) && p.LaneOf(route) == LaneExchange {
				return LaneExchange
			}
		}
	}
	return LaneRelay
}

// followRules asks the callers of HTTP/2 connections to come again on new ones
// when new rules need another lane than theirs, or could touch what passes as
// bytes.
func (p *Proxy) followRules() {
	for {
		select {
		case <-p.Rules.Load().Replaced():
		case <-p.done:
			return
		}
		set := p.Rules.Load()
		for _, c := range p.openConns() {
			switch r := c.relayed().(type) {
			case *verbatim:
				if set.CanTouch(c.Direction, c.port()) {
					r.goAway()
				}
			case *ruled:
				if p.laneOfConn(c, set.Set) == LaneExchange {
					r.goAway()
				}
			}
		}
	}
}

// sayGoAway asks the callers of all connections to come again on new ones.
func (p *Proxy) sayGoAway() {
	for _, c := range p.openConns() {
		if r := c.relayed(); r != nil {
			r.goAway()
		}
	}
}

func (p *Proxy) openConns() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	open := make([]*conn, 0, len(p.conns))
	for c := range p.conns {
		open = append(open, c)
	}
	return open
}

// relayed is who carries the connection in the relay lane, nil if nobody does.
func (c *conn) relayed() relayConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.relay
}
