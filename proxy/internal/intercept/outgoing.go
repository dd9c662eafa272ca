package intercept

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"weak"
)

// pair is a connection as its dialling end sees it.
type pair struct{ local, remote netip.AddrPort }

// outgoing remembers the connections that a Dialer made, for as long as they
// are open. Nobody has to tell it of their end: they are bare connections with
// many users, so it looks when it matters.
//
// A connection that is redirected back may be accepted before its dial has
// returned. So a dial is announced before it connects, and what is accepted
// meanwhile with the same destination is kept as a suspect for the dial to find
// itself among. Whichever of the two comes second finds the other.
type outgoing struct {
	mu      sync.Mutex // guards what follows
	conns   map[pair]weak.Pointer[net.TCPConn]
	pending map[netip.AddrPort]*pending // by destination
}

// pending are the dials to one destination that have not returned.
type pending struct {
	dials    int
	suspects map[netip.AddrPort]struct{} // peers that were accepted meanwhile
}

// begin announces a dial.
func (o *outgoing) begin(to netip.AddrPort) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pending == nil {
		o.pending = make(map[netip.AddrPort]*pending)
	}
	p := o.pending[to]
	if p == nil {
		p = new(pending)
		o.pending[to] = p
	}
	p.dials++
}

// finish takes an announcement back.
func (o *outgoing) finish(to netip.AddrPort) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.pending[to]
	if p.dials--; p.dials == 0 {
		delete(o.pending, to)
	}
}

// made notes a connection whose dial was announced. It reports whether it was
// accepted by this process already.
func (o *outgoing) made(c *net.TCPConn) (looped bool) {
	key := pairOf(c)
	entry := weak.Make(c)
	o.mu.Lock()
	if p := o.pending[key.remote]; p != nil {
		_, looped = p.suspects[key.local]
	}
	if o.conns == nil {
		o.conns = make(map[pair]weak.Pointer[net.TCPConn])
	}
	o.conns[key] = entry
	o.mu.Unlock()
	runtime.AddCleanup(c, o.forget, gone{key, entry})
	return looped
}

// isOwn reports whether p is open and was made here, and keeps it as a suspect
// if that cannot be known yet.
func (o *outgoing) isOwn(p pair) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.conns[p].Value(); c != nil && isOpen(c) {
		return true
	}
	if pending := o.pending[p.remote]; pending != nil {
		if pending.suspects == nil {
			pending.suspects = make(map[netip.AddrPort]struct{})
		}
		pending.suspects[p.local] = struct{}{}
	}
	return false
}

// gone names a connection that nobody refers to any more.
type gone struct {
	key   pair
	entry weak.Pointer[net.TCPConn]
}

// forget is called by the runtime. The address may be in use anew.
func (o *outgoing) forget(g gone) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conns[g.key] == g.entry {
		delete(o.conns, g.key)
	}
}

func pairOf(c *net.TCPConn) pair {
	return pair{unmap(c.LocalAddr().(*net.TCPAddr).AddrPort()), unmap(c.RemoteAddr().(*net.TCPAddr).AddrPort())}
}

func isOpen(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	return err == nil && raw.Control(func(uintptr) {}) == nil
}
