package iptables

import (
	"errors"
	"fmt"
	"strings"
)

// The numbers that people who know a mesh expect.
const (
	DefaultOutboundPort = 15001
	DefaultInboundPort  = 15006
	DefaultDNSPort      = 15053
	DefaultHealthPort   = 15020
	DefaultAdminPort    = 15000

	// DefaultMark is the SO_MARK that Sluice puts on its own sockets and that
	// the rules let pass: 1337.
	DefaultMark = 0x539
	// DefaultTProxyMark marks captured packets in TPROXY mode. It must differ
	// from the bypass mark, else the policy route would send Sluice's own
	// packets back to Sluice.
	DefaultTProxyMark = 0x53a
	// DefaultBypassID is the uid and the gid that Sluice runs under.
	DefaultBypassID = "1337"
)

// Mode is how inbound connections are captured. Outbound is always REDIRECT.
type Mode string

const (
	Redirect Mode = "redirect"
	TProxy   Mode = "tproxy"
)

// Options says what to capture. Lists hold the texts that the user wrote, so
// that a mistake is reported in the user's words. The zero value is refused by
// NewPlan; start from DefaultOptions.
type Options struct {
	Mode         Mode
	OutboundPort int
	InboundPort  int

	// Ports are "80", "8000-9000" or "8000:9000". An empty include list, or
	// "*" alone, includes every port. Excluding wins over including; an
	// include entry of which nothing is left is a mistake.
	IncludeInboundPorts  []string
	ExcludeInboundPorts  []string
	IncludeOutboundPorts []string
	ExcludeOutboundPorts []string

	// CIDRs of destinations, outbound: "10.0.0.0/8", "fd00::/8" or one
	// address. An empty IncludeCIDRs, or "*" alone, includes every address of
	// both families. A connection must be included by CIDR and by port.
	IncludeCIDRs []string
	ExcludeCIDRs []string

	// Connections of these users and groups go straight out. Numbers only,
	// never 0: that would exempt every root process.
	BypassUIDs []string
	BypassGIDs []string

	Mark       uint32 // SO_MARK of Sluice's own sockets, never 0
	TProxyMark uint32 // packets captured by TPROXY, never 0 or Mark

	// DNS sends udp and tcp port 53 to DNSPort, also where the resolver is
	// on loopback.
	DNS     bool
	DNSPort int

	// Inbound connections to these are never captured.
	HealthPort int
	AdminPort  int

	IPv4 bool
	IPv6 bool
}

// DefaultOptions captures everything in both families by REDIRECT.
func DefaultOptions() Options {
	return Options{
		Mode:         Redirect,
		OutboundPort: DefaultOutboundPort,
		InboundPort:  DefaultInboundPort,
		BypassUIDs:   []string{DefaultBypassID},
		BypassGIDs:   []string{DefaultBypassID},
		Mark:         DefaultMark,
		TProxyMark:   DefaultTProxyMark,
		DNSPort:      DefaultDNSPort,
		HealthPort:   DefaultHealthPort,
		AdminPort:    DefaultAdminPort,
		IPv4:         true,
		IPv6:         true,
	}
}

// Problem is one mistake in the options, in the words of the command line.
type Problem struct {
	Flag   string // "--exclude-cidrs"
	Value  string // as written
	Reason string
}

func (p Problem) String() string {
	if p.Value == "" {
		return fmt.Sprintf("%s %q: %s", p.Flag, p.Value, p.Reason)
	}
	return fmt.Sprintf("%s %s: %s", p.Flag, p.Value, p.Reason)
}

// OptionsError holds every mistake of the options, in the order of the fields.
type OptionsError struct{ Problems []Problem }

func (e *OptionsError) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0].String()
	}
	lines := make([]string, 0, len(e.Problems)+1)
	lines = append(lines, fmt.Sprintf("%d mistakes, nothing was done:", len(e.Problems)))
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}

// ErrUnsupported is what Apply and Remove answer where there is no netfilter.
var ErrUnsupported = errors.New("redirect rules exist on Linux only; here, `sluice run --listen ADDR --upstream ADDR` works without them")
