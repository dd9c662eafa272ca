package proxy

// GoAway asks every caller in the relay lane to go away.
func GoAway(p *Proxy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.mu.Lock()
		r := c.relay
		c.mu.Unlock()
		if r != nil {
			r.goAway()
		}
	}
}
