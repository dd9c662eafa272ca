package iptables

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOptionsAreRefusedWithFlagValueAndReason(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Options)
		want   []string
	}{
		"mode":              {func(o *Options) { o.Mode = "dnat" }, []string{"--mode dnat: must be redirect or tproxy"}},
		"port zero":         {func(o *Options) { o.InboundPort = 0 }, []string{"--inbound-port 0: a port is a number from 1 to 65535"}},
		"port too high":     {func(o *Options) { o.HealthPort = 65536 }, []string{"--health-port 65536: a port is a number from 1 to 65535"}},
		"same port twice":   {func(o *Options) { o.InboundPort = 15001 }, []string{"--inbound-port 15001: is already the port of --outbound-port"}},
		"bad port":          {func(o *Options) { o.ExcludeInboundPorts = []string{"http"} }, []string{"--exclude-inbound-ports http: want a port from 1 to 65535, or a range like 8000-9000"}},
		"empty port":        {func(o *Options) { o.IncludeInboundPorts = []string{"80", ""} }, []string{`--inbound-ports "": want a port from 1 to 65535, or a range like 8000-9000`}},
		"port 0":            {func(o *Options) { o.ExcludeOutboundPorts = []string{"0-10"} }, []string{"--exclude-outbound-ports 0-10: want a port from 1 to 65535, or a range like 8000-9000"}},
		"port 65536":        {func(o *Options) { o.ExcludeOutboundPorts = []string{"65536"} }, []string{"--exclude-outbound-ports 65536: want a port from 1 to 65535, or a range like 8000-9000"}},
		"backwards":         {func(o *Options) { o.IncludeOutboundPorts = []string{"90:80"} }, []string{"--outbound-ports 90:80: the range runs backwards; did you mean 80-90?"}},
		"star among others": {func(o *Options) { o.IncludeOutboundPorts = []string{"*", "80"} }, []string{`--outbound-ports *: "*" stands alone, and in an include list only`}},
		"star excluded":     {func(o *Options) { o.ExcludeCIDRs = []string{"*"} }, []string{`--exclude-cidrs *: "*" stands alone, and in an include list only`}},
		"bad CIDR":          {func(o *Options) { o.ExcludeCIDRs = []string{"10.0.0.0/33"} }, []string{"--exclude-cidrs 10.0.0.0/33: want a CIDR like 10.0.0.0/8 or fd00::/8, or one address"}},
		"host name":         {func(o *Options) { o.IncludeCIDRs = []string{"db.local"} }, []string{"--include-cidrs db.local: want a CIDR like 10.0.0.0/8 or fd00::/8, or one address"}},
		"zone":              {func(o *Options) { o.IncludeCIDRs = []string{"fe80::1%eth0"} }, []string{"--include-cidrs fe80::1%eth0: want a CIDR like 10.0.0.0/8 or fd00::/8, or one address"}},
		"host bits":         {func(o *Options) { o.ExcludeCIDRs = []string{"10.1.0.0/8"} }, []string{"--exclude-cidrs 10.1.0.0/8: has bits set beyond /8; did you mean 10.0.0.0/8?"}},
		"mapped":            {func(o *Options) { o.ExcludeCIDRs = []string{"::ffff:10.0.0.1"} }, []string{"--exclude-cidrs ::ffff:10.0.0.1: is an IPv4 address in IPv6 clothes; write the IPv4 form"}},
		"family off":        {func(o *Options) { o.IPv6 = false; o.ExcludeCIDRs = []string{"fd00::/8"} }, []string{"--exclude-cidrs fd00::/8: is IPv6, and --ipv6=false"}},
		"no family":         {func(o *Options) { o.IPv4, o.IPv6 = false, false }, []string{"--ipv6 false: with --ipv4=false nothing is left to capture"}},
		"uid 0":             {func(o *Options) { o.BypassUIDs = []string{"0"} }, []string{"--uid 0: uid 0 would let every root process past Sluice; run Sluice under a uid of its own"}},
		"gid 0":             {func(o *Options) { o.BypassGIDs = []string{"1337", "00"} }, []string{"--gid 00: gid 0 would let every root process past Sluice; run Sluice under a gid of its own"}},
		"uid by name":       {func(o *Options) { o.BypassUIDs = []string{"sluice"} }, []string{"--uid sluice: want a uid as a number"}},
		"no uid":            {func(o *Options) { o.BypassUIDs = []string{"4294967295"} }, []string{"--uid 4294967295: want a uid as a number"}},
		"mark 0":            {func(o *Options) { o.Mark = 0 }, []string{"--mark 0: every unmarked packet has mark 0: nothing would be captured"}},
		"same marks":        {func(o *Options) { o.TProxyMark = o.Mark }, []string{"--tproxy-mark 0x539: is also --mark: Sluice's own packets would come back to it"}},
		"port in and out": {func(o *Options) {
			o.IncludeInboundPorts, o.ExcludeInboundPorts = []string{"8080", "9090"}, []string{"8000-8100"}
		}, []string{"--inbound-ports 8080: is excluded by --exclude-inbound-ports"}},
		"excluded in parts": {func(o *Options) {
			o.IncludeOutboundPorts, o.ExcludeOutboundPorts = []string{"10-20"}, []string{"15-30", "1-14"}
		}, []string{"--outbound-ports 10-20: is excluded by --exclude-outbound-ports"}},
		"own port":   {func(o *Options) { o.IncludeInboundPorts = []string{"15020"} }, []string{"--inbound-ports 15020: is Sluice's own and never captured"}},
		"CIDR dead":  {func(o *Options) { o.IncludeCIDRs, o.ExcludeCIDRs = []string{"10.1.0.0/16"}, []string{"10.0.0.0/8"} }, []string{"--include-cidrs 10.1.0.0/16: is excluded by --exclude-cidrs 10.0.0.0/8"}},
		"DNS closed": {func(o *Options) { o.DNS = true; o.ExcludeOutboundPorts = []string{"50-60"} }, []string{"--exclude-outbound-ports 50-60: excludes port 53, which --dns captures"}},
		"all mistakes at once": {func(o *Options) {
			o.IncludeInboundPorts = []string{"x", "80", "y"}
			o.ExcludeCIDRs = []string{"z"}
			o.BypassUIDs = []string{"0"}
		}, []string{
			"--inbound-ports x: want a port from 1 to 65535, or a range like 8000-9000",
			"--inbound-ports y: want a port from 1 to 65535, or a range like 8000-9000",
			"--exclude-cidrs z: want a CIDR like 10.0.0.0/8 or fd00::/8, or one address",
			"--uid 0: uid 0 would let every root process past Sluice; run Sluice under a uid of its own",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := DefaultOptions()
			test.change(&o)
			_, err := NewPlan(o)
			var refused *OptionsError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want an OptionsError", err)
			}
			got := make([]string, 0, len(refused.Problems))
			for _, p := range refused.Problems {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the text %q lacks %q", err, want)
				}
			}
		})
	}
}

