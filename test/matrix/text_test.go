package matrix

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// sent is what a case's caller and upstream said, which golden files do not
// repeat: they hold what became of it.
type sent struct {
	protocol, method, target, host string
	request, response              sentHalf
}

type sentHalf struct {
	fields, trailers        []string
	framing, encoding, body string
	messages                []string // of a gRPC call
}

// report writes the text of a golden file.
type report struct{ strings.Builder }

func (b *report) line(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }

// changes writes the fields that went and that came.
func (b *report) changes(what string, were, are []string) {
	were = normal(were)
	for _, f := range were {
		if !slices.Contains(are, f) {
			b.line("  - %s%s", what, f)
		}
	}
	left := slices.Clone(were)
	for _, f := range are {
		if i := slices.Index(left, f); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		b.line("  + %s%s", what, f)
	}
}

// body writes a body, unless all of it arrived as it was sent.
func (b *report) body(framing, encoding, body string, was sentHalf) {
	var not []string
	if body != was.body {
		not = append(not, "body "+short(body))
	}
	if framing != was.framing && framing != "" {
		not = append(not, "framed "+framing)
	}
	if encoding != was.encoding {
		not = append(not, "encoding "+cmp.Or(encoding, "none"))
	}
	if len(not) > 0 {
		b.line("  %s", strings.Join(not, ", "))
	}
}

// text is a result as golden files have it.
func (r *result) text(was sent) string {
	var b report
	c := &r.Caller
	said := was
	if len(r.Upstream) == 0 || r.Verdict.Answered != "" {
		was.response = sentHalf{} // the answer is Sluice's own
	}
	for _, line := range c.Interim {
		b.line("interim: %s", line)
	}
	switch {
	case c.Failure != "":
		b.line("caller: %s", c.Failure)
	case c.Code != "":
		b.line("caller: %s %q", c.Code, c.Message)
		b.changes("", was.response.fields, c.Fields)
		b.messages(was.response.messages, c.Messages)
		b.changes("trailer ", was.response.trailers, c.Trailers)
	case c.Broken:
		b.line("caller: %d, broken off", c.Status)
		b.changes("", was.response.fields, c.Fields)
	default:
		b.line("caller: %d", c.Status)
		b.changes("", was.response.fields, c.Fields)
		b.body(c.Framing, c.Encoding, c.Body, was.response)
		b.changes("trailer ", was.response.trailers, c.Trailers)
	}
	for i := range r.Upstream {
		b.upstream(&r.Upstream[i], was, c.Code != "")
	}
	b.verdict(&r.Verdict, r, said)
	if r.Next != "" {
		b.line("next: %s", r.Next)
	}
	return b.String()
}

func (b *report) upstream(s *seen, was sent, call bool) {
	line, _ := strings.CutSuffix(s.Line, map[string]string{"http1": " HTTP/1.1", "http2": " HTTP/2.0"}[was.protocol])
	if line == was.method+" "+was.target {
		line = "as sent"
	}
	if s.Host != was.host {
		line += ", host " + s.Host
	}
	if s.Err != "" {
		line += ", " + s.Err
	}
	b.line("upstream: %s", line)
	b.changes("", was.request.fields, slices.DeleteFunc(slices.Clone(s.Fields), func(f string) bool { return f == "host: "+s.Host }))
	if call {
		b.messages(was.request.messages, s.Messages)
	} else {
		b.body(s.Framing, s.Encoding, s.Body, was.request)
	}
	b.changes("trailer ", was.request.trailers, s.Trailers)
}

func (b *report) messages(were, are []string) {
	if slices.Equal(were, are) {
		return
	}
	for _, m := range are {
		b.line("  message %s", short(m))
	}
	if len(are) == 0 {
		b.line("  no message")
	}
}

func (b *report) verdict(v *verdict, r *result, was sent) {
	if v.Protocol == "" {
		return
	}
	line := fmt.Sprintf("verdict: status %d", v.Status)
	for _, more := range []struct{ name, value string }{
		{"", v.GRPCStatus}, {"route ", v.Route}, {"passed over ", strings.Join(v.Passed, "; ")},
		{"breaker ", v.Breaker}, {"answered by ", v.Answered}, {"error ", v.Error},
	} {
		if more.value != "" {
			line += ", " + more.name + more.value
		}
	}
	if v.Attempts != 1 {
		line += fmt.Sprintf(", %d attempts", v.Attempts)
	}
	protocol := map[string]string{"http1": "http/1.1", "http2": "h2"}[was.protocol]
	if v.Protocol != cmp.Or(protocol, was.protocol) {
		line += ", as " + v.Protocol
	}
	b.line("%s", line)
	arrived := ""
	if len(r.Upstream) > 0 {
		arrived = r.Upstream[len(r.Upstream)-1].Body
	}
	b.half("request", &v.Request, was.request.body, arrived)
	b.half("response", &v.Response, was.response.body, r.Caller.Body)
	for _, m := range v.Messages {
		b.line("  %s", m)
	}
}

// half writes what the record has of a half: what it shows of the body, as it
// came and as it went, and what the steps did.
func (b *report) half(name string, h *halfVerdict, came, went string) {
	var shown []string
	if h.Body != "" {
		shown = append(shown, shownAs(h.Body, came))
	}
	if h.Edited {
		shown = append(shown, "edited to "+shownAs(h.Sent, went))
	}
	if h.Messages > 0 {
		shown = append(shown, fmt.Sprintf("%d messages", h.Messages))
	}
	shown = append(shown, h.Steps...)
	if len(shown) > 0 {
		b.line("  %s: %s", name, strings.Join(shown, ", "))
	}
}

// shownAs is a payload as a record shows it, next to the body that it is of.
func shownAs(payload, body string) string {
	name, text, _ := strings.Cut(payload, " ")
	switch {
	case text == body:
		return name
	case strings.HasPrefix(body, text):
		return name + " begun"
	}
	return name + " " + short(text)
}
