package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// explained is an explanation, or an exchange that happened, as it is printed:
// the form is that of package tap.
type explained struct {
	Type, ID, Direction       string
	Route                     *string
	Method, Host, Path, Query string
	GRPC                      *struct{ Service, Method string }
	Status                    int
	GRPCStatus                string `json:"grpc_status"`
	Params                    map[string]string
	Candidates                []explainedRoute
	Passed                    []struct{ Route, Why string }
	Request, Response         *explainedHalf
	Steps                     []explainedStep
	Messages                  []explainedMessage
	Breaker                   any // of an exchange a name, else with its state
	Answer                    *struct {
		Status         int
		GRPCStatus     string `json:"grpc_status"`
		Message, Error string
	}
	Answered   string
	Generation uint64 // of an exchange
	Error      *struct{ Origin, Reason, Route, Step, Cause string }
	Shadow     *explainedShadow // of an exchange
}

type explainedRoute struct {
	Route, File, Pattern, Fate, Why string
	Line                            int
	Want, Got                       *string
}

// explainedHead is what a head has, or what of it is sent differently.
type explainedHead struct {
	Method, Host, Path, Query *string
	Status                    *int
	Headers, Trailers         json.RawMessage
	Body                      json.RawMessage
	Format                    string
	Size                      *int // of a body, if there is one to tell of
	Truncated                 bool
	Withheld                  string
}

type explainedHalf struct {
	explainedHead
	Way, Why string
	After    *explainedHead
}

type explainedStep struct {
	Step, Result string
	InPlace      bool    `json:"in_place"`
	TookMS       float64 `json:"took_ms"`
	Head, Body   json.RawMessage
	Count        *int
	Truncated    bool
}

type explainedMessage struct {
	From  string
	Index int
	Body  json.RawMessage
	After []struct{ Body json.RawMessage }
	Steps []explainedStep
}

// explainPrinter writes an explanation for people.
type explainPrinter struct {
	b      strings.Builder
	colour bool
}

// elsewhereMost is how many routes are listed whose pattern does not match.
const elsewhereMost = 10

func (p *explainPrinter) all(e *explained) {
	target := e.Host + e.Path
	if e.Query != "" {
		target += "?" + e.Query
	}
	fmt.Fprintf(&p.b, "%s %s  %s", printable(e.Method), printable(target), printable(e.Direction))
	if e.GRPC != nil {
		fmt.Fprintf(&p.b, "  %s", printable(strings.TrimSpace("gRPC "+e.GRPCStatus)))
	} else if e.Status != 0 {
		fmt.Fprintf(&p.b, "  %d", e.Status)
	}
	p.b.WriteString("\n\n")
	p.routes(e)
	p.half(e, "request", e.Request)
	p.half(e, "response", e.Response)
	p.trailers(e)
	for i := range e.Messages {
		p.message(&e.Messages[i])
	}
	p.end(e)
}

func (p *explainPrinter) routes(e *explained) {
	candidates := e.Candidates
	again := candidates != nil // matched again, by the same rules
	if e.Type == "exchange" && !again {
		for _, passed := range e.Passed {
			candidates = append(candidates, explainedRoute{Route: passed.Route, Fate: "passed", Why: passed.Why})
		}
		if e.Route != nil {
			candidates = append(candidates, explainedRoute{Route: *e.Route, Fate: "chosen"})
		}
	}
	w := tabwriter.NewWriter(&p.b, 0, 0, 2, ' ', 0)
	if len(candidates) > 0 {
		fmt.Fprintln(w, "ROUTE\tFATE\tWHY\tFILE")
	}
	elsewhere := 0
	for _, c := range candidates {
		if c.Fate == "no_match" || c.Fate == "off" {
			if elsewhere++; elsewhere > elsewhereMost {
				continue
			}
		}
		file := ""
		if c.File != "" {
			file = fmt.Sprintf("%s:%d", c.File, c.Line)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(c.Route), printable(c.fate()), printable(c.reason(e.Params)), printable(file))
	}
	_ = w.Flush() // into memory
	if elsewhere > elsewhereMost {
		fmt.Fprintf(&p.b, "%s more do not match\n", plural(elsewhere-elsewhereMost, "route"))
	}
	if e.Route == nil {
		p.b.WriteString("no route: the request passes untouched\n")
	}
	if e.Type == "exchange" && !again && e.Generation > 0 {
		fmt.Fprintf(&p.b, "why other routes were not the one is known only while generation %d of the rules is in force\n", e.Generation)
	}
	p.shadow(e.Shadow)
}

func (c *explainedRoute) fate() string {
	if c.Fate == "passed" {
		return "passed over"
	}
	return strings.ReplaceAll(c.Fate, "_", " ")
}

