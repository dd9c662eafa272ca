package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/config"
	"github.com/sluice-proxy/sluice/iptables/rootless"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// newExecSidecar makes the sidecar of one command: its outbound connections
// come from the namespace, its published ports from the host. There is no TCP
// admin port, only a socket, so that two at once do not collide.
func newExecSidecar(ns *rootless.Namespace, o execOptions, ports []published) (*sidecar, error) {
	s, err := newSidecar(execConfig(o.rules, ownSocket()), sidecarOptions{
		Listeners: execListeners(ns, ports),
		Stderr:    os.Stderr,
		Level:     slog.LevelWarn,
		Command:   o.argv,
		Observers: o.observers,
	})
	var exit *exitError
	if err != nil && !errors.As(err, &exit) {
		return nil, execFailure(err)
	}
	return s, err
}

// execConfig is the configuration of a sidecar that is there for one command.
func execConfig(dir, socket string) config.Config {
	cfg := config.Default()
	cfg.Rules = dir
	cfg.Listeners = config.Listeners{}
	cfg.Admin = config.Admin{Socket: socket}
	cfg.Health = config.Address{}
	cfg.Log.Exchanges = config.ExchangesOff
	cfg.Drain = 0 // when the command has ended, nobody is left to wait for
	return cfg
}

func execListeners(ns *rootless.Namespace, ports []published) []proxy.Listener {
	var listeners []proxy.Listener
	for _, l := range ns.Outbound() {
		listeners = append(listeners, proxy.Listener{
			Name: "outbound", Net: l, Direction: rules.Outbound, Destination: ns.Destination, Dial: dialOutside,
		})
	}
	for _, p := range ports {
		inner := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), p.inner)
		listeners = append(listeners, proxy.Listener{
			Name: p.listener.Addr().String(), Net: p.listener, Direction: rules.Inbound,
			Destination: func(*net.TCPConn) (netip.AddrPort, error) { return inner, nil },
			Dial: func(ctx context.Context, _ string) (*net.TCPConn, error) {
				return dialPublished(ctx, ns, p.inner)
			},
		})
	}
	return listeners
}

// dialOutside connects to where a connection of the command was going. A host
// port is that same address, seen from outside.
func dialOutside(ctx context.Context, address string) (*net.TCPConn, error) {
	var dialer net.Dialer
	dialer.SetMultipathTCP(false) // splice needs plain TCP
	up, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return up.(*net.TCPConn), nil
}

// dialPublished connects to the command's port, on 127.0.0.1 or, for servers
// that bind what localhost means first, on ::1.
func dialPublished(ctx context.Context, ns *rootless.Namespace, port uint16) (*net.TCPConn, error) {
	up, err := ns.DialInside(ctx, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
	if err == nil {
		return up, nil
	}
	if up, err := ns.DialInside(ctx, netip.AddrPortFrom(netip.IPv6Loopback(), port)); err == nil {
		return up, nil
	}
	return nil, err
}

// ownSocket is a free path for the admin socket of this process, in the first
// directory that can be used; empty if there is none.
func ownSocket() string {
	for _, dir := range socketDirs() {
		if usableDir(dir) {
			return dir + "/" + strconv.Itoa(os.Getpid()) + ".sock"
		}
	}
	return ""
}
