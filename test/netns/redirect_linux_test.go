package netns_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-proxy/sluice/iptables"
	"github.com/sluice-proxy/sluice/test/netns"
)

func backends() []iptables.Backend { return iptables.Backends()[1:] }

func modes() []iptables.Mode { return []iptables.Mode{iptables.Redirect, iptables.TProxy} }

// each runs a test for every backend and mode, in a lab of its own.
func each(t *testing.T, test func(*testing.T, *lab, iptables.Mode, iptables.Backend)) {
	for _, backend := range backends() {
		for _, mode := range modes() {
			t.Run(fmt.Sprintf("%s/%s", backend, mode), func(t *testing.T) {
				l := newLab(t, mode)
				needPrograms(t, backend)
				test(t, l, mode, backend)
			})
		}
	}
}

func needPrograms(t *testing.T, b iptables.Backend) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft: the test reads rules back with it")
	}
	if b == iptables.NFT {
		return
	}
	if _, err := exec.LookPath(string(b) + "-restore"); err != nil {
		t.Skipf("needs %s-restore", b)
	}
}

func TestRedirectCapturesWhatItShould(t *testing.T) {
	each(t, func(t *testing.T, l *lab, mode iptables.Mode, b iptables.Backend) {
		l.apply(t, l.options(mode), b)
		for _, f := range families() {
			inbound := func(port int) string {
				told := "inbound to " + at(f.pod, port)
				if mode != iptables.TProxy {
					return told
				}
				if port == servicePort {
					return told + ": service sees " + f.peer
				}
				return told + ": refused"
			}
			captured, straight := "outbound to "+at(f.peer, serverPort), "server sees "+f.pod
			for _, test := range []struct {
				name string
				from *netns.Host
				as   netns.As
				to   string
				want string
			}{
				{"outbound from a service", l.pod, ordinary, at(f.peer, serverPort), captured},
				{"outbound from root", l.pod, netns.As{}, at(f.peer, serverPort), captured},
				{"outbound from another mark", l.pod, netns.As{Mark: 7}, at(f.peer, serverPort), captured},
				{"outbound to a closed port", l.pod, ordinary, at(f.peer, 4), "outbound to " + at(f.peer, 4)},
				{"bypass user", l.pod, netns.As{UID: 1337, GID: 65534}, at(f.peer, serverPort), straight},
				{"bypass group", l.pod, netns.As{UID: 65534, GID: 1337}, at(f.peer, serverPort), straight},
				{"Sluice's mark", l.pod, netns.As{Mark: iptables.DefaultMark}, at(f.peer, serverPort), straight},
				{"excluded outbound port", l.pod, ordinary, at(f.peer, excludedOut), straight},
				{"excluded destination", l.pod, ordinary, at(f.elsewhere, serverPort), straight},
				{"service to itself by loopback", l.pod, ordinary, at(f.loopback, servicePort), "service sees " + f.loopback},
				{"service to itself by its own address", l.pod, ordinary, at(f.pod, servicePort), "service sees " + f.pod},
				{"Sluice to the service", l.pod, netns.As{Mark: iptables.DefaultMark}, at(f.pod, servicePort), "service sees " + f.pod},
				{"Sluice to the service by loopback", l.pod, netns.As{Mark: iptables.DefaultMark}, at(f.loopback, servicePort), "service sees " + f.loopback},
				{"inbound", l.peer, netns.As{}, at(f.pod, servicePort), inbound(servicePort)},
				{"inbound to a closed port", l.peer, netns.As{}, at(f.pod, 4), inbound(4)},
				{"excluded inbound port", l.peer, netns.As{}, at(f.pod, excludedIn), "service sees " + f.peer},
				{"health port", l.peer, netns.As{}, at(f.pod, iptables.DefaultHealthPort), "service sees " + f.peer},
			} {
				t.Run(f.name+"/"+test.name, func(t *testing.T) {
					if got := ask(t, test.from, test.as, test.to); got != test.want {
						t.Errorf("got %q, want %q", got, test.want)
					}
				})
			}
		}
	})
}

