package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/proxy/admin"
)

func newStatusCmd() *cobra.Command {
	var at adminFlags
	o := outputText
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show a running sidecar at a glance",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := at.open(cmd.Context())
			if err != nil {
				return err
			}
			var s admin.Status
			return c.show(cmd, o, "GET", "/status", nil, &s, func(w io.Writer) error { return writeStatus(w, &s) })
		},
	}
	at.register(cmd)
	o.register(cmd)
	return cmd
}

func writeStatus(to io.Writer, s *admin.Status) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "sluice\t%s, pid %d, up %s\n", printable(s.Version), s.PID, uptime(s.UptimeSeconds))
	if len(s.Command) > 0 {
		fmt.Fprintf(w, "command\t%s\n", printable(strings.Join(s.Command, " ")))
	}
	state := "ready"
	switch {
	case s.Draining:
		state = "draining"
	case !s.Ready:
		state = "not ready: " + printable(s.Reason)
	}
	fmt.Fprintf(w, "state\t%s\n", state)
	for i, l := range s.Listeners {
		label := ""
		if i == 0 {
			label = "listeners"
		}
		upstream := ""
		if l.Upstream != "" {
			upstream = " to " + l.Upstream
		}
		name := l.Direction
		if l.Name != l.Direction && l.Name != l.Address {
			name += " " + l.Name
		}
		fmt.Fprintf(w, "%s\t%s\n", label, printable(l.Address+" "+name+upstream))
	}
	fmt.Fprintf(w, "conns\t%d open\n", s.Connections)
	since, refused := "", ""
	if r := s.Reload; r != nil {
		now := s.Started.Add(time.Duration(s.UptimeSeconds * float64(time.Second)))
		since = ", for " + ago(now, r.Since)
		switch {
		case r.Result != "live" && r.Problems > 0:
			refused = fmt.Sprintf("%s %s ago: %s, %s, hash %s", printable(r.Result), ago(now, r.Time), plural(r.Problems, "problem"), printable(r.At), printable(r.Read))
		case r.Result != "live":
			refused = fmt.Sprintf("%s %s ago", printable(r.Result), ago(now, r.Time))
		}
	}
	fmt.Fprintf(w, "rules\tgeneration %d, %s, hash %s%s\n", s.Generation, plural(s.Routes, "route"), printable(s.Hash), since)
	if refused != "" {
		fmt.Fprintf(w, "reload\t%s\n", refused)
	}
	breakers := make([]string, 0, len(s.Breakers))
	for _, state := range slices.Sorted(maps.Keys(s.Breakers)) {
		breakers = append(breakers, fmt.Sprintf("%d %s", s.Breakers[state], printable(state)))
	}
	if len(breakers) == 0 {
		breakers = []string{"none used yet"}
	}
	fmt.Fprintf(w, "breakers\t%s\n", strings.Join(breakers, ", "))
	return w.Flush()
}

func uptime(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second)).Truncate(time.Second)
}

func ago(now, then time.Time) string { return now.Sub(then).Truncate(time.Second).String() }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
