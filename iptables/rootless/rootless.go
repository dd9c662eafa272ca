// Package rootless runs a command in user, network, pid and mount namespaces
// of its own, without root, and hands every TCP connection that the command
// makes to listeners of the calling process.
//
// Three processes play:
//
//	parent     the caller of Start. Accepts on Outbound, answers DNS from
//	           outside, connects into the namespace with DialInside.
//	namespace  the parent's own binary, started again (MaybeHelper). PID 1 of
//	           the pid namespace, uid 0 of the user namespace: it sets the
//	           network up, makes sockets on request, reaps, forwards signals.
//	command    under PID 1, in a nested user namespace that maps back to the
//	           caller's uid and gid: it has no power over the redirect.
//
// The death of any of them ends all three: the kernel kills a pid namespace
// with its PID 1, and PID 1 ends when its socket to the parent closes.
//
// Inside, only lo is there, with a default route over it. A connection to any
// address is redirected to Outbound, except to the command's own addresses.
// DNS is answered on 127.0.0.1 and ::1; other UDP gets port unreachable at
// once, so that QUIC falls back to TCP.
package rootless

import (
	"errors"
	"net/netip"
	"os"
)

// The exit codes of Run when they are not the command's own.
const (
	ExitFailed        = 125 // the namespace, not the command, failed
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// ErrUnsupported says that the operating system has no network namespaces.
var ErrUnsupported = errors.New("network namespaces are there on Linux only")

// Config says what to run. Only Argv is required.
type Config struct {
	// Argv is the command and its arguments. Argv[0] without a slash is looked
	// up in the PATH of Env.
	Argv []string
	// Env is the command's environment, "key=value". Nil means the caller's.
	Env []string
	// Dir is the command's working directory. Empty means the caller's.
	Dir string
	// HostPorts are ports of 127.0.0.1 that mean the host's own loopback: a
	// connection to one of them arrives at Outbound instead of staying inside.
	HostPorts []uint16
	// Resolvers answer the command's DNS queries, tried in order, reached from
	// outside. Nil means those of the host's /etc/resolv.conf, read again for
	// each query, so that a laptop may change networks.
	Resolvers []netip.AddrPort
	// Stdin, Stdout and Stderr are the command's. Nil means the caller's. They
	// stay the caller's to close.
	Stdin, Stdout, Stderr *os.File
}

// SetupError says which step of making the namespace was refused, and what
// the user can do about it.
type SetupError struct {
	Step string // the doing-words: "mount a fresh /proc"
	Hint string // what to do; empty when there is no good advice
	Err  error
}

func (e *SetupError) Error() string {
	s := "make the namespace: " + e.Step + ": " + e.Err.Error()
	if e.Hint != "" {
		s += "\nhint: " + e.Hint
	}
	return s
}

func (e *SetupError) Unwrap() error { return e.Err }
