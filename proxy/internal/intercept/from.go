package intercept

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
)

// DialFrom is [Dialer.Dial] from an address of another host: the upstream sees
// a caller's address in place of ours. The answers go to that address, so
// redirect rules have to bring them back here, by the Mark. The port is not the
// caller's. It needs CAP_NET_ADMIN.
//
// A link-local IPv6 caller keeps to itself: answers to its address are bound to
// its link, where no rule can turn them back, so the dial is an ordinary one.
func (d *Dialer) DialFrom(ctx context.Context, address string, from netip.Addr) (*net.TCPConn, error) {
	from = from.Unmap()
	if !from.IsValid() || from.IsUnspecified() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no address to dial from")}
	}
	if from.Is6() && from.IsLinkLocalUnicast() {
		return d.Dial(ctx, address)
	}
	for try := 1; ; try++ {
		c, err := d.dial(ctx, address, from)
		// Another dial may take the same port to the same destination first, or
		// its last connection is in TIME_WAIT.
		if errors.Is(err, syscall.EADDRNOTAVAIL) && try < maxTries && ctx.Err() == nil {
			continue
		}
		return c, err
	}
}

// The ports of dials in a caller's name are ours to choose: the kernel does not
// know that the caller's own connection, which ends on this host too, must have
// another one. If both had the same, each would get the other's packets. The
// range is below those that callers commonly have theirs from, 32768 and
// beyond on Linux and 49152 and beyond elsewhere, so that a new caller's
// connection rarely meets one of ours.
const (
	minPort  = 1024
	maxPort  = 32767
	maxTries = 64 // for a port that is free
)

// choosePort calls try with one port after another, from a random one on, until
// it says that the port will do.
func choosePort(try func(port uint16) (bool, error)) error {
	port := minPort + rand.N(maxPort-minPort+1)
	for range maxTries {
		if ok, err := try(uint16(port)); ok || err != nil {
			return err
		}
		if port++; port > maxPort {
			port = minPort
		}
	}
	return syscall.EADDRNOTAVAIL
}

func fromError(from netip.Addr, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("dial in the name of %v: %w: IP_TRANSPARENT needs CAP_NET_ADMIN; grant it, or redirect with REDIRECT instead of TPROXY", from, err)
	}
	return fmt.Errorf("dial in the name of %v: %w", from, err)
}
