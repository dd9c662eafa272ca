package iptables

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// plans are the plans whose whole text is kept in testdata.
func plans() map[string]func(*Options) {
	return map[string]func(*Options){
		"default": func(*Options) {},
		"tproxy":  func(o *Options) { o.Mode = TProxy },
		"everything": func(o *Options) {
			o.DNS = true
			o.IncludeInboundPorts = []string{"8080", "9000-9010"}
			o.ExcludeInboundPorts = []string{"9005"}
			o.IncludeOutboundPorts = []string{"80", "443", "1024:65535"}
			o.ExcludeOutboundPorts = []string{"5432", "6379-6380"}
			o.IncludeCIDRs = []string{"10.0.0.0/8", "fd00::/8"}
			o.ExcludeCIDRs = []string{"10.1.2.3", "10.96.0.0/13", "fd00:1::/33", "fd00::7"}
			o.BypassUIDs = []string{"1337", "101"}
			o.BypassGIDs = []string{"1337", "102"}
		},
		"tproxy-ports": func(o *Options) {
			o.Mode = TProxy
			o.Mark, o.TProxyMark = 0x100, 0x200
			o.InboundPort, o.OutboundPort = 25006, 25001
			o.IncludeInboundPorts = []string{"8080", "8081"}
			o.ExcludeInboundPorts = []string{"22"}
		},
		"ipv4-only": func(o *Options) { o.IPv6 = false; o.ExcludeCIDRs = []string{"0.0.0.0/0"} },
		"ipv6-only": func(o *Options) { o.IPv4 = false; o.Mode = TProxy },
	}
}

func mustPlan(t *testing.T, change func(*Options)) *Plan {
	t.Helper()
	o := DefaultOptions()
	change(&o)
	p, err := NewPlan(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRenderMatchesGoldenFiles(t *testing.T) {
	for name, change := range plans() {
		p := mustPlan(t, change)
		for file, got := range map[string]string{
			name + ".nft":         p.NFT(),
			name + ".v4.iptables": p.Restore(IPv4),
			name + ".v6.iptables": p.Restore(IPv6),
		} {
			t.Run(file, func(t *testing.T) {
				path := filepath.Join("testdata", file)
				if *update {
					if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("text differs from %s (-want +got; go test -update writes it):\n%s", path, diff)
				}
			})
		}
	}
}
