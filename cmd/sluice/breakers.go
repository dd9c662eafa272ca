package main

import (
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/proxy/admin"
)

func newBreakersCmd() *cobra.Command {
	var at adminFlags
	o := outputText
	cmd := &cobra.Command{
		Use:   "breakers",
		Short: "Show, open, close or reset the circuit breakers of a running sidecar",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := at.open(cmd.Context())
			if err != nil {
				return err
			}
			var list admin.BreakerList
			return c.show(cmd, o, "GET", "/breakers", nil, &list, func(w io.Writer) error { return writeBreakers(w, list.Breakers, time.Now()) })
		},
	}
	at.register(cmd)
	o.register(cmd)
	for _, action := range []struct{ name, short string }{
		{"open", "Keep a breaker open until it is closed or reset"},
		{"close", "Close a breaker, with fresh counts"},
		{"reset", "Forget what a breaker counted, and close it"},
	} {
		cmd.AddCommand(newSetBreakerCmd(action.name, action.short, &at, &o))
	}
	return cmd
}

func newSetBreakerCmd(action, short string, at *adminFlags, o *output) *cobra.Command {
	return &cobra.Command{
		Use:     action + " NAME",
		Short:   short,
		Example: "  sluice breakers " + action + " payments@payments.shop.svc:8080",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := at.open(cmd.Context())
			if err != nil {
				return err
			}
			body := map[string]string{"state": action}
			var b admin.Breaker
			return c.show(cmd, *o, "POST", "/breakers/"+url.PathEscape(args[0]), body, &b, func(w io.Writer) error {
				return writeBreakers(w, []admin.Breaker{b}, time.Now())
			})
		},
	}
}

func writeBreakers(to io.Writer, list []admin.Breaker, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(to, "no breaker was used yet")
		return err
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BREAKER\tSTATE\tSINCE\tREQUESTS\tFAILURES\tRETRY")
	for i := range list {
		b := &list[i]
		since, retry := "-", "-"
		if !b.Since.IsZero() {
			since = max(0, now.Sub(b.Since)).Truncate(time.Second).String()
		}
		if b.RetryAfterSeconds > 0 {
			retry = "in " + time.Duration(b.RetryAfterSeconds*float64(time.Second)).Round(100*time.Millisecond).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\n", printable(b.Name), printable(b.State), since, b.Counts.Requests, b.Counts.Failures, retry)
	}
	return w.Flush()
}
