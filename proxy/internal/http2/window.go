package http2

import "errors"

// This file is the window ledger of one hop (RFC 9113, 5.2): what its peer may
// still send to us, and what we may still send to it, for each stream and in
// all. It does no I/O and takes no lock; the hop's lock guards it.

// What we grant to a peer: on each stream, which is also what HTTP/2 begins
// with, so that no settings of ours have to arrive first; and in all.
const (
	streamGrant = DefaultWindow
	connGrant   = 1 << 20
)

// errWindow is a peer that opens a window beyond 2^31-1, or sends more than
// it was granted: FLOW_CONTROL_ERROR.
var errWindow = errors.New("flow control window violated")

// granted is what a peer may send to us. Each byte that arrives is in exactly
// one place: held by us, or owed to the peer, or given back to it.
type granted struct {
	size int64 // of the full window
	left int64 // what the peer may still send, as far as it knows
	owed int64 // consumed here, and not told to the peer yet
}

func newGranted(size int64) granted { return granted{size: size, left: size} }

// arrived notes n bytes from the peer. It errs, and notes nothing, if they are
// more than were granted.
func (g *granted) arrived(n int) error {
	if int64(n) > g.left {
		return errWindow
	}
	g.left -= int64(n)
	return nil
}

// consumed notes that n of the bytes that arrived are no longer held: they were
// forwarded, swallowed or taken in by a rule. It returns the increment to tell
// the peer, 0 while that can wait: until half of the window is owed.
func (g *granted) consumed(n int) (increment uint32) {
	g.owed += int64(n)
	if g.owed < g.size/2 {
		return 0
	}
	return g.settle()
}

// settle returns all that is owed.
func (g *granted) settle() (increment uint32) {
	increment = uint32(g.owed)
	g.left += g.owed
	g.owed = 0
	return increment
}

// held is how many bytes arrived and are not consumed.
func (g *granted) held() int64 { return g.size - g.left - g.owed }

// allowed is what a peer lets us send. It can be negative after the peer shrank
// its initial window (RFC 9113, 6.9.2).
type allowed struct{ left int64 }

// open notes a WINDOW_UPDATE.
func (a *allowed) open(increment uint32) error {
	if a.left+int64(increment) > MaxWindow {
		return errWindow
	}
	a.left += int64(increment)
	return nil
}

// shift notes that the peer's initial window went from one size to another.
func (a *allowed) shift(from, to int64) error {
	if a.left+to-from > MaxWindow {
		return errWindow
	}
	a.left += to - from
	return nil
}

// room is how many of n bytes may be sent on a stream, of which both the
// stream's window and the connection's must allow each.
func room(conn, stream allowed, n int) int {
	return int(max(0, min(int64(n), conn.left, stream.left)))
}

// sent notes n bytes that were sent, no more than there was room for.
func (a *allowed) sent(n int) { a.left -= int64(n) }
