package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/sluice-proxy/sluice/test/netns"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// Promise: with TPROXY the service sees its caller's address, and everything
// else is as with REDIRECT.

// Ports of the pod's servers that tell who calls.
const (
	whoHTTPPort  = 8081
	whoTLSPort   = 8444
	whoFirstPort = 3307
	whoGRPCPort  = 9091
)

// identities are who may dial in a caller's name.
var identities = map[string][]string{
	"root":          {"--reuid", "0"},
	"1337 with cap": {"--reuid", "1337", "--regid", "1337", "--clear-groups", "--inh-caps=-all,+net_admin", "--ambient-caps=+net_admin"},
}

const rewriteAnyHTTP = `
route: http.%[1]s
match: {direction: %[1]s, http: POST /orders}
request:
  - jq: .via = "%[1]s"
`

func TestTransparentKeepsTheCallersAddress(t *testing.T) {
	for who, identity := range identities {
		t.Run("as "+who, func(t *testing.T) {
			p := newPod(t, "--mode", "tproxy")
			for _, direction := range []string{"inbound", "outbound"} {
				p.rule("http."+direction, fmt.Sprintf(rewriteAnyHTTP, direction))
				p.rule("grpc."+direction, fmt.Sprintf(rewriteGRPC, direction))
			}
			servers := p.serveWho(t)
			p.startAs(identity, "--tproxy")
			for _, f := range families {
				t.Run("service sees caller "+f.name, func(t *testing.T) { p.transparentInbound(t, f, servers) })
			}
			p.ways(t, func(t *testing.T, from *netns.Host, as netns.As, to func(int) string) {
				want := `{"n":1,"via":"inbound"}`
				if from == p.Host {
					want = `{"n":1,"via":"outbound"}`
				}
				if got := p.post(t, from, as, to(httpPort), false, `{"n":1}`); string(got.Body) != want {
					t.Errorf("server got %s, want %s", got.Body, want)
				}
				expectReset(t, from, as, to(closedPort))
			})
			// What Sluice does not take is as it was: app to app, over loopback.
			if got := p.post(t, p.Host, service, fmt.Sprintf("127.0.0.1:%d", httpPort), false, `{"n":1}`); string(got.Body) != `{"n":1}` {
				t.Errorf("loopback: got %s, want it untouched", got.Body)
			}
			p.stop()
			p.expectNoTrace(t)
		})
	}
}

// whoServers are what a test knows of the pod's servers that tell who calls.
type whoServers struct {
	pool *x509.CertPool // trusts the one behind TLS
	grpc *noting
}

func (p *pod) serveWho(t *testing.T) whoServers {
	t.Helper()
	listen := func(port int) *net.TCPListener { return p.Listen(t, fmt.Sprintf(":%d", port), service) }
	certificate, pool := testbed.CertPair(t, "shop.test")
	testbed.HTTP(t, listen(whoHTTPPort), http.HandlerFunc(who))
	testbed.HTTP(t, tls.NewListener(listen(whoTLSPort), &tls.Config{Certificates: []tls.Certificate{certificate}}), http.HandlerFunc(who))
	testbed.ServeConns(t, listen(whoFirstPort), func(c *net.TCPConn) {
		_, _ = fmt.Fprintf(c, "%v\n", hostOf(c.RemoteAddr().String()))
		_, _ = io.Copy(io.Discard, c)
	})
	noting := &noting{Listener: listen(whoGRPCPort)}
	testbed.GRPC(t, noting, testbed.GRPCConfig{})
	return whoServers{pool: pool, grpc: noting}
}

// who answers the caller's address and what the caller said.
func who(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = fmt.Fprintf(w, "%v %s", hostOf(r.RemoteAddr), body)
}

// noting notes who calls.
type noting struct {
	net.Listener
	mu      sync.Mutex // guards what follows
	callers []netip.Addr
}

func (n *noting) Accept() (net.Conn, error) {
	nc, err := n.Listener.Accept()
	if err == nil {
		n.mu.Lock()
		n.callers = append(n.callers, hostOf(nc.RemoteAddr().String()))
		n.mu.Unlock()
	}
	return nc, err
}

// take answers who called since the last take.
func (n *noting) take() []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	callers := n.callers
	n.callers = nil
	return callers
}

