// Package watch notices the end of TCP conns that nobody reads at the moment,
// with one goroutine and one epoll for a whole proxy.
//
// Each end of a conn is told once: false for a FIN, true for a break, which is
// a reset by the peer or a peer that keep-alive found gone. A FIN that a reset
// follows is told as both. A FIN is told when it arrives, also while bytes that
// came before it are unread; a reset that arrives together with a FIN may hide
// it. Nothing is taken from the conn: whoever reads it sees the same end, and
// where that reading comes first a reset may be told as a FIN.
//
// Callbacks are called one after another in the watch's goroutine. They must
// not block; closing conns and setting their deadlines does not.
package watch

// Token is a conn that is watched. The zero Token is none.
type Token struct{ id uint64 }
