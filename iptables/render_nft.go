package iptables

import (
	"fmt"
	"strings"
)

// nftTable is the one inet table that holds all chains.
const nftTable = "sluice"

// NFT is the plan as `nft -f` reads it. Loading it again is harmless: the
// table is replaced in one transaction.
func (p *Plan) NFT() string {
	var b strings.Builder
	for _, line := range p.Routing.commands(p.Families) {
		fmt.Fprintf(&b, "# needs: %s\n", line)
	}
	fmt.Fprintf(&b, "add table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {\n", nftTable)
	for i, chain := range p.Chains {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "\tchain %s {\n", chain.Name)
		if chain.Hook != "" {
			kind, priority := nftBase(chain)
			fmt.Fprintf(&b, "\t\ttype %s hook %s priority %d; policy accept;\n", kind, chain.Hook, priority)
		}
		for _, rule := range chain.Rules {
			fmt.Fprintf(&b, "\t\t%s comment %q\n", strings.Join(append(nftMatch(rule.Match), nftAction(rule.Action)), " "), rule.Comment)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// nftBase is a base chain's type and priority. One before the usual priority
// of its kind, Sluice comes before the chains of others, as it does in iptables.
func nftBase(c Chain) (kind string, priority int) {
	const dstnat, mangle = -100, -150
	switch {
	case c.Table == NAT:
		return "nat", dstnat - 1
	case c.Hook == Output:
		return "route", mangle - 1 // a changed mark is routed anew
	default:
		return "filter", mangle - 1
	}
}

func nftMatch(m Match) []string {
	var words []string
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if m.In != "" {
		add("iifname %q", m.In)
	}
	if m.Out != "" {
		add("oifname %q", m.Out)
	}
	switch {
	case m.Dst.IsValid() && m.Family == IPv4:
		add("ip daddr %s", nftPrefix(m))
	case m.Dst.IsValid():
		add("ip6 daddr %s", nftPrefix(m))
	case m.Family != 0:
		add("meta nfproto %s", strings.ToLower(m.Family.String()))
	}
	words = append(words, nftProto(m)...)
	if m.Mark != 0 {
		add("meta mark 0x%08x", m.Mark)
	}
	if m.UID != 0 {
		add("meta skuid %d", m.UID)
	}
	if m.GID != 0 {
		add("meta skgid %d", m.GID)
	}
	if m.ConnMark != 0 {
		add("ct mark 0x%08x", m.ConnMark)
	}
	if m.NotConnMark != 0 {
		add("ct mark != 0x%08x", m.NotConnMark)
	}
	if m.DNATed {
		add("ct status dnat")
	}
	if m.Reply {
		add("ct direction reply")
	}
	if m.NotLocalSrc {
		add("fib saddr type != local")
	}
	if m.NotLocalDst {
		add("fib daddr type != local")
	}
	if m.Transparent {
		add("socket transparent 1")
	}
	return words
}

func nftPrefix(m Match) string {
	if m.Dst.IsSingleIP() {
		return m.Dst.Addr().String()
	}
	return m.Dst.String()
}

// nftProto writes the protocol together with what it makes possible, ports and
// flags, as nft itself would list them.
func nftProto(m Match) []string {
	if m.Proto == 0 {
		return nil
	}
	name := map[Proto]string{TCP: "tcp", UDP: "udp"}[m.Proto]
	var words []string
	if m.Ports != (PortRange{}) {
		words = append(words, name+" dport "+portText(m.Ports, "-"))
	}
	switch m.Syn {
	case OnlySyn:
		words = append(words, "tcp flags syn / fin,syn,rst,ack")
	case NotSyn:
		words = append(words, "tcp flags != syn / fin,syn,rst,ack")
	}
	if words == nil {
		words = append(words, "meta l4proto "+name)
	}
	return words
}

func nftAction(a Action) string {
	switch a.Kind {
	case Drop:
		return "drop"
	case Jump:
		return "jump " + a.Chain
	case ToPort:
		return fmt.Sprintf("redirect to :%d", a.Port)
	case ToTProxy:
		// Without a listener tproxy ends the rule, and the next one decides.
		return fmt.Sprintf("tproxy to :%d meta mark set 0x%08x return", a.Port, a.Mark)
	case SetMark:
		return fmt.Sprintf("meta mark set 0x%08x", a.Mark)
	case SetConnMark:
		return fmt.Sprintf("ct mark set 0x%08x", a.Mark)
	default:
		return "return"
	}
}

// commands are what the policy route would be with the ip command.
func (r *Routing) commands(families []Family) []string {
	if r == nil {
		return nil
	}
	var lines []string
	for _, f := range families {
		lines = append(lines,
			fmt.Sprintf("ip -%d rule add fwmark %#x lookup %d priority %d protocol %d", f, r.Mark, routeTable, routePriority, routeProtocol),
			fmt.Sprintf("ip -%d route add local default dev lo table %d protocol %d", f, routeTable, routeProtocol))
	}
	return lines
}
