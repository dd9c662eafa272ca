package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/iptables/rootless"
)

// serveExec serves the namespace's outbound connections and the published
// ports until ctx ends, and closes all listeners. Every connection goes, as it
// is, to where it was going.
func serveExec(ctx context.Context, ns *rootless.Namespace, _ execOptions, ports []published) error {
	var wg sync.WaitGroup
	serve := func(l net.Listener, dial func(context.Context, *net.TCPConn) (*net.TCPConn, error)) {
		stop := context.AfterFunc(ctx, func() { l.Close() })
		wg.Go(func() {
			defer stop()
			passEach(ctx, l, &wg, dial)
		})
	}
	for _, l := range ns.Outbound() {
		serve(l, func(ctx context.Context, conn *net.TCPConn) (*net.TCPConn, error) { return dialOutside(ctx, ns, conn) })
	}
	for _, p := range ports {
		serve(p.listener, func(ctx context.Context, _ *net.TCPConn) (*net.TCPConn, error) {
			return dialPublished(ctx, ns, p.inner)
		})
	}
	wg.Wait()
	return nil
}

// dialOutside connects to where conn, made inside, was going. A host port is
// that same address, seen from outside.
func dialOutside(ctx context.Context, ns *rootless.Namespace, conn *net.TCPConn) (*net.TCPConn, error) {
	to, err := ns.Destination(conn)
	if err != nil {
		return nil, err
	}
	up, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
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

// passEach accepts until l is closed.
func passEach(ctx context.Context, l net.Listener, wg *sync.WaitGroup, dial func(context.Context, *net.TCPConn) (*net.TCPConn, error)) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select { // out of file descriptors: others may end
			case <-time.After(10 * time.Millisecond):
				continue
			case <-ctx.Done():
				return
			}
		}
		wg.Go(func() { pass(ctx, conn.(*net.TCPConn), dial) })
	}
}

// pass joins conn with its upstream. A dial that fails becomes a reset.
func pass(ctx context.Context, conn *net.TCPConn, dial func(context.Context, *net.TCPConn) (*net.TCPConn, error)) {
	defer conn.Close()
	up, err := dial(ctx, conn)
	if err != nil {
		_ = conn.SetLinger(0)
		return
	}
	defer up.Close()
	defer context.AfterFunc(ctx, func() { conn.Close(); up.Close() })()
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(conn, up); _ = conn.CloseWrite() })
	_, _ = io.Copy(up, conn)
	_ = up.CloseWrite()
	back.Wait()
}
