package intercept

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// DefaultTimeout is Dialer.Timeout's default.
const DefaultTimeout = 5 * time.Second

// ErrLoop is the error of a dial that came back to Sluice's own listener.
var ErrLoop = errors.New("the connection came back to this process: its uid, gid or mark does not bypass the redirect")

// Dialer makes Sluice's own connections and knows them again. The zero value
// works; it must not be copied after the first Dial.
type Dialer struct {
	// Mark is the sockets' SO_MARK, by which redirect rules let them pass. Zero
	// sets none. It needs CAP_NET_ADMIN: see [Dialer.CheckMark].
	Mark uint32

	// Timeout is the longest wait for a connection. Zero means DefaultTimeout.
	Timeout time.Duration

	// KeepAlive is the time between keep-alive probes. Zero means Go's default of
	// 15 s, negative no probes.
	KeepAlive time.Duration

	outgoing outgoing
}

// Dial connects to address, host:port or an IP address and port. The connection
// is a bare one, so that it can be spliced.
func (d *Dialer) Dial(ctx context.Context, address string) (*net.TCPConn, error) {
	return d.dial(ctx, address, netip.Addr{})
}

// dial connects from the address given, if it is valid.
func (d *Dialer) dial(ctx context.Context, address string, from netip.Addr) (*net.TCPConn, error) {
	timeout := d.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	attempts := attempts{outgoing: &d.outgoing}
	dialer := net.Dialer{
		Timeout:   timeout,
		KeepAlive: d.KeepAlive,
		ControlContext: func(_ context.Context, _, to string, c syscall.RawConn) error {
			if err := d.mark(c); err != nil {
				return err
			}
			destination, err := netip.ParseAddrPort(to)
			if err != nil {
				return err
			}
			if from.IsValid() {
				if err := bindFrom(c, from, unmap(destination)); err != nil {
					return err
				}
			}
			return attempts.begin(destination)
		},
	}
	dialer.SetMultipathTCP(false)
	nc, err := dialer.DialContext(ctx, "tcp", address)
	c, _ := nc.(*net.TCPConn)
	looped := c != nil && d.outgoing.made(c)
	attempts.finish()
	if looped {
		Reset(c)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: c.RemoteAddr(), Err: ErrLoop}
	}
	return c, err
}

// CheckMark tries whether this process may set the mark. Call it once before
// anything is redirected: without its mark Sluice would intercept itself.
func (d *Dialer) CheckMark() error {
	if d.Mark == 0 {
		return nil
	}
	return checkMark(d.Mark)
}

func (d *Dialer) mark(c syscall.RawConn) error {
	if d.Mark == 0 {
		return nil
	}
	var err error
	if cerr := c.Control(func(fd uintptr) { err = setMark(int(fd), d.Mark) }); cerr != nil {
		return cerr
	}
	return err
}

// IsOutgoing reports whether the accepted connection from peer, originally to
// destination, is one of this Dialer's own that was redirected back. Both
// addresses count: a service that calls itself through Sluice arrives from an
// address of ours too, but to another destination, and applications share
// source ports with us towards other destinations.
//
// Ask once, after accept and before dialling. Should the connection arrive
// before its Dial has returned, that Dial fails with [ErrLoop] instead.
func (d *Dialer) IsOutgoing(peer, destination netip.AddrPort) bool {
	return d.outgoing.isOwn(pair{unmap(peer), unmap(destination)})
}

// attempts are the destinations that one Dial has begun to connect to: a name
// has several addresses, and two are tried at a time.
type attempts struct {
	outgoing *outgoing
	mu       sync.Mutex // guards what follows
	to       []netip.AddrPort
	over     bool
}

func (a *attempts) begin(to netip.AddrPort) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over { // another attempt has won meanwhile
		return context.Canceled
	}
	a.outgoing.begin(unmap(to))
	a.to = append(a.to, unmap(to))
	return nil
}

func (a *attempts) finish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	for _, to := range a.to {
		a.outgoing.finish(to)
	}
}

// Reset closes c with a reset in place of a clean end: its peer's next read or
// write fails.
func Reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

func markError(err error) error {
	if errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("mark sockets: %w: SO_MARK needs CAP_NET_ADMIN; grant it, or run as the uid or gid that the redirect rules let pass", err)
	}
	return fmt.Errorf("mark sockets: %w", err)
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