// reason is why a route is or is not the one.
func (c *explainedRoute) reason(params map[string]string) string {
	why := strings.ReplaceAll(c.Why, "_", " ")
	switch {
	case c.Fate == "chosen":
		text := c.Pattern
		for _, name := range slices.Sorted(maps.Keys(params)) {
			text += fmt.Sprintf(", %s = %s", name, params[name])
		}
		return strings.TrimPrefix(text, ", ")
	case c.Fate == "failed" && c.Want != nil:
		return why + ": " + *c.Want
	case c.Why == "where" && c.Want != nil:
		return "where is false: " + *c.Want
	case c.Why == "path" || c.Why == "grpc":
		return why + ": " + c.Pattern
	case c.Want == nil:
		return strings.Trim(why+": "+c.Pattern, ": ")
	case *c.Got == "":
		return fmt.Sprintf("%s: wants %s, has none", c.Why, *c.Want)
	}
	return fmt.Sprintf("%s: wants %s, has %s", c.Why, *c.Want, *c.Got)
}

// half prints a half's steps, and what is sent with what they changed.
func (p *explainPrinter) half(e *explained, name string, h *explainedHalf) {
	if h == nil {
		return
	}
	steps := e.stepsOf(name)
	fmt.Fprintf(&p.b, "\n%s", name)
	switch {
	case h.Way == "by_value":
		fmt.Fprintf(&p.b, ", by value: %s", printable(h.Why))
	case h.Way == "in_place", slices.ContainsFunc(steps, func(s explainedStep) bool { return s.InPlace }):
		p.b.WriteString(", in place")
	}
	p.b.WriteString("\n")
	if name == "response" && e.Answered != "" && len(h.Headers) == 0 {
		return // the answer says it
	}
	p.steps(steps, h.headText(e, nil), h.Body)
	to := "to the upstream"
	if name == "response" {
		to = "to the caller"
	}
	if !e.sent(name) {
		fmt.Fprintf(&p.b, "  nothing is sent %s\n", to)
		return
	}
	head, body := h.headText(e, nil), append([]string{""}, bodyLines(h.Body, h.Format)...)
	if len(body) == 1 || e.streams(name) {
		body = nil // each message is shown by itself
	}
	afterHead, afterBody := head, body
	if a := h.After; a != nil {
		afterHead = h.headText(e, a)
		if a.Size != nil {
			afterBody = append([]string{""}, bodyLines(a.Body, a.Format)...)
		}
	}
	fmt.Fprintf(&p.b, "  sent %s\n", to)
	p.diff(diffLines(head, afterHead, sameLine))
	p.diff(diffLines(body, afterBody, sameMember))
	if h.Withheld != "" {
		fmt.Fprintf(&p.b, "      the body is withheld: %s\n", printable(h.Withheld))
	}
	if h.Truncated {
		p.b.WriteString("      ... more that was not kept\n")
	}
}

// sent reports whether a half went on, or would.
func (e *explained) sent(half string) bool {
	if half == "response" {
		return e.Answer == nil && e.Answered != "reject" && e.Answered != "error"
	}
	return e.Answer == nil && e.Answered == "" || e.Response != nil && e.Answered != "fallback" && e.Answered != "breaker"
}

// streams reports whether messages of a half are shown one by one.
func (e *explained) streams(half string) bool {
	from := map[string]string{"request": "caller", "response": "upstream"}[half]
	return slices.ContainsFunc(e.Messages, func(m explainedMessage) bool { return m.From == from })
}

// headText is the head as lines, or with what after has of it.
func (h *explainedHalf) headText(e *explained, after *explainedHead) []string {
	method, host, path, query, headers, status := e.Method, e.Host, e.Path, e.Query, h.Headers, h.Status
	if after != nil {
		for _, part := range []struct {
			of   *string
			from *string
		}{{&method, after.Method}, {&host, after.Host}, {&path, after.Path}, {&query, after.Query}} {
			if part.from != nil {
				*part.of = *part.from
			}
		}
		if len(after.Headers) > 0 {
			headers = after.Headers
		}
		if after.Status != nil {
			status = after.Status
		}
	}
	return headLines(method, host, path, query, status, headers)
}

func headLines(method, host, path, query string, status *int, headers json.RawMessage) []string {
	var lines []string
	if status != nil {
		lines = append(lines, fmt.Sprint(*status))
	} else {
		if query != "" {
			path += "?" + query
		}
		lines = append(lines, method+" "+path, "host: "+host)
	}
	for _, m := range members(headers) {
		var one string
		var several []string
		if json.Unmarshal(m.value, &one) == nil {
			several = []string{one}
		} else {
			_ = json.Unmarshal(m.value, &several) // else there is nothing to show
		}
		for _, value := range several {
			lines = append(lines, m.name+": "+value)
		}
	}
	return lines
}

