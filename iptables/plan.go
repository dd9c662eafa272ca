package iptables

import (
	"net/netip"
	"strings"
)

// Family is an address family. Zero, where it is allowed, means both.
type Family uint8

const (
	IPv4 Family = 4
	IPv6 Family = 6
)

func (f Family) String() string {
	if f == IPv4 {
		return "IPv4"
	}
	return "IPv6"
}

// Table is the iptables table of a chain. In nft, where there is one table, it
// chooses the chain's type.
type Table string

const (
	Mangle Table = "mangle"
	NAT    Table = "nat"
)

// Hook is where a chain meets packets. Empty: only where another chain jumps.
type Hook string

const (
	Prerouting Hook = "prerouting"
	Input      Hook = "input"
	Output     Hook = "output"
)

// Plan is everything that Apply brings into the kernel, as values.
type Plan struct {
	Mode     Mode
	Families []Family
	Chains   []Chain  // a chain comes before those that jump to it
	Routing  *Routing // nil unless Mode is TProxy
}

// Chain is named "outbound" in nft and SLUICE_OUTBOUND in iptables.
type Chain struct {
	Name    string
	Table   Table
	Hook    Hook
	Purpose string // the comment of iptables' jump to it
	Rules   []Rule
}

// xtName is the chain's name in iptables.
func xtName(name string) string { return xtPrefix + strings.ToUpper(name) }

// xtPrefix begins the name of every iptables chain of ours, and of no other.
const xtPrefix = "SLUICE_"

// Rule does Action with the packets that Match.
type Rule struct {
	Match   Match
	Action  Action
	Comment string
}

// Match is a conjunction; its zero value matches every packet.
type Match struct {
	Family      Family // 0: both
	Proto       Proto  // 0: any
	Ports       PortRange
	Dst         netip.Prefix // zero: any
	In, Out     string       // device names
	NotLocalSrc bool         // the source is no address of this machine
	NotLocalDst bool
	Syn         Syn
	Mark        uint32 // 0: any, also below
	ConnMark    uint32
	NotConnMark uint32
	UID, GID    uint32
	Transparent bool // belongs to a socket of a transparent proxy
	DNATed      bool // the connection's destination was rewritten
	Reply       bool // travels against the connection's first packet
}

// Proto is an IP protocol number.
type Proto uint8

const (
	TCP Proto = 6
	UDP Proto = 17
)

// Syn looks at the TCP flags; it needs Proto TCP.
type Syn uint8

const (
	AnyFlags Syn = iota
	OnlySyn      // opens a connection
	NotSyn       // anything else
)

// ActionKind is what a rule does.
type ActionKind uint8

const (
	Return      ActionKind = iota // leave the chain: not for us
	Drop                          // silently
	Jump                          // to Chain
	ToPort                        // REDIRECT to Port
	ToTProxy                      // give to the transparent listener at Port, mark with Mark
	SetMark                       // of the packet; goes on with the next rule
	SetConnMark                   // of the connection; goes on with the next rule
)

// Action is a kind with what it needs.
type Action struct {
	Kind  ActionKind
	Chain string
	Port  uint16
	Mark  uint32
}

// Routing is TPROXY's policy route: packets that carry Mark are delivered to
// this machine, whatever their destination. It equals
//
//	ip rule add fwmark MARK lookup 1337 priority 1337 protocol 137
//	ip route add local default dev lo table 1337 protocol 137
type Routing struct{ Mark uint32 }

const (
	routeTable    = 1337
	routePriority = 1337
	// routeProtocol tells our rule and route from those of others.
	routeProtocol = 137
)
