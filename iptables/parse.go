package iptables

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// PortRange is the ports First to Last, both included. The zero value means
// any port.
type PortRange struct{ First, Last uint16 }

func (r PortRange) covers(other PortRange) bool {
	return r.First <= other.First && other.Last <= r.Last
}

// settings are the options after the only place where they are parsed.
type settings struct {
	Options
	families         []Family
	inPorts, notIn   []PortRange
	outPorts, notOut []PortRange
	cidrs, notCIDRs  []netip.Prefix
	uids, gids       []uint32
	ownPorts         []ownPort
	anyOut, anyIn    bool
	anyDestination   bool
}

// ownPort is a port that Sluice itself listens on.
type ownPort struct {
	flag, purpose string
	port          uint16
}

// checker collects problems, so that all of them are reported.
type checker struct{ problems []Problem }

func (c *checker) add(flag, value, format string, args ...any) {
	c.problems = append(c.problems, Problem{Flag: flag, Value: value, Reason: fmt.Sprintf(format, args...)})
}

// check parses the options, or reports everything that is wrong with them.
func check(o Options) (*settings, error) {
	c := &checker{}
	s := &settings{Options: o}
	if o.Mode != Redirect && o.Mode != TProxy {
		c.add("--mode", string(o.Mode), "must be redirect or tproxy")
	}
	s.ownPorts = c.ownPorts(o)
	s.inPorts, s.anyIn = c.ports("--inbound-ports", o.IncludeInboundPorts, true)
	s.notIn, _ = c.ports("--exclude-inbound-ports", o.ExcludeInboundPorts, false)
	s.outPorts, s.anyOut = c.ports("--outbound-ports", o.IncludeOutboundPorts, true)
	s.notOut, _ = c.ports("--exclude-outbound-ports", o.ExcludeOutboundPorts, false)
	s.cidrs, s.anyDestination = c.cidrs("--include-cidrs", o.IncludeCIDRs, true, o)
	s.notCIDRs, _ = c.cidrs("--exclude-cidrs", o.ExcludeCIDRs, false, o)
	s.uids = c.ids("--uid", "uid", o.BypassUIDs)
	s.gids = c.ids("--gid", "gid", o.BypassGIDs)
	c.marks(o)
	if o.IPv4 {
		s.families = append(s.families, IPv4)
	}
	if o.IPv6 {
		s.families = append(s.families, IPv6)
	}
	if len(s.families) == 0 {
		c.add("--ipv6", "false", "with --ipv4=false nothing is left to capture")
	}
	c.contradictions(s)
	if len(c.problems) > 0 {
		return nil, &OptionsError{Problems: c.problems}
	}
	s.inPorts, s.notIn = mergePorts(s.inPorts), mergePorts(s.notIn)
	s.outPorts, s.notOut = mergePorts(s.outPorts), mergePorts(s.notOut)
	return s, nil
}

// ownPorts checks the single ports: valid, and each used once.
func (c *checker) ownPorts(o Options) []ownPort {
	var ports []ownPort
	add := func(flag, purpose string, port int) {
		if port < 1 || port > 65535 {
			c.add(flag, strconv.Itoa(port), "a port is a number from 1 to 65535")
			return
		}
		for _, other := range ports {
			if other.port == uint16(port) {
				c.add(flag, strconv.Itoa(port), "is already the port of %s", other.flag)
				return
			}
		}
		ports = append(ports, ownPort{flag, purpose, uint16(port)})
	}
	add("--outbound-port", "outbound", o.OutboundPort)
	add("--inbound-port", "inbound", o.InboundPort)
	add("--health-port", "health and metrics", o.HealthPort)
	add("--admin-port", "admin", o.AdminPort)
	add("--dns-port", "DNS", o.DNSPort)
	if !o.DNS { // checked all the same, but then nobody listens there
		ports = slices.DeleteFunc(ports, func(p ownPort) bool { return p.flag == "--dns-port" })
	}
	return ports
}

// ports parses a list of ports and ranges. For an include list, all is true
// where it says everything: empty, or "*" alone.
func (c *checker) ports(flag string, texts []string, include bool) (ranges []PortRange, all bool) {
	if include && everything(texts) {
		return nil, true
	}
	for _, text := range texts {
		r, reason := parsePorts(strings.TrimSpace(text))
		if reason != "" {
			c.add(flag, text, "%s", reason)
			continue
		}
		ranges = append(ranges, r)
	}
	return ranges, false
}

func everything(texts []string) bool {
	return len(texts) == 0 || len(texts) == 1 && strings.TrimSpace(texts[0]) == "*"
}

func parsePorts(text string) (PortRange, string) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		first, last, isRange = strings.Cut(text, ":")
	}
	if !isRange {
		last = first
	}
	from, fromOK := parsePort(first)
	to, toOK := parsePort(last)
	switch {
	case text == "*":
		return PortRange{}, `"*" stands alone, and in an include list only`
	case !fromOK || !toOK:
		return PortRange{}, "want a port from 1 to 65535, or a range like 8000-9000"
	case from > to:
		return PortRange{}, fmt.Sprintf("the range runs backwards; did you mean %d-%d?", to, from)
	}
	return PortRange{from, to}, ""
}