func TestRulesFailClosedWhenSluiceIsGone(t *testing.T) {
	each(t, func(t *testing.T, l *lab, mode iptables.Mode, b iptables.Backend) {
		l.apply(t, l.options(mode), b)
		for _, listener := range l.sluice {
			listener.Close()
		}
		for _, f := range families() {
			if got := ask(t, l.pod, ordinary, at(f.peer, serverPort)); got != "refused" {
				t.Errorf("%s outbound: got %q, want it refused", f.name, got)
			}
			got := askWithin(t, 500*time.Millisecond, l.peer, netns.As{}, at(f.pod, servicePort))
			if got != "refused" && got != "timeout" {
				t.Errorf("%s inbound: got %q, want it refused or lost", f.name, got)
			}
		}
	})
}

func TestSecondApplyChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, l *lab, mode iptables.Mode, b iptables.Backend) {
		o := l.options(mode)
		o.DNS = true
		o.IncludeInboundPorts = []string{"8000-9000", "443"}
		o.IncludeOutboundPorts = []string{"1-1023", "8080"}
		o.IncludeCIDRs = []string{"10.0.0.0/7", "192.168.7.9", "fd00::/9", "2001:db8::1"}
		if first := l.apply(t, o, b); !first.Changed || first.Backend != b {
			t.Errorf("first apply: %+v", first)
		}
		before := l.state(t)
		if second := l.apply(t, o, b); second.Changed {
			t.Error("second apply says that it changed something")
		}
		if diff := cmp.Diff(before, l.state(t)); diff != "" {
			t.Errorf("second apply changed (-before +after):\n%s", diff)
		}
		o.ExcludeInboundPorts = append(o.ExcludeInboundPorts, "8082")
		if other := l.apply(t, o, b); !other.Changed {
			t.Error("other options change nothing")
		}
	})
}

func TestApplyMendsWhatWasDamaged(t *testing.T) {
	damage := map[iptables.Backend][]string{
		iptables.NFT: {
			"nft flush chain inet sluice outbound",
			"nft add rule inet sluice inbound accept",
			"nft delete table inet sluice",
		},
		iptables.IptablesNFT: {
			"iptables-nft -t nat -F SLUICE_OUTBOUND",
			"ip6tables-nft -t nat -A OUTPUT -j SLUICE_OUTBOUND",
			"iptables-nft -t nat -D OUTPUT 1",
		},
		iptables.IptablesLegacy: {
			"iptables-legacy -t nat -F SLUICE_OUTBOUND",
			"ip6tables-legacy -t nat -A OUTPUT -j SLUICE_OUTBOUND",
			"iptables-legacy -t nat -D OUTPUT 1",
		},
	}
	each(t, func(t *testing.T, l *lab, mode iptables.Mode, b iptables.Backend) {
		l.apply(t, l.options(mode), b)
		whole := l.traces(t)
		commands := damage[b]
		if mode == iptables.TProxy {
			commands = append(commands, "ip rule del pref 1337", "ip -6 route flush table 1337")
		}
		for _, command := range commands {
			words := strings.Fields(command)
			l.pod.Run(t, words[0], words[1:]...)
			if !l.apply(t, l.options(mode), b).Changed {
				t.Errorf("after %q nothing was mended", command)
			}
			if diff := cmp.Diff(withoutHandles(whole), withoutHandles(l.traces(t))); diff != "" {
				t.Errorf("after %q (-want +got):\n%s", command, diff)
			}
		}
	})
}

func withoutHandles(lines []string) []string {
	plain := make([]string, 0, len(lines))
	for _, line := range lines {
		line, _, _ = strings.Cut(line, " # handle")
		plain = append(plain, line)
	}
	return plain
}

func TestRemoveLeavesNoTrace(t *testing.T) {
	each(t, func(t *testing.T, l *lab, mode iptables.Mode, b iptables.Backend) {
		before := l.traces(t)
		if l.remove(t, iptables.Auto).Changed {
			t.Error("remove where nothing was says that it changed something")
		}
		if diff := cmp.Diff(before, l.traces(t)); diff != "" {
			t.Errorf("remove where nothing was (-before +after):\n%s", diff)
		}
		for _, remover := range []iptables.Backend{iptables.Auto, b} {
			l.apply(t, l.options(mode), b)
			if !l.remove(t, remover).Changed {
				t.Error("remove says that there was nothing")
			}
			if diff := cmp.Diff(before, l.traces(t)); diff != "" {
				t.Errorf("left by remove --backend %s (-before +after):\n%s", remover, diff)
			}
		}
		for _, f := range families() {
			if got, want := ask(t, l.pod, ordinary, at(f.peer, serverPort)), "server sees "+f.pod; got != want {
				t.Errorf("%s outbound after remove: got %q, want %q", f.name, got, want)
			}
		}
	})
}

