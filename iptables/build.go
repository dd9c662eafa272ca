package iptables

import "net/netip"

// NewPlan checks the options and answers the rules for them. Its error is an
// *OptionsError with every mistake; a plan never leaves out what was asked.
func NewPlan(o Options) (*Plan, error) {
	s, err := check(o)
	if err != nil {
		return nil, err
	}
	p := &Plan{Mode: s.Mode, Families: s.families}
	if s.Mode == TProxy {
		p.Routing = &Routing{Mark: s.TProxyMark}
		p.Chains = append(p.Chains, capture(s), inboundTProxy(s), answers(s))
	} else {
		p.Chains = append(p.Chains, guard(s), inboundRedirect(s))
	}
	p.Chains = append(p.Chains, outbound(s))
	for i := range p.Chains {
		p.Chains[i].Rules = append(otherFamily(s, p.Chains[i].Hook), p.Chains[i].Rules...)
	}
	return p, nil
}

// otherFamily keeps nft's one table for both families off the one that is
// switched off. iptables has no use for it.
func otherFamily(s *settings, hook Hook) []Rule {
	if len(s.families) == 2 || hook == "" {
		return nil
	}
	off := IPv4 + IPv6 - s.families[0]
	return []Rule{{Match{Family: off}, Action{}, off.String() + " is switched off"}}
}

func outbound(s *settings) Chain {
	rules := []Rule{{Match{Mark: s.Mark}, Action{}, "sockets of Sluice itself go straight out"}}
	for _, uid := range s.uids {
		rules = append(rules, Rule{Match{UID: uid}, Action{}, "bypass user"})
	}
	for _, gid := range s.gids {
		rules = append(rules, Rule{Match{GID: gid}, Action{}, "bypass group"})
	}
	for _, cidr := range s.notCIDRs {
		rules = append(rules, Rule{to(cidr, Match{}), Action{}, "excluded destination"})
	}
	for _, ports := range s.notOut {
		rules = append(rules, Rule{Match{Proto: TCP, Ports: ports}, Action{}, "excluded outbound port"})
	}
	if s.DNS {
		dns := Action{Kind: ToPort, Port: uint16(s.DNSPort)}
		rules = append(rules,
			Rule{Match{Proto: UDP, Ports: PortRange{53, 53}}, dns, "DNS to Sluice"},
			Rule{Match{Proto: TCP, Ports: PortRange{53, 53}, Syn: OnlySyn}, dns, "DNS to Sluice"})
	}
	rules = append(rules, Rule{Match{Out: "lo"}, Action{}, "loopback, also the service calling its own address"})
	toProxy := Action{Kind: ToPort, Port: uint16(s.OutboundPort)}
	for _, m := range destinations(s) {
		m.Proto, m.Syn = TCP, OnlySyn
		rules = append(rules, Rule{m, toProxy, "new outbound connections to Sluice"})
	}
	return Chain{"outbound", NAT, Output, "outbound connections", rules}
}

// destinations are the included CIDRs, each with every included range of ports.
func destinations(s *settings) []Match {
	byAddr := []Match{{}}
	if !s.anyDestination {
		byAddr = nil
		for _, cidr := range s.cidrs {
			byAddr = append(byAddr, to(cidr, Match{}))
		}
	}
	if s.anyOut {
		return byAddr
	}
	var both []Match
	for _, m := range byAddr {
		for _, m.Ports = range s.outPorts {
			both = append(both, m)
		}
	}
	return both
}

// to narrows m to destinations in cidr. A /0 is a matter of family alone.
func to(cidr netip.Prefix, m Match) Match {
	m.Family = IPv4
	if cidr.Addr().Is6() {
		m.Family = IPv6
	}
	if cidr.Bits() > 0 {
		m.Dst = cidr
	}
	return m
}

func inboundRedirect(s *settings) Chain {
	rules := []Rule{
		{Match{In: "lo"}, Action{}, "from this machine: Sluice to the service"},
		{Match{NotLocalDst: true}, Action{}, "forwarded, not for this machine"},
	}
	rules = append(rules, notInbound(s)...)
	toProxy := Action{Kind: ToPort, Port: uint16(s.InboundPort)}
	for _, m := range includedInbound(s) {
		m.Syn = OnlySyn
		rules = append(rules, Rule{m, toProxy, "new inbound connections to Sluice"})
	}
	return Chain{"inbound", NAT, Prerouting, "inbound connections", rules}
}

