package main

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/proxy/admin"
)

func newRoutesCmd() *cobra.Command {
	var at adminFlags
	o := outputText
	cmd := &cobra.Command{
		Use:   "routes [NAME]",
		Short: "Show the routes in force of a running sidecar",
		Args:  usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := at.open(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				var r admin.Route
				return c.show(cmd, o, "GET", "/routes/"+url.PathEscape(args[0]), nil, &r, func(w io.Writer) error { return writeRoute(w, &r) })
			}
			var list admin.RouteList
			return c.show(cmd, o, "GET", "/routes", nil, &list, func(w io.Writer) error { return writeRoutes(w, &list) })
		},
	}
	at.register(cmd)
	o.register(cmd)
	return cmd
}

func writeRoutes(to io.Writer, list *admin.RouteList) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	shadowed := slices.ContainsFunc(list.Routes, func(r admin.Route) bool { return r.Shadow != nil })
	column := func(text string) string {
		if !shadowed {
			return ""
		}
		return text + "\t"
	}
	fmt.Fprintf(w, "ROUTE\tSTEPS\tBREAKER\tON_ERROR\t%sFILE\n", column("SHADOW"))
	for i := range list.Routes {
		r := &list.Routes[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s%s:%d\n", printable(r.Name), stepsOf(r), breakerOf(r), r.OnError, column(modeOf(r)), printable(r.File), r.Line)
	}
	return w.Flush()
}

func writeRoute(to io.Writer, r *admin.Route) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "route\t%s\nfile\t%s:%d\nsteps\t%s\nbreaker\t%s\non_error\t%s\n",
		printable(r.Name), printable(r.File), r.Line, stepsOf(r), breakerOf(r), r.OnError)
	if r.Shadow != nil {
		writeShadow(w, r.Shadow)
	}
	for _, s := range r.Slow {
		way := "runs as jq"
		if s.Value {
			way = "needs the message's value"
		}
		fmt.Fprintf(w, "%s\t%s: %s\n", printable(s.Of), way, printable(s.Why))
	}
	fmt.Fprintf(w, "limits\tbody %d bytes, message %d bytes, %d jq steps, %s\n",
		r.Limits.BodyBytes, r.Limits.MessageBytes, r.Limits.Steps, printable(r.Limits.Time))
	return w.Flush()
}

func stepsOf(r *admin.Route) string {
	var on []string
	if r.Request {
		on = append(on, "request")
	}
	if r.Response {
		on = append(on, "response")
	}
	if on == nil {
		return "-"
	}
	return strings.Join(on, ",")
}

func breakerOf(r *admin.Route) string {
	if r.Breaker == nil {
		return "-"
	}
	text := fmt.Sprintf("window %s, open %s, probes %d", r.Breaker.Window, r.Breaker.Open, r.Breaker.Probes)
	if r.Breaker.Fallback {
		text += ", fallback"
	}
	return printable(text)
}
