package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/proxy/tap"
	"github.com/sluice-proxy/sluice/rules"
)

// tapOptions is the command line of tap.
type tapOptions struct {
	where    []string
	since    string
	route    string
	status   string
	limit    int
	follow   bool
	noFollow bool
	filters  []string
}

func newTapCmd() *cobra.Command {
	var at adminFlags
	var options tapOptions
	var o output
	cmd := &cobra.Command{
		Use:   "tap [FILTER...]",
		Short: "Show the traffic of a running sidecar, past and live",
		Long: `Show what passed a running sidecar and what passes: one readable line an event on a terminal, one JSON object a line
in a pipe. It begins with all that is remembered and goes on until it is interrupted.

Every FILTER has to hold: inbound or outbound; a status (404, 5xx) or gRPC code (UNAVAILABLE); an HTTP method; the beginning
of a path, with its slash; anything else is text that the route, host, path, gRPC service, breaker or an address contains.`,
		Example: `  sluice tap
  sluice tap outbound 5xx --since 5m
  sluice tap --route orders.create --where '.request.body.quantity > 100'
  sluice tap --no-follow -o json | jq .response.body`,
		RunE: func(cmd *cobra.Command, args []string) error {
			options.filters = args
			query, err := options.query()
			if err != nil {
				return err
			}
			c, err := at.open(cmd.Context())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if o == outputText || o == "" && isTerminal(out) {
				query.Add("where", worthALine)
				style := tap.Style{Colour: coloured(out), Zone: time.Local}
				return runTap(cmd.Context(), c, query, func(line []byte) error {
					_, err := fmt.Fprintln(out, tap.Line(line, style))
					return err
				})
			}
			return runTap(cmd.Context(), c, query, func(line []byte) error {
				_, err := out.Write(line)
				return err
			})
		},
	}
	at.register(cmd)
	o.register(cmd)
	cmd.Flag("output").Usage = "text or json; default: text on a terminal, else json"
	f := cmd.Flags()
	f.StringArrayVar(&options.where, "where", nil, "jq over an event; kept if it is neither false nor null. Several must all hold")
	f.StringVar(&options.since, "since", "", "how far to look back: 5m, or a time as 2026-01-02T15:04:05Z")
	f.StringVar(&options.route, "route", "", "events of this route")
	f.StringVar(&options.status, "status", "", "exchanges with one of these: 404,5xx,UNAVAILABLE")
	f.IntVarP(&options.limit, "limit", "n", 0, "end after so many events; of the past the newest")
	f.BoolVarP(&options.follow, "follow", "f", true, "go on with what comes")
	f.BoolVar(&options.noFollow, "no-follow", false, "end with what is remembered")
	return cmd
}

// worthALine leaves out connections whose exchanges tell all.
const worthALine = `.type != "conn" or (.event == "closed" and (.lane != "exchange" or .error != null))`

// query is the query of GET /tap.
func (o *tapOptions) query() (url.Values, error) {
	q := url.Values{}
	q.Set("follow", strconv.FormatBool(o.follow && !o.noFollow))
	for _, program := range o.where {
		q.Add("where", program)
	}
	if o.status != "" {
		program, ok := whereStatus(strings.Split(o.status, ","))
		if !ok {
			return nil, usageError(fmt.Errorf("--status: %q is no status like 404, 5xx or UNAVAILABLE", o.status))
		}
		q.Add("where", program)
	}
	for _, filter := range o.filters {
		q.Add("where", whereFilter(filter))
	}
	if o.since != "" {
		q.Set("since", o.since)
	}
	if o.route != "" {
		q.Set("route", o.route)
	}
	if o.limit < 0 {
		return nil, usageError(fmt.Errorf("--limit: %d is below 1", o.limit))
	}
	if o.limit > 0 {
		q.Set("limit", strconv.Itoa(o.limit))
	}
	return q, nil
}

// whereFilter is a FILTER as jq.
func whereFilter(filter string) string {
	if program, ok := whereStatus([]string{filter}); ok {
		return program
	}
	text := jqString(filter)
	switch {
	case filter == string(rules.Inbound) || filter == string(rules.Outbound):
		return ".direction == " + text
	case strings.HasPrefix(filter, "/"):
		return "(.path // \"\") | startswith(" + text + ")"
	}
	switch filter {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE":
		return ".method == " + text
	}
	return "[.route, .host, .path, .grpc.service?, .grpc.method?, .breaker, .sni, .peer, .destination, .id] | any(.[] | strings; contains(" + text + "))"
}

// whereStatus is true for an exchange with one of the statuses; false if one of
// them is none.
func whereStatus(statuses []string) (string, bool) {
	number := regexp.MustCompile(`^[1-9]([0-9][0-9]|xx)$`)
	var either []string
	for _, s := range statuses {
		s = strings.TrimSpace(s)
		_, isCode := rules.Code(s).Number()
		switch {
		case isCode:
			either = append(either, ".grpc_status == "+jqString(s))
		case !number.MatchString(s):
			return "", false
		case strings.HasSuffix(s, "xx"):
			either = append(either, fmt.Sprintf("(.status // 0 | . >= %c00 and . < %c00 + 100)", s[0], s[0]))
		default:
			either = append(either, ".status == "+s)
		}
	}
	return strings.Join(either, " or "), true
}

// jqString is s as a literal of jq, which JSON's are: a backslash before a
// parenthesis is escaped itself.
func jqString(s string) string {
	text, _ := json.Marshal(s) // strings do not fail
	return string(text)
}

// runTap gives each line of the tap to show, until the tap ends or the user
// interrupts.
func runTap(ctx context.Context, c *client, query url.Values, show func(line []byte) error) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	resp, err := c.do(ctx, "GET", "/tap", query, nil)
	if err != nil {
		return endOfTap(ctx, err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 && err == nil {
			if err := show(line); err != nil {
				return quietPipe(err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return endOfTap(ctx, fmt.Errorf("the sidecar went away: %w", err))
		}
	}
}

// endOfTap takes an interrupt for a good end.
func endOfTap(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	return err
}

// quietPipe takes a reader that has seen enough, such as head, for a good end.
func quietPipe(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}
