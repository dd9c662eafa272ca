package proxy

import (
	"strings"
	"sync"

	"github.com/sluice-proxy/sluice/proxy/internal/detect"
	"github.com/sluice-proxy/sluice/proxy/internal/resilience"
)

// maxKnown is how many destinations are remembered.
const maxKnown = 1024

// known remembers which destinations speak HTTP. The zero known remembers none.
type known struct {
	mu     sync.Mutex
	speaks map[string]struct{} // HTTP, by address
}

// noteKind remembers what the destination of c was spoken to in.
func (p *Proxy) noteKind(c *conn, kind detect.Kind) {
	speaks := kind == detect.HTTP1 || kind == detect.HTTP2
	address := c.address()
	p.known.mu.Lock()
	defer p.known.mu.Unlock()
	_, was := p.known.speaks[address]
	switch {
	case speaks && !was && len(p.known.speaks) < maxKnown:
		if p.known.speaks == nil {
			p.known.speaks = make(map[string]struct{})
		}
		p.known.speaks[address] = struct{}{}
	case !speaks && was && kind != detect.Unknown:
		delete(p.known.speaks, address)
	}
}

// knownOpen reports whether the destination of c speaks HTTP and one of its
// breakers is open. It is not dialled then before the head of a request shows
// whether it will be asked: a destination that is down is spared, and so is the
// wait for it.
func (p *Proxy) knownOpen(c *conn) bool {
	address := c.address()
	p.known.mu.Lock()
	_, speaks := p.known.speaks[address]
	p.known.mu.Unlock()
	if !speaks {
		return false
	}
	for _, b := range p.breakers.List() {
		if open := b.State == resilience.Open || b.State == resilience.ForcedOpen; open && strings.HasSuffix(b.Name, "@"+address) {
			return true
		}
	}
	return false
}