// guard drops new inbound connections that were not captured though they
// should have been: a stray ACK before the SYN, or flushed nat rules. It stands
// after nat, where a captured connection shows its rewritten destination.
func guard(s *settings) Chain {
	rules := []Rule{
		{Match{Proto: TCP, Syn: NotSyn}, Action{}, "only new connections are looked at"},
		{Match{In: "lo"}, Action{}, "from this machine: Sluice to the service"},
		{Match{DNATed: true}, Action{}, "captured, as it should be"},
	}
	rules = append(rules, notInbound(s)...)
	for _, m := range includedInbound(s) {
		m.Syn = OnlySyn
		rules = append(rules, Rule{m, Action{Kind: Drop}, "slipped past the redirect: closed, not open"})
	}
	return Chain{"guard", Mangle, Input, "nothing inbound slips past", rules}
}

// notInbound are the ports that are never captured.
func notInbound(s *settings) []Rule {
	var rules []Rule
	for _, own := range s.ownPorts {
		rules = append(rules, Rule{Match{Proto: TCP, Ports: PortRange{own.port, own.port}}, Action{}, "a port of Sluice itself: " + own.purpose})
	}
	for _, ports := range s.notIn {
		rules = append(rules, Rule{Match{Proto: TCP, Ports: ports}, Action{}, "excluded inbound port"})
	}
	return rules
}

func includedInbound(s *settings) []Match {
	if s.anyIn {
		return []Match{{Proto: TCP}}
	}
	var included []Match
	for _, ports := range s.inPorts {
		included = append(included, Match{Proto: TCP, Ports: ports})
	}
	return included
}

func inboundTProxy(s *settings) Chain {
	rules := []Rule{
		// Sluice dials the service with the client's address as its own; the
		// answers chain needs to know these connections.
		{
			Match{Proto: TCP, In: "lo", Mark: s.Mark, NotLocalSrc: true}, Action{Kind: SetConnMark, Mark: s.Mark},
			"Sluice to the service in the name of the client",
		},
		{Match{In: "lo"}, Action{}, "from this machine: Sluice to the service"},
		{Match{Proto: TCP, Transparent: true}, Action{Kind: SetMark, Mark: s.TProxyMark}, "a captured connection goes on"},
		{Match{Mark: s.TProxyMark}, Action{}, "a captured connection goes on"},
		{Match{NotLocalDst: true}, Action{}, "forwarded, not for this machine"},
	}
	rules = append(rules, notInbound(s)...)
	for _, m := range includedInbound(s) {
		rules = append(rules, Rule{m, Action{Kind: Jump, Chain: "capture"}, "inbound connections to Sluice"})
	}
	return Chain{"inbound", Mangle, Prerouting, "inbound connections", rules}
}

// capture gives connections that began under these rules to Sluice. The mark
// of the connection, not its state, tells them from older ones: conntrack picks
// older ones up as new, and a SYN cookie's ACK has no socket yet.
func capture(s *settings) Chain {
	mark := s.TProxyMark
	return Chain{"capture", Mangle, "", "", []Rule{
		{Match{Proto: TCP, Syn: OnlySyn}, Action{Kind: SetConnMark, Mark: mark}, "a new connection is captured"},
		{Match{NotConnMark: mark}, Action{}, "older than these rules: stays as it is"},
		{Match{Proto: TCP}, Action{Kind: ToTProxy, Port: uint16(s.InboundPort), Mark: mark}, "inbound connections to Sluice"},
		{Match{}, Action{Kind: Drop}, "Sluice is not there: closed, not open"},
	}}
}

// answers turns what the service answers to the client's address, on
// connections that Sluice opened in the client's name, back to Sluice.
func answers(s *settings) Chain {
	return Chain{"answers", Mangle, Output, "answers of the service", []Rule{{
		Match{Proto: TCP, ConnMark: s.Mark, Reply: true}, Action{Kind: SetMark, Mark: s.TProxyMark},
		"answers of the service to a client come to Sluice",
	}}}
}
