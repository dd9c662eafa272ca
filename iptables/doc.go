// Package iptables turns a pod's or host's TCP into Sluice's hands, and gives
// it back.
//
// It works in three steps, of which only the last touches the kernel:
//
//	plan    [NewPlan] checks [Options] and answers chains and rules as values.
//	render  [Plan.NFT] and [Plan.Restore] write the plan as text.
//	apply   [Apply] and [Remove] bring the kernel to the plan, or to nothing.
//
// # What is captured
//
// Outbound, in nat OUTPUT: every new TCP connection goes to the outbound port,
// except those of Sluice itself (socket mark, uid or gid), to excluded CIDRs
// and ports, and over the loopback device. The last includes a service that
// calls itself by its own pod IP: such a call never leaves the machine, is not
// another service's business, and passes untouched in both directions.
//
// Inbound: every new TCP connection to an address of this machine goes to the
// inbound port, except to excluded ports and to Sluice's own. Traffic that is
// only forwarded (containers on a host) is not touched. REDIRECT works in nat
// PREROUTING, and the service sees Sluice as its client. TPROXY works in mangle
// PREROUTING and lets Sluice dial the service in the client's name; the rules
// bring the service's answers back to Sluice.
//
// Only a connection's first packet (SYN) is ever captured, so that connections
// that exist when the rules come stay as they are. That alone would open a way
// round: a stray ACK makes connection tracking note an uncaptured connection,
// which a following SYN could join. The guard chain drops inbound SYNs that
// should have been captured and were not.
//
// The rules stay when Sluice dies: connections then fail, they do not pass.
package iptables