// steps prints what each step did to what the one before it left.
func (p *explainPrinter) steps(steps []explainedStep, head []string, body json.RawMessage) {
	value := sortedLines(body)
	for _, s := range steps {
		fmt.Fprintf(&p.b, "  %s  %s", printable(s.Step), printable(strings.ReplaceAll(s.Result, "_", " ")))
		if s.TookMS > 0 {
			fmt.Fprintf(&p.b, "  %s", roundedTime(s.TookMS))
		}
		p.b.WriteString("\n")
		if len(s.Head) > 0 {
			var h struct {
				explainedHead
				Method, Host, Path, Query string
			}
			if json.Unmarshal(s.Head, &h) == nil {
				next := headLines(h.Method, h.Host, h.Path, h.Query, h.Status, h.Headers)
				p.diff(near(diffLines(head, next, sameLine), 0))
				head = next
			}
		}
		switch {
		case s.Count != nil && *s.Count == 0: // it is dropped
		case s.Count != nil:
			fmt.Fprintf(&p.b, "      became %s\n", plural(*s.Count, "message"))
		case len(s.Body) > 0 && !s.Truncated:
			next := sortedLines(s.Body)
			p.diff(near(diffLines(value, next, sameMember), 1))
			value = next
		}
	}
}

func (p *explainPrinter) message(m *explainedMessage) {
	fmt.Fprintf(&p.b, "\nmessage %d from the %s\n", m.Index, printable(m.From))
	p.steps(m.Steps, nil, m.Body)
	if m.After == nil {
		return
	}
	if len(m.After) == 0 {
		p.b.WriteString("  dropped\n")
		return
	}
	p.b.WriteString("  sent\n")
	var after []string
	for _, each := range m.After {
		after = append(after, bodyLines(each.Body, "")...)
	}
	p.diff(diffLines(bodyLines(m.Body, ""), after, sameMember))
}

// end prints what ends the exchange but for a response.
func (p *explainPrinter) end(e *explained) {
	switch b := e.Breaker.(type) {
	case string:
		fmt.Fprintf(&p.b, "\nbreaker %s\n", printable(b))
	case map[string]any:
		if state, ok := b["state"].(string); ok {
			fmt.Fprintf(&p.b, "\nbreaker %s, %s\n", printable(fmt.Sprint(b["name"])), printable(state))
		}
	}
	switch a := e.Answer; {
	case a != nil:
		fmt.Fprintf(&p.b, "\nSluice answers %d", a.Status)
		if a.GRPCStatus != "" {
			fmt.Fprintf(&p.b, " %s", printable(a.GRPCStatus))
		}
		fmt.Fprintf(&p.b, ": %s\n  x-sluice-error: %s\n", printable(a.Message), printable(a.Error))
	case e.Answered != "":
		fmt.Fprintf(&p.b, "\nanswered by Sluice: %s\n", printable(e.Answered))
	}
	if f := e.Error; f != nil {
		where := f.Route
		if f.Step != "" {
			where += "/" + f.Step
		}
		fmt.Fprintf(&p.b, "\nfailed: %s\n", printable(strings.TrimSpace(fmt.Sprintf("%s %s %s %s", f.Origin, where, f.Reason, f.Cause))))
	}
}

func (p *explainPrinter) diff(lines []lineDiff) {
	for _, line := range lines {
		text := strings.TrimRight(fmt.Sprintf("    %c %s", line.mark, printable(line.text)), " ")
		colour := map[byte]string{'-': "31", '+': "32"}[line.mark]
		if p.colour && colour != "" {
			text = "\x1b[" + colour + "m" + text + "\x1b[0m"
		}
		p.b.WriteString(text + "\n")
	}
}

// bodyLines is a body as it is spelled: JSON indented, a text by its lines.
func bodyLines(body json.RawMessage, format string) []string {
	if len(body) == 0 {
		return nil
	}
	var text string
	if json.Unmarshal(body, &text) == nil && (format == "text" || format == "base64") {
		return strings.Split(text, "\n")
	}
	var b bytes.Buffer
	if json.Indent(&b, body, "", "  ") != nil {
		return nil
	}
	return strings.Split(b.String(), "\n")
}

// sortedLines is a value with its keys in order, to be compared with another.
func sortedLines(body json.RawMessage) []string {
	var value any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&value) != nil {
		return nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if e.Encode(value) != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(b.String()), "\n")
}

func roundedTime(ms float64) time.Duration {
	d := time.Duration(ms * float64(time.Millisecond))
	if d < time.Microsecond {
		return d
	}
	return d.Round(100 * time.Nanosecond)
}

// member is a member of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// members are those of an object in their order, none of what is no object.
func members(object json.RawMessage) []member {
	d := json.NewDecoder(bytes.NewReader(object))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	var list []member
	for d.More() {
		var m member
		name, err := d.Token()
		if err != nil || d.Decode(&m.value) != nil {
			return list
		}
		m.name, _ = name.(string)
		list = append(list, m)
	}
	return list
}
