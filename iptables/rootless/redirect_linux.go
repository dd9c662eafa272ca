package rootless

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	// outboundPort is where the parent's listeners are. Port 1 (tcpmux) is one
	// that no command wants to bind; an ephemeral one could be taken from it.
	outboundPort = 1
	dnsPort      = 53
)

// rule redirects what it matches to a port of 127.0.0.1 or ::1, or lets it
// pass. Zero fields match everything.
type rule struct {
	To   netip.Prefix
	TCP  bool
	UDP  bool
	Port uint16
	// Redirect is the local port. Zero lets the packet pass.
	Redirect uint16
}

// plan lists the rules for the first packet of each outbound flow, first match
// wins.
func plan(hostPorts []uint16) []rule {
	host := func(s string) netip.Prefix {
		addr := netip.MustParseAddr(s)
		return netip.PrefixFrom(addr, addr.BitLen())
	}
	var rules []rule
	for _, port := range hostPorts {
		rules = append(rules, rule{To: host("127.0.0.1"), TCP: true, Port: port, Redirect: outboundPort})
	}
	return append(rules,
		// systemd-resolved's stub. A host that replaces its resolv.conf drops
		// our mount over it, and the command may see this address again.
		rule{To: host("127.0.0.53"), UDP: true, Port: dnsPort, Redirect: dnsPort},
		rule{To: host("127.0.0.53"), TCP: true, Port: dnsPort, Redirect: dnsPort},
		rule{To: netip.MustParsePrefix("127.0.0.0/8")},
		rule{To: host("::1")},
		rule{To: netip.PrefixFrom(insideV4, insideV4.BitLen())},
		rule{To: netip.PrefixFrom(insideV6, insideV6.BitLen())},
		rule{UDP: true, Port: dnsPort, Redirect: dnsPort},
		rule{TCP: true, Redirect: outboundPort},
		// Nothing listens on this UDP port: the kernel answers port unreachable
		// at once. (nftables' reject makes send itself fail with EPERM, and
		// its ICMPv4 message does not find the way back over lo.)
		rule{UDP: true, Redirect: outboundPort},
	)
}

// redirect installs the plan in one transaction.
func redirect(rules []rule) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Name: "sluice", Family: nftables.TableFamilyINet})
	chain := conn.AddChain(&nftables.Chain{
		Name:     "output",
		Table:    table,
		Type:     nftables.ChainTypeNAT,
		Hooknum:  nftables.ChainHookOutput,
		Priority: nftables.ChainPriorityNATDest,
	})
	for _, r := range rules {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: r.expressions()})
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("install nftables rules: %w", err)
	}
	return nil
}

// Where the fields are in the IP and transport headers.
const (
	destinationOffsetV4   = 16
	destinationOffsetV6   = 24
	destinationPortOffset = 2
)

// expressions is the rule as nftables' machine runs it, register 1 in use.
func (r rule) expressions() []expr.Any {
	var out []expr.Any
	equal := func(data ...byte) { out = append(out, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data}) }
	if r.To.IsValid() {
		protocol, offset := byte(unix.NFPROTO_IPV4), uint32(destinationOffsetV4)
		if r.To.Addr().Is6() {
			protocol, offset = unix.NFPROTO_IPV6, destinationOffsetV6
		}
		out = append(out, &expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1})
		equal(protocol)
		// Whole bytes of the prefix suffice: all ours end at one.
		prefix := r.To.Addr().AsSlice()[:r.To.Bits()/8]
		out = append(out, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(prefix))})
		equal(prefix...)
	}
	if r.TCP || r.UDP {
		protocol := byte(unix.IPPROTO_TCP)
		if r.UDP {
			protocol = unix.IPPROTO_UDP
		}
		out = append(out, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1})
		equal(protocol)
	}
	if r.Port != 0 {
		out = append(out, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: destinationPortOffset, Len: 2})
		equal(binary.BigEndian.AppendUint16(nil, r.Port)...)
	}
	if r.Redirect == 0 {
		return append(out, &expr.Verdict{Kind: expr.VerdictAccept})
	}
	return append(out,
		&expr.Immediate{Register: 1, Data: binary.BigEndian.AppendUint16(nil, r.Redirect)},
		&expr.Redir{RegisterProtoMin: 1})
}
