package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/test/netns"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// Promises: zero wait for servers that speak first; what is not understood
// passes as it is; refused stays refused.

// ways are a caller and the address that it calls, for each direction and
// address family.
func (p *pod) ways(t *testing.T, each func(t *testing.T, from *netns.Host, as netns.As, to func(port int) string)) {
	for _, f := range families {
		t.Run("inbound "+f.name, func(t *testing.T) {
			each(t, p.peer, netns.As{}, func(port int) string { return f.at(f.pod, port) })
		})
		t.Run("outbound "+f.name, func(t *testing.T) {
			each(t, p.Host, service, func(port int) string { return f.at(f.peer, port) })
		})
	}
}

func TestGreetingPassesAtOnce(t *testing.T) {
	p := newPod(t)
	p.start()
	p.ways(t, func(t *testing.T, from *netns.Host, as netns.As, to func(int) string) {
		nc := dial(t, from, as, to(greetingPort))
		// The caller says nothing; a proxy that waited for it would wait for ever.
		nc.SetReadDeadline(time.Now().Add(5 * time.Second))
		got, err := bufio.NewReader(nc).ReadString('\n')
		if got != greeting {
			t.Errorf("got %q, %v, want the greeting", got, err)
		}
	})
	p.stop()
}

func TestTLSPassesThrough(t *testing.T) {
	p := newPod(t)
	_, inPool := testbed.TLSEcho(t, p.Listen(t, fmt.Sprintf(":%d", tlsPort), service), []string{"shop.test"}, "echo/1")
	_, outPool := testbed.TLSEcho(t, p.peer.Listen(t, fmt.Sprintf(":%d", tlsPort), netns.As{}), []string{"shop.test"}, "echo/1")
	p.start()
	p.ways(t, func(t *testing.T, from *netns.Host, as netns.As, to func(int) string) {
		pool := inPool
		if from == p.Host {
			pool = outPool
		}
		nc := tls.Client(dial(t, from, as, to(tlsPort)), &tls.Config{ServerName: "shop.test", RootCAs: pool, NextProtos: []string{"echo/1"}})
		nc.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.WriteString(nc, "sealed\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := bufio.NewReader(nc).ReadString('\n'); got != "sealed\n" {
			t.Errorf("got %q, %v, want the echo", got, err)
		}
		nc.Close()
	})
	testbed.Eventually(t, 5*time.Second, func() error {
		var events string
		if events = p.sluice("tap", "--no-follow", "--where", `.type == "conn" and .sni == "shop.test"`); events == "" {
			return fmt.Errorf("the tap shows no server name")
		}
		return nil
	})
	p.stop()
}

func TestRefusedStaysRefused(t *testing.T) {
	p := newPod(t)
	p.start()
	p.ways(t, func(t *testing.T, from *netns.Host, as netns.As, to func(int) string) {
		expectReset(t, from, as, to(closedPort))
	})
	p.stop()
}

// expectReset expects what a caller sees of a closed port: the kernel has
// completed the handshake with Sluice; the reset follows. It may even come
// before the caller's connect() has returned.
func expectReset(t *testing.T, from *netns.Host, as netns.As, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	nc, err := from.Dial(ctx, "tcp", address, as)
	if err == nil {
		defer nc.Close()
		nc.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err = nc.Read(make([]byte, 1))
	}
	if !testbed.IsReset(err) {
		t.Errorf("got %v, want a reset", err)
	}
}

func dial(t *testing.T, from *netns.Host, as netns.As, address string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	nc, err := from.Dial(ctx, "tcp", address, as)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}