func TestZeroOptionsAreRefused(t *testing.T) {
	if _, err := NewPlan(Options{}); err == nil {
		t.Error("got a plan, want an error")
	}
}

func TestEquivalentOptionsMakeTheSamePlan(t *testing.T) {
	for name, pair := range map[string][2]func(*Options){
		"star is all":          {func(o *Options) { o.IncludeCIDRs, o.IncludeInboundPorts = []string{"*"}, []string{"*"} }, func(*Options) {}},
		"order and overlap":    {func(o *Options) { o.ExcludeInboundPorts = []string{"90", "80-85", "86", "84-88", "80"} }, func(o *Options) { o.ExcludeInboundPorts = []string{"80-88", "90"} }},
		"colon or dash":        {func(o *Options) { o.ExcludeOutboundPorts = []string{"1:5"} }, func(o *Options) { o.ExcludeOutboundPorts = []string{" 1-5 "} }},
		"one address is a /32": {func(o *Options) { o.ExcludeCIDRs = []string{"10.0.0.1", "10.0.0.1/32"} }, func(o *Options) { o.ExcludeCIDRs = []string{"10.0.0.1"} }},
		"an exclude within an include is no contradiction": {
			func(o *Options) { o.IncludeCIDRs, o.ExcludeCIDRs = []string{"10.0.0.0/8"}, []string{"10.1.0.0/16"} },
			func(o *Options) {
				o.IncludeCIDRs, o.ExcludeCIDRs = []string{"10.0.0.0/8", "10.0.0.0/8"}, []string{"10.1.0.0/16"}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(mustPlan(t, pair[0]).NFT(), mustPlan(t, pair[1]).NFT()); diff != "" {
				t.Errorf("plans differ:\n%s", diff)
			}
		})
	}
}

// TestCommentsSurviveEveryTool: iptables-save escapes quotes, nft keeps 128
// characters, and a rule without a comment is a riddle.
func TestCommentsSurviveEveryTool(t *testing.T) {
	for name, change := range plans() {
		for _, chain := range mustPlan(t, change).Chains {
			if chain.Hook != "" && chain.Purpose == "" {
				t.Errorf("%s: chain %s says no purpose", name, chain.Name)
			}
			for _, rule := range chain.Rules {
				if rule.Comment == "" || len(rule.Comment) > 100 || strings.ContainsAny(rule.Comment, "\"'\\\n") {
					t.Errorf("%s: chain %s: bad comment %q", name, chain.Name, rule.Comment)
				}
			}
		}
	}
}
