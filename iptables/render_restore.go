package iptables

import (
	"fmt"
	"slices"
	"strings"
)

// Restore is the plan for one family as `iptables-restore --noflush` or
// `ip6tables-restore --noflush` reads it, for both the nft and the legacy
// variant. It fits where no rules of ours exist yet; Apply fits it to what it
// finds. Empty if the plan leaves the family out.
func (p *Plan) Restore(f Family) string {
	var b strings.Builder
	for _, table := range p.xtables(f) {
		if b.Len() == 0 {
			fmt.Fprintf(&b, "# %s: %s-restore --noflush\n", f, xtBinary(f))
			for _, line := range p.Routing.commands([]Family{f}) {
				fmt.Fprintf(&b, "# needs: %s\n", line)
			}
		}
		b.WriteString(table.restore(xtTable{name: table.name}))
	}
	return b.String()
}

func xtBinary(f Family) string {
	if f == IPv6 {
		return "ip6tables"
	}
	return "iptables"
}

// xtTable is one iptables table as far as it is ours: in the plan, or as found
// in the kernel.
type xtTable struct {
	name   Table
	chains []string // SLUICE_* chains
	rules  []string // "-A SLUICE_X ...", by chain
	jumps  []string // "-A PREROUTING ... -j SLUICE_X"
}

// xtTables are the tables that ever hold something of ours. Mangle comes
// first: legacy commits table by table, and in TPROXY mode nat alone is half.
func xtTables() []Table { return []Table{Mangle, NAT} }

// xtables writes the plan for f in the words of iptables-save, so that what is
// wanted and what is there compare as text.
func (p *Plan) xtables(f Family) []xtTable {
	var tables []xtTable
	for _, name := range xtTables() {
		table := xtTable{name: name}
		for _, chain := range p.Chains {
			if chain.Table != name {
				continue
			}
			own := xtName(chain.Name)
			table.chains = append(table.chains, own)
			if chain.Hook != "" {
				table.jumps = append(table.jumps, fmt.Sprintf("-A %s -m comment --comment %s -j %s",
					strings.ToUpper(string(chain.Hook)), xtQuote("sluice: "+chain.Purpose), own))
			}
			for _, rule := range chain.Rules {
				if rule.Match.Family != 0 && rule.Match.Family != f {
					continue
				}
				words := append([]string{"-A", own}, xtMatch(rule.Match)...)
				words = append(words, "-m comment --comment", xtQuote(rule.Comment), xtAction(rule.Action, f))
				table.rules = append(table.rules, strings.Join(words, " "))
			}
		}
		if len(table.chains) > 0 && slices.Contains(p.Families, f) {
			tables = append(tables, table)
		}
	}
	return tables
}

// xtQuote quotes as iptables-save does: only what needs it. Comments keep clear
// of quotes and backslashes, which it would escape.
func xtQuote(text string) string {
	if strings.Contains(text, " ") {
		return `"` + text + `"`
	}
	return text
}

// restore is the input that turns found into wanted, whose chains may be none.
// Chains are flushed by their declaration; jumps come first in their chain, so
// that nothing of others decides before them.
func (wanted xtTable) restore(found xtTable) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%s\n", wanted.name)
	declared := map[string]bool{}
	for _, chain := range append(append([]string{}, wanted.chains...), found.chains...) {
		if !declared[chain] {
			declared[chain] = true
			fmt.Fprintf(&b, ":%s - [0:0]\n", chain)
		}
	}
	for _, jump := range found.jumps {
		fmt.Fprintf(&b, "-D %s\n", strings.TrimPrefix(jump, "-A "))
	}
	for _, rule := range wanted.rules {
		fmt.Fprintf(&b, "%s\n", rule)
	}
	for _, jump := range wanted.jumps {
		hook, rest, _ := strings.Cut(strings.TrimPrefix(jump, "-A "), " ")
		fmt.Fprintf(&b, "-I %s 1 %s\n", hook, rest)
	}
	for _, chain := range found.chains {
		if !slices.Contains(wanted.chains, chain) {
			fmt.Fprintf(&b, "-X %s\n", chain)
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

func xtMatch(m Match) []string {
	var words []string
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if m.Dst.IsValid() {
		add("-d %s", m.Dst)
	}
	if m.In != "" {
		add("-i %s", m.In)
	}
	if m.Out != "" {
		add("-o %s", m.Out)
	}
	if m.Proto != 0 {
		name := map[Proto]string{TCP: "tcp", UDP: "udp"}[m.Proto]
		add("-p %s", name)
		if m.Ports != (PortRange{}) || m.Syn != AnyFlags {
			add("-m %s", name)
		}
		if m.Ports != (PortRange{}) {
			add("--dport %s", portText(m.Ports, ":"))
		}
	}
	switch m.Syn {
	case OnlySyn:
		add("--tcp-flags FIN,SYN,RST,ACK SYN")
	case NotSyn:
		add("! --tcp-flags FIN,SYN,RST,ACK SYN")
	}
	if m.Mark != 0 {
		add("-m mark --mark %#x", m.Mark)
	}
	if m.UID != 0 {
		add("-m owner --uid-owner %d", m.UID)
	}
	if m.GID != 0 {
		add("-m owner --gid-owner %d", m.GID)
	}
	if m.ConnMark != 0 {
		add("-m connmark --mark %#x", m.ConnMark)
	}
	if m.NotConnMark != 0 {
		add("-m connmark ! --mark %#x", m.NotConnMark)
	}
	if m.DNATed {
		add("-m conntrack --ctstate DNAT")
	}
	if m.Reply {
		add("-m conntrack --ctdir REPLY")
	}
	if m.NotLocalSrc {
		add("-m addrtype ! --src-type LOCAL")
	}
	if m.NotLocalDst {
		add("-m addrtype ! --dst-type LOCAL")
	}
	if m.Transparent {
		add("-m socket --transparent")
	}
	return words
}

func xtAction(a Action, f Family) string {
	switch a.Kind {
	case Drop:
		return "-j DROP"
	case Jump:
		return "-j " + xtName(a.Chain)
	case ToPort:
		return fmt.Sprintf("-j REDIRECT --to-ports %d", a.Port)
	case ToTProxy:
		anyAddr := map[Family]string{IPv4: "0.0.0.0", IPv6: "::"}[f]
		return fmt.Sprintf("-j TPROXY --on-port %d --on-ip %s --tproxy-mark %#x/0xffffffff", a.Port, anyAddr, a.Mark)
	case SetMark:
		return fmt.Sprintf("-j MARK --set-xmark %#x/0xffffffff", a.Mark)
	case SetConnMark:
		return fmt.Sprintf("-j CONNMARK --set-xmark %#x/0xffffffff", a.Mark)
	default:
		return "-j RETURN"
	}
}
