package proxy

// The lane of HTTP is chosen by what its rules need. Every step that exists can
// act in the relay lane, so the exchange lane is taken where Config.Lane says
// so, for comparison.

// carryHTTP1 carries a connection whose caller speaks HTTP/1, to its end.
func (p *Proxy) carryHTTP1(c *conn) {
	if p.Lane == LaneExchange {
		p.serveHTTP(c, HTTP1) // front.go: net/http reads requests and calls ServeHTTP
		return
	}
	p.relayHTTP1(c) // relay1.go: exchange by exchange
}

// carryHTTP2 carries a connection whose caller speaks HTTP/2, to its end.
func (p *Proxy) carryHTTP2(c *conn) {
	switch {
	case p.Lane == LaneExchange:
		p.serveHTTP(c, HTTP2) // front.go
	case p.Rules.Load().CanTouch(c.Direction, c.port()):
		p.relayRuled(c) // ruled.go: stream by stream, each side with a compression of its own
	default:
		p.relayVerbatim(c) // verbatim.go: frames as they come
	}
}

// followRules asks the callers of connections to come again on new ones when
// rules that are new can touch what these pass as bytes.
func (p *Proxy) followRules() {
	for set := p.Rules.Load(); ; set = p.Rules.Load() {
		select {
		case <-set.Replaced():
		case <-p.done:
			return
		}
		set = p.Rules.Load()
		for _, c := range p.openConns() {
			if v, ok := c.relayed().(*verbatim); ok && set.CanTouch(c.Direction, c.port()) {
				v.goAway()
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