func parsePort(text string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil && n != 0
}

// cidrs parses a list of prefixes and single addresses.
func (c *checker) cidrs(flag string, texts []string, include bool, o Options) (prefixes []netip.Prefix, all bool) {
	if include && everything(texts) {
		return nil, true
	}
	for _, text := range texts {
		prefix, reason := parseCIDR(strings.TrimSpace(text))
		switch {
		case reason != "":
			c.add(flag, text, "%s", reason)
		case prefix.Addr().Is4() && !o.IPv4:
			c.add(flag, text, "is IPv4, and --ipv4=false")
		case prefix.Addr().Is6() && !o.IPv6:
			c.add(flag, text, "is IPv6, and --ipv6=false")
		case !slices.Contains(prefixes, prefix):
			prefixes = append(prefixes, prefix)
		}
	}
	return prefixes, false
}

func parseCIDR(text string) (netip.Prefix, string) {
	if text == "*" {
		return netip.Prefix{}, `"*" stands alone, and in an include list only`
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, addrErr := netip.ParseAddr(text)
		if addrErr != nil || addr.Zone() != "" {
			return netip.Prefix{}, "want a CIDR like 10.0.0.0/8 or fd00::/8, or one address"
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	switch {
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, "is an IPv4 address in IPv6 clothes; write the IPv4 form"
	case prefix != prefix.Masked():
		return netip.Prefix{}, fmt.Sprintf("has bits set beyond /%d; did you mean %s?", prefix.Bits(), prefix.Masked())
	}
	return prefix, ""
}

// ids parses uids or gids.
func (c *checker) ids(flag, kind string, texts []string) []uint32 {
	var ids []uint32
	for _, text := range texts {
		n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
		switch {
		case err != nil || n == 1<<32-1: // the kernel's "no id"
			c.add(flag, text, "want a %s as a number", kind)
		case n == 0:
			c.add(flag, text, "%s 0 would let every root process past Sluice; run Sluice under a %s of its own", kind, kind)
		case !slices.Contains(ids, uint32(n)):
			ids = append(ids, uint32(n))
		}
	}
	return ids
}

func (c *checker) marks(o Options) {
	if o.Mark == 0 {
		c.add("--mark", "0", "every unmarked packet has mark 0: nothing would be captured")
	}
	if o.TProxyMark == 0 {
		c.add("--tproxy-mark", "0", "every unmarked packet has mark 0")
	}
	if o.Mark == o.TProxyMark && o.Mark != 0 {
		c.add("--tproxy-mark", fmt.Sprintf("%#x", o.TProxyMark), "is also --mark: Sluice's own packets would come back to it")
	}
}

// contradictions reports include entries of which the excludes leave nothing,
// and excludes against what another flag asks for.
func (c *checker) contradictions(s *settings) {
	own := make([]PortRange, 0, len(s.ownPorts))
	for _, p := range s.ownPorts {
		own = append(own, PortRange{p.port, p.port})
	}
	c.coveredPorts("--inbound-ports", s.inPorts, own, "is Sluice's own and never captured")
	c.coveredPorts("--inbound-ports", s.inPorts, s.notIn, "is excluded by --exclude-inbound-ports")
	c.coveredPorts("--outbound-ports", s.outPorts, s.notOut, "is excluded by --exclude-outbound-ports")
	for _, not := range s.notOut {
		if s.DNS && not.covers(PortRange{53, 53}) {
			c.add("--exclude-outbound-ports", portText(not, "-"), "excludes port 53, which --dns captures")
		}
	}
	for _, in := range s.cidrs {
		for _, not := range s.notCIDRs {
			if not.Bits() <= in.Bits() && not.Contains(in.Addr()) {
				c.add("--include-cidrs", in.String(), "is excluded by --exclude-cidrs %s", not)
			}
		}
	}
}

func (c *checker) coveredPorts(flag string, includes, excludes []PortRange, reason string) {
	merged := mergePorts(excludes)
	for _, in := range includes {
		for _, not := range merged {
			if not.covers(in) {
				c.add(flag, portText(in, "-"), "%s", reason)
			}
		}
	}
}

// mergePorts sorts ranges and joins those that overlap or touch.
func mergePorts(ranges []PortRange) []PortRange {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b PortRange) int { return int(a.First) - int(b.First) })
	var merged []PortRange
	for _, r := range sorted {
		if n := len(merged); n > 0 && int(r.First) <= int(merged[n-1].Last)+1 {
			merged[n-1].Last = max(merged[n-1].Last, r.Last)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

func portText(r PortRange, separator string) string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d%s%d", r.First, separator, r.Last)
}