func TestRulesOfOthersStay(t *testing.T) {
	each(t, func(t *testing.T, l *lab, mode iptables.Mode, b iptables.Backend) {
		for _, command := range []string{
			"nft add table inet theirs", "nft add chain inet theirs output { type filter hook output priority 0 ; }",
			"iptables-nft -t nat -A OUTPUT -p tcp --dport 9 -j ACCEPT", "iptables-legacy -t mangle -A PREROUTING -j ACCEPT",
			"ip rule add fwmark 0x9 lookup 1337 priority 1337", "ip route add local 192.0.2.1 dev lo table 1337",
		} {
			words := strings.Fields(command)
			l.pod.Run(t, words[0], words[1:]...)
		}
		before := l.traces(t)
		l.apply(t, l.options(mode), b)
		l.remove(t, iptables.Auto)
		if diff := cmp.Diff(before, l.traces(t)); diff != "" {
			t.Errorf("rules of others (-before +after):\n%s", diff)
		}
	})
}

func TestApplyMovesFromBackendToBackend(t *testing.T) {
	l := newLab(t, iptables.Redirect)
	for range 2 {
		for _, b := range backends() {
			needPrograms(t, b)
			for _, mode := range []iptables.Mode{iptables.TProxy, iptables.Redirect} {
				l.apply(t, l.options(mode), b)
			}
			places := map[iptables.Backend]string{
				iptables.NFT:            l.pod.Run(t, "nft", "list", "tables", "inet"),
				iptables.IptablesNFT:    l.pod.Run(t, "iptables-nft-save") + l.pod.Run(t, "ip6tables-nft-save"),
				iptables.IptablesLegacy: l.pod.Run(t, "iptables-legacy-save") + l.pod.Run(t, "ip6tables-legacy-save"),
			}
			for place, text := range places {
				here := strings.Contains(strings.ToLower(text), "sluice")
				if here != (place == b) {
					t.Errorf("after apply by %s, something of ours in %s: %t\n%s", b, place, here, text)
				}
			}
			if rules := l.pod.Run(t, "ip", "rule"); strings.Contains(rules, "1337") {
				t.Errorf("after apply by %s, TPROXY's rule is still there:\n%s", b, rules)
			}
		}
	}
}

// TestPrintIsWhatApplyBrings loads the printed nft rules with nft and compares
// with what the netlink backend brings.
func TestPrintIsWhatApplyBrings(t *testing.T) {
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			l := newLab(t, mode)
			needPrograms(t, iptables.NFT)
			o := l.options(mode)
			o.DNS = true
			o.ExcludeCIDRs = append(o.ExcludeCIDRs, "192.168.0.0/16", "0.0.0.0/0", "2001:db8::5", "172.16.0.0/12")
			o.IncludeInboundPorts = []string{"80", "8000-9000"}
			l.apply(t, o, iptables.NFT)
			applied := l.pod.Run(t, "nft", "list", "table", "inet", "sluice")
			p, err := iptables.NewPlan(o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			for range 2 { // loading twice is harmless
				load := l.pod.Cmd(ctx, "nft", "-f", "-")
				load.Stdin = strings.NewReader(p.NFT())
				if out, err := load.CombinedOutput(); err != nil {
					t.Fatalf("nft -f: %v: %s", err, out)
				}
			}
			if diff := cmp.Diff(applied, l.pod.Run(t, "nft", "list", "table", "inet", "sluice")); diff != "" {
				t.Errorf("applied and printed differ (-applied +printed):\n%s", diff)
			}
			if l.apply(t, o, iptables.NFT).Changed {
				t.Error("apply does not recognise its own rules when nft loaded them")
			}
		})
	}
}

func TestConnectionsFromBeforeStayAsTheyAre(t *testing.T) {
	each(t, func(t *testing.T, l *lab, mode iptables.Mode, b iptables.Backend) {
		type held struct {
			name string
			conn net.Conn
		}
		var conns []held
		for _, f := range families() {
			for name, from := range map[string]*netns.Host{at(f.peer, echoPort): l.pod, at(f.pod, echoPort): l.peer} {
				conn, err := from.Dial(t.Context(), "tcp", name, ordinary)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				conns = append(conns, held{name, conn})
			}
		}
		for _, step := range []func(){
			func() {},
			func() { l.apply(t, l.options(mode), b) },
			func() { l.remove(t, iptables.Auto) },
		} {
			step()
			for _, h := range conns {
				if _, err := h.conn.Write([]byte("still here\n")); err != nil {
					t.Errorf("%s: %v", h.name, err)
				}
				_ = h.conn.SetDeadline(time.Now().Add(2 * time.Second))
				buffer := make([]byte, 64)
				if n, err := h.conn.Read(buffer); err != nil || string(buffer[:n]) != "still here\n" {
					t.Errorf("%s: got %q, %v", h.name, buffer[:n], err)
				}
			}
		}
	})
}

