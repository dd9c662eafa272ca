package tap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Style is how [Line] paints.
type Style struct {
	Colour bool
	Zone   *time.Location // of the clock time shown; nil means UTC
}

// Line renders the JSON of one event as one line for people, without a line
// end. What is no event is returned as it is, made safe for a terminal: no
// control character of a payload ever reaches it.
func Line(text []byte, style Style) string {
	var e shown
	if err := unmarshal(text, &e); err != nil {
		return safe(strings.TrimSpace(string(text)))
	}
	p := painter{style}
	var parts []string
	switch e.Type {
	case "exchange":
		parts = p.exchange(&e)
	case "message":
		parts = p.message(&e)
	case "conn":
		parts = p.conn(&e)
	case "breaker":
		parts = p.breaker(&e)
	case "reload":
		parts = p.reload(&e)
	case "shadow":
		parts = p.shadow(&e)
	case "dropped":
		return p.paint(yellow, fmt.Sprintf("... %d events lost: this reader was too slow", e.Count))
	case "where_error":
		return p.paint(yellow, "where: "+safe(e.errorText()))
	default:
		return safe(strings.TrimSpace(string(text)))
	}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return strings.Join(append([]string{p.clock(e.Time)}, parts...), "  ")
}

// unmarshal keeps numbers as they are spelled: they are compared.
func unmarshal(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// shown is an event as Line needs it.
type shown struct {
	Type, Event, Time, Direction, Protocol, Lane string
	Route                                        string
	Method, Host, Path, Query                    string
	GRPC                                         *struct{ Service, Method string }
	Status                                       int
	GRPCStatus                                   string  `json:"grpc_status"`
	DurationMS                                   float64 `json:"duration_ms"`
	Peer, Destination, SNI                       string
	Request, Response                            *shownHalf
	Steps                                        []struct{ Step, Result string }
	Breaker, Answered                            string
	Outcome, Reason, Step                        string // of a shadow
	Differences                                  []string
	Error                                        json.RawMessage

	From  string // of a message: caller, upstream; of a breaker: its state
	To    string
	Index int
	Body  any
	After json.RawMessage // of a message: what left

	Sent, Received int64
	Live           bool
	Generation     uint64
	Routes         int
	Problems       []struct {
		File, Code, Message, Severity string
		Line, Column                  int
	}
	Count int
}

type shownHalf struct {
	Headers map[string]any
	Body    any
	Format  string
	After   *struct {
		Method, Host, Path, Query *string
		Status                    *int
		Headers                   map[string]any
		Body                      any
		Format                    string
	}
}

type failureText struct{ Origin, Reason, Route, Step string }

func (e *shown) failure() failureText {
	var f failureText
	if len(e.Error) > 0 && json.Unmarshal(e.Error, &f) != nil {
		f.Reason = e.errorText()
	}
	return f
}

func (e *shown) errorText() string {
	var s string
	_ = json.Unmarshal(e.Error, &s) // an object is no text
	return s
}

// painter puts the parts of lines together.
type painter struct{ Style }

func (p painter) exchange(e *shown) []string {
	what := safe(e.Method) + " " + safe(e.Host+e.Path)
	if e.Query != "" {
		what += safe("?" + e.Query)
	}
	status := fmt.Sprint(e.Status)
	bad, warn := e.Status >= 500, e.Status >= 400
	if e.GRPC != nil {
		what = safe(e.GRPC.Service + "/" + e.GRPC.Method)
	}
	if e.GRPC != nil && e.GRPCStatus != "" { // of Connect and gRPC-Web it may be known to nobody
		status = safe(e.GRPCStatus)
		bad, warn = e.GRPCStatus != "OK", false
	}
	if status == "0" || status == "" {
		status, bad = "reset", true
	}
	parts := []string{arrow(e.Direction), p.paint(bold, what), p.paint(statusColour(bad, warn), status), p.paint(dim, duration(e.DurationMS))}
	if e.Route != "" {
		parts = append(parts, p.paint(cyan, "["+safe(e.Route)+"]"))
	}
	if e.Request != nil {
		parts = append(parts, p.changes("request", e.Request))
	}
	if e.Response != nil {
		parts = append(parts, p.changes("response", e.Response))
	}
	for _, s := range e.Steps {
		switch s.Result {
		case "ran", "when_false", "allowed":
		default:
			parts = append(parts, p.paint(yellow, safe(s.Step+" "+s.Result)))
		}
	}
	if e.Answered != "" && e.Status != 0 {
		parts = append(parts, p.paint(yellow, "answered by "+safe(e.Answered)))
	}
	if e.Breaker != "" && e.Answered != "" && e.Answered != "reject" {
		parts = append(parts, "breaker "+safe(e.Breaker))
	}
	return append(parts, p.failed(e.failure()))
}

func (p painter) message(e *shown) []string {
	what := safe(e.Method + " " + e.Host + e.Path)
	if e.GRPC != nil {
		what = safe(e.GRPC.Service + "/" + e.GRPC.Method)
	}
	direction := "caller ⇢"
	if e.From == "upstream" {
		direction = "⇠ upstream"
	}
	parts := []string{fmt.Sprintf("%s #%d", direction, e.Index), p.paint(bold, what), p.paint(cyan, "["+safe(e.Route)+"]")}
	var after []struct{ Body any }
	if len(e.After) > 0 && unmarshal(e.After, &after) == nil {
		switch len(after) {
		case 0:
			parts = append(parts, p.paint(yellow, "dropped"))
		case 1:
			parts = append(parts, p.differences(diff(nil, "", e.Body, after[0].Body)))
		default:
			parts = append(parts, fmt.Sprintf("became %d messages", len(after)))
		}
	}
	return parts
}

func (p painter) conn(e *shown) []string {
	to := safe(e.Destination)
	if e.SNI != "" {
		to += " (" + safe(e.SNI) + ")"
	}
	parts := []string{arrow(e.Direction), "conn " + e.Event, safe(e.Peer) + " to " + to}
	if e.Event != "closed" {
		return parts
	}
	parts = append(parts, safe(e.Protocol), p.paint(dim, duration(e.DurationMS)))
	if e.Lane == "splice" {
		parts = append(parts, fmt.Sprintf("sent %d received %d", e.Sent, e.Received))
	}
	return append(parts, p.failed(e.failure()))
}

func (p painter) breaker(e *shown) []string {
	colour := yellow
	switch e.To {
	case "closed":
		colour = green
	case "open", "forced_open":
		colour = red
	}
	return []string{"breaker " + safe(e.Breaker), safe(e.From) + " -> " + p.paint(colour, safe(e.To))}
}

func (p painter) reload(e *shown) []string {
	if e.Live {
		return []string{"rules", p.paint(green, fmt.Sprintf("generation %d live", e.Generation)), routes(e.Routes)}
	}
	parts := []string{"rules", p.paint(red, "refused"), fmt.Sprintf("generation %d stays", e.Generation)}
	for _, problem := range e.Problems {
		if problem.Severity == "error" {
			return append(parts, safe(fmt.Sprintf("%s:%d:%d: %s [%s]", problem.File, problem.Line, problem.Column, problem.Message, problem.Code)))
		}
	}
	return append(parts, safe(e.errorText()))
}

func routes(n int) string {
	if n == 1 {
		return "1 route"
	}
	return fmt.Sprintf("%d routes", n)
}

func (p painter) failed(f failureText) string {
	if f.Reason == "" {
		return ""
	}
	return p.paint(red, safe(strings.TrimSpace(f.Origin+" "+f.Reason+" "+f.Step)))
}

// changes says what rules did to a half.
func (p painter) changes(which string, h *shownHalf) string {
	if found := h.differences(); len(found) > 0 {
		return which + " " + p.differences(found)
	}
	return ""
}

func (p painter) differences(found []string) string {
	const most = 6
	more := ""
	if len(found) > most {
		more = fmt.Sprintf(" and %d more", len(found)-most)
		found = found[:most]
	}
	painted := make([]string, len(found))
	for i, f := range found {
		colour := yellow
		switch f[0] {
		case '+':
			colour = green
		case '-':
			colour = red
		}
		painted[i] = p.paint(colour, safe(f))
	}
	return strings.Join(painted, " ") + more
}

// arrow shows the service as a dot, and which way the exchange goes.
func arrow(direction string) string {
	if direction == "outbound" {
		return "•→"
	}
	return "→•"
}

func duration(ms float64) string {
	switch {
	case ms >= 1000:
		return fmt.Sprintf("%.2fs", ms/1000)
	case ms >= 100:
		return fmt.Sprintf("%.0fms", ms)
	}
	return fmt.Sprintf("%.1fms", ms)
}

func (p painter) clock(text string) string {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return safe(text)
	}
	zone := p.Zone
	if zone == nil {
		zone = time.UTC
	}
	return p.paint(dim, at.In(zone).Format("15:04:05.000"))
}

// The colours, by what they say.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func statusColour(bad, warn bool) string {
	switch {
	case bad:
		return red
	case warn:
		return yellow
	}
	return green
}

func (p painter) paint(colour, s string) string {
	if !p.Colour || s == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// safe replaces what could move a terminal's cursor, or turn text around.
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
