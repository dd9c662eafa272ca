package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/iptables"
)

func newIptablesCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "iptables",
		Short: "The rules that redirect a pod's or host's traffic to Sluice",
		Long: `The rules that redirect a pod's or host's traffic to Sluice.

Captured are new TCP connections, in and out, IPv4 and IPv6. Not captured: Sluice's own (by mark, uid, gid), what is
excluded, and loopback, which includes a service calling its own address. Connections that exist already stay as they
are. When Sluice dies the rules stay: connections fail, they do not pass.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newIptablesPrintCmd(), newIptablesApplyCmd(), newIptablesRemoveCmd())
	return cmd
}

func newIptablesPrintCmd() *cobra.Command {
	var backend string
	options := iptables.DefaultOptions()
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the rules that apply would bring, changing nothing",
		Example: `  sluice iptables print | nft -f -
  sluice iptables print --backend iptables-nft --ipv6=false | iptables-restore --noflush`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, b, err := planFor(options, backend)
			if err != nil {
				return err
			}
			text := plan.NFT()
			if b == iptables.IptablesNFT || b == iptables.IptablesLegacy {
				text = plan.Restore(iptables.IPv4) + plan.Restore(iptables.IPv6)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	backendFlag(cmd.Flags(), &backend)
	redirectFlags(cmd.Flags(), &options)
	return cmd
}

func newIptablesApplyCmd() *cobra.Command {
	var backend string
	options := iptables.DefaultOptions()
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Bring the rules into this network namespace; a second time changes nothing",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, b, err := planFor(options, backend)
			if err != nil {
				return err
			}
			result, err := iptables.Apply(cmd.Context(), plan, b)
			if err != nil {
				return err
			}
			state := "already in place"
			if result.Changed {
				state = "applied"
			}
			families := make([]string, 0, len(plan.Families))
			for _, f := range plan.Families {
				families = append(families, f.String())
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "redirect rules %s: backend %s, inbound by %s, %s\n",
				state, result.Backend, strings.ToUpper(string(plan.Mode)), strings.Join(families, " and "))
			return err
		},
	}
	backendFlag(cmd.Flags(), &backend)
	redirectFlags(cmd.Flags(), &options)
	return cmd
}

func newIptablesRemoveCmd() *cobra.Command {
	var backend string
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Take away every rule and route that apply brought, whatever its options were",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := iptables.ParseBackend(backend)
			if err != nil {
				return usageError(err)
			}
			result, err := iptables.Remove(cmd.Context(), b)
			if err != nil {
				return err
			}
			state := "there were none"
			if result.Changed {
				state = "removed"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "redirect rules: %s\n", state)
			return err
		},
	}
	backendFlag(cmd.Flags(), &backend)
	return cmd
}

// planFor checks the options and the backend; its error holds every mistake.
func planFor(o iptables.Options, backend string) (*iptables.Plan, iptables.Backend, error) {
	b, backendErr := iptables.ParseBackend(backend)
	plan, planErr := iptables.NewPlan(o)
	all := &iptables.OptionsError{}
	for _, err := range []error{backendErr, planErr} {
		var some *iptables.OptionsError
		if errors.As(err, &some) {
			all.Problems = append(all.Problems, some.Problems...)
		}
	}
	if len(all.Problems) > 0 {
		return nil, "", usageError(all)
	}
	return plan, b, nil
}

func backendFlag(flags *pflag.FlagSet, backend *string) {
	flags.StringVar(backend, "backend", string(iptables.Auto), "auto, nft (needs no program), iptables-nft or iptables-legacy")
}

func redirectFlags(flags *pflag.FlagSet, o *iptables.Options) {
	flags.StringVar((*string)(&o.Mode), "mode", string(o.Mode), "how inbound is captured: redirect, or tproxy, which can keep the client's address")
	flags.IntVar(&o.OutboundPort, "outbound-port", o.OutboundPort, "where Sluice listens for outbound connections")
	flags.IntVar(&o.InboundPort, "inbound-port", o.InboundPort, "where Sluice listens for inbound connections")
	flags.StringSliceVar(&o.IncludeInboundPorts, "inbound-ports", nil, "capture only these inbound ports and ranges (8080,9000-9010); none or * is all")
	flags.StringSliceVar(&o.ExcludeInboundPorts, "exclude-inbound-ports", nil, "inbound ports that go straight to the service")
	flags.StringSliceVar(&o.IncludeOutboundPorts, "outbound-ports", nil, "capture only these outbound ports; with --include-cidrs, both must hold; none or * is all")
	flags.StringSliceVar(&o.ExcludeOutboundPorts, "exclude-outbound-ports", nil, "outbound ports that go straight out")
	flags.StringSliceVar(&o.IncludeCIDRs, "include-cidrs", nil, "capture outbound only to these CIDRs (10.0.0.0/8,fd00::/8); none or * is all")
	flags.StringSliceVar(&o.ExcludeCIDRs, "exclude-cidrs", nil, "outbound destinations that are reached straight")
	flags.StringSliceVar(&o.BypassUIDs, "uid", o.BypassUIDs, "users, by number, whose connections go straight out; never 0")
	flags.StringSliceVar(&o.BypassGIDs, "gid", o.BypassGIDs, "groups, by number, whose connections go straight out; never 0")
	flags.Var(hexMark{&o.Mark}, "mark", "socket mark of Sluice's own connections")
	flags.Var(hexMark{&o.TProxyMark}, "tproxy-mark", "packet mark for tproxy's route; not --mark")
	flags.BoolVar(&o.DNS, "dns", o.DNS, "also capture DNS, udp and tcp port 53")
	flags.IntVar(&o.DNSPort, "dns-port", o.DNSPort, "where Sluice answers DNS")
	flags.IntVar(&o.HealthPort, "health-port", o.HealthPort, "Sluice's health and metrics, never captured")
	flags.IntVar(&o.AdminPort, "admin-port", o.AdminPort, "Sluice's admin, never captured")
	flags.BoolVar(&o.IPv4, "ipv4", o.IPv4, "capture IPv4")
	flags.BoolVar(&o.IPv6, "ipv6", o.IPv6, "capture IPv6; if false, it passes Sluice by")
}

// hexMark is a mark as a flag, shown as the tools of the kernel show it.
type hexMark struct{ mark *uint32 }

func (m hexMark) String() string { return fmt.Sprintf("%#x", *m.mark) }

func (m hexMark) Type() string { return "mark" }

func (m hexMark) Set(text string) error {
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		return errors.New("want a number of 32 bits like 0x539 or 1337")
	}
	*m.mark = uint32(n)
	return nil
}