func TestDNSComesToSluice(t *testing.T) {
	for _, b := range backends() {
		t.Run(string(b), func(t *testing.T) {
			l := newLab(t, iptables.Redirect)
			needPrograms(t, b)
			o := l.options(iptables.Redirect)
			o.DNS = true
			l.apply(t, o, b)
			for _, f := range families() {
				resolver := l.pod.ListenPacket(t, at(f.loopback, iptables.DefaultDNSPort), netns.As{})
				for _, to := range []string{f.peer, f.loopback} {
					conn, err := l.pod.Dial(t.Context(), "udp", at(to, 53), ordinary)
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
					if _, err := conn.Write([]byte("question to " + to)); err != nil {
						t.Fatal(err)
					}
					_ = resolver.SetDeadline(time.Now().Add(2 * time.Second))
					_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
					buffer := make([]byte, 100)
					n, client, err := resolver.ReadFrom(buffer)
					if err != nil || string(buffer[:n]) != "question to "+to {
						t.Fatalf("%s: resolver got %q, %v", f.name, buffer[:n], err)
					}
					if _, err := resolver.WriteTo([]byte("answer"), client); err != nil {
						t.Fatal(err)
					}
					if n, err := conn.Read(buffer); err != nil || string(buffer[:n]) != "answer" {
						t.Errorf("%s: got %q, %v", f.name, buffer[:n], err)
					}
				}
			}
		})
	}
}

func TestFamilySwitchedOffPassesSluiceBy(t *testing.T) {
	for _, b := range backends() {
		t.Run(string(b), func(t *testing.T) {
			l := newLab(t, iptables.Redirect)
			needPrograms(t, b)
			o := iptables.DefaultOptions()
			l.apply(t, o, b) // both first: the second must take one away again
			o.IPv6 = false
			l.apply(t, o, b)
			v4, v6 := families()[0], families()[1]
			for name, test := range map[string]struct {
				from     *netns.Host
				to, want string
			}{
				"v4 out": {l.pod, at(v4.peer, serverPort), "outbound to " + at(v4.peer, serverPort)},
				"v6 out": {l.pod, at(v6.peer, serverPort), "server sees " + v6.pod},
				"v4 in":  {l.peer, at(v4.pod, servicePort), "inbound to " + at(v4.pod, servicePort)},
				"v6 in":  {l.peer, at(v6.pod, servicePort), "service sees " + v6.peer},
			} {
				if got := ask(t, test.from, ordinary, test.to); got != test.want {
					t.Errorf("%s: got %q, want %q", name, got, test.want)
				}
			}
		})
	}
}

// IPv6 is in the kernel and switched off by sysctl.
func TestContainerWithoutIPv6NeedsNoFlag(t *testing.T) {
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			pod := netns.New(t, "pod")
			if err := pod.Do(func() error {
				return os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0o644)
			}); err != nil {
				t.Fatal(err)
			}
			l := &lab{pod: pod}
			if got := l.apply(t, l.options(mode), iptables.Auto); got != (iptables.Result{Backend: iptables.NFT, Changed: true}) {
				t.Errorf("first apply: %+v", got)
			}
			if got := l.apply(t, l.options(mode), iptables.Auto); got.Changed {
				t.Error("second apply says that it changed something")
			}
			if !l.remove(t, iptables.Auto).Changed {
				t.Error("remove says that there was nothing")
			}
		})
	}
}

func TestNoCapabilityIsAClearError(t *testing.T) {
	l := newLab(t, iptables.Redirect)
	p, err := iptables.NewPlan(iptables.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"apply":  func() error { _, err := iptables.Apply(t.Context(), p, iptables.Auto); return err },
		"remove": func() error { _, err := iptables.Remove(t.Context(), iptables.Auto); return err },
	} {
		if err := l.pod.DoAs(ordinary, do); err == nil || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Errorf("%s: got %v, want an error that names CAP_NET_ADMIN", name, err)
		}
	}
}