func hostOf(address string) netip.Addr { return netip.MustParseAddrPort(address).Addr().Unmap() }

// transparentInbound calls the pod's servers from the peer.
func (p *pod) transparentInbound(t *testing.T, f family, servers whoServers) {
	post := func(client *http.Client, url string) string {
		t.Helper()
		resp, err := client.Post(url, "application/json", strings.NewReader(`{"n":1}`))
		if err != nil {
			t.Error(err)
			return ""
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	for _, h2 := range []bool{false, true} {
		got := post(p.client(p.peer, netns.As{}, h2), "http://"+f.at(f.pod, whoHTTPPort)+"/orders")
		if want := f.peer + ` {"n":1,"via":"inbound"}`; got != want {
			t.Errorf("HTTP, h2=%v: got %q, want %q", h2, got, want)
		}
	}

	sealed := p.client(p.peer, netns.As{}, false)
	sealed.Transport.(*http.Transport).TLSClientConfig = &tls.Config{ServerName: "shop.test", RootCAs: servers.pool}
	defer sealed.CloseIdleConnections() // draining waits for what it cannot see into
	if got, want := post(sealed, "https://"+f.at(f.pod, whoTLSPort)+"/orders"), f.peer+` {"n":1}`; got != want {
		t.Errorf("TLS: got %q, want %q", got, want)
	}

	nc := dial(t, p.peer, netns.As{}, f.at(f.pod, whoFirstPort))
	defer nc.Close()
	nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := bufio.NewReader(nc).ReadString('\n'); got != f.peer+"\n" {
		t.Errorf("greeting: got %q, %v, want %s", got, err, f.peer)
	}

	conn := p.dialGRPC(p.peer, netns.As{}, f.at(f.pod, whoGRPCPort))
	resp, err := pb.NewTestServiceClient(conn).UnaryCall(t.Context(), &pb.SimpleRequest{ResponseSize: 3})
	if err != nil || resp.GetUsername() != "inbound" || len(resp.GetPayload().GetBody()) != 3 {
		t.Errorf("gRPC: got %v, %v, want username inbound beside a payload of 3", resp, err)
	}
	// Sluice asks for descriptors in its own name: the pod's.
	callers := servers.grpc.take()
	if !slices.Contains(callers, netip.MustParseAddr(f.peer)) || !slices.Contains(callers, netip.MustParseAddr(f.pod)) {
		t.Errorf("gRPC: the service saw %v, want %s for the call and %s for its descriptors", callers, f.peer, f.pod)
	}
}

// expectNoTrace removes the redirect and looks for what it left.
func (p *pod) expectNoTrace(t *testing.T) {
	t.Helper()
	p.Run(t, sluice(t), "iptables", "remove")
	if left := p.Run(t, "nft", "list", "ruleset"); strings.TrimSpace(left) != "" {
		t.Errorf("rules are left:\n%s", left)
	}
	for _, family := range []string{"-4", "-6"} {
		if got, want := p.Run(t, "ip", family, "rule"), p.peer.Run(t, "ip", family, "rule"); got != want {
			t.Errorf("policy rules are left: got\n%swant\n%s", got, want)
		}
		for line := range strings.Lines(p.Run(t, "ip", family, "route", "show", "table", "all")) {
			if strings.Contains(line, "table 1337") {
				t.Errorf("a route is left: %s", line)
			}
		}
	}
	for _, f := range families {
		if err := postOnce(p.client(p.peer, netns.As{}, false), f.at(f.pod, httpPort)); err != nil {
			t.Errorf("without redirect: %v", err)
		}
	}
}

func TestTransparentNeedsCapability(t *testing.T) {
	p := newPod(t, "--mode", "tproxy")
	for name, who := range map[string][]string{
		"1337": {"--reuid", "1337", "--regid", "1337", "--clear-groups", "--inh-caps=-all"},
		"root": {"--bounding-set=-net_admin,-net_raw"},
	} {
		p.spawn(who, "--tproxy")
		select {
		case err := <-p.exited:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(p.log.String(), "CAP_NET_ADMIN") {
				t.Errorf("as %s: got %v and %q, want exit code 1 and a word of CAP_NET_ADMIN", name, err, p.log)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("as %s: still runs without CAP_NET_ADMIN", name)
		}
	}
}
