package matrix

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// result is all that came of a case.
type result struct {
	Caller   answered
	Upstream []seen // what it was asked, once a request
	Verdict  verdict
	Next     string // what the same caller got when it asked again
}

// verdict is what the proxy's Record says.
type verdict struct {
	Protocol, Route   string
	Passed            []string
	Status            int
	GRPCStatus        string
	Attempts          int
	Breaker, Answered string
	Error             string
	Request, Response halfVerdict
	Messages          []string
}

// halfVerdict is the Record's half.
type halfVerdict struct {
	In, Out    string // heads
	Edited     bool
	Body, Sent string
	Trailers   []string
	Steps      []string
	Messages   int
}

// verdictOf reads a Record and its Messages. addr is that of the upstream, which
// differs from run to run. show shows a payload.
func verdictOf(r *proxy.Record, messages []*proxy.Message, addr string, show func(*proxy.Payload) string) verdict {
	v := verdict{
		Protocol: string(r.Protocol), Route: r.Route, Status: r.Status, GRPCStatus: string(r.GRPCStatus),
		Attempts: r.Attempts, Breaker: strings.ReplaceAll(r.Breaker, addr, "UPSTREAM"), Answered: r.Answered,
		Request: halfOf(&r.Request, show), Response: halfOf(&r.Response, show),
	}
	for _, p := range r.Passed {
		if p.Why != "headers."+actionField { // which other rows say of themselves
			v.Passed = append(v.Passed, p.Route.Name()+" "+p.Why)
		}
	}
	if e := r.Error; e != nil {
		v.Error = fmt.Sprintf("%s/%s %s/%s", e.Origin, e.Reason, e.Route, e.Step)
	}
	for _, m := range messages {
		direction := "to the upstream"
		if m.Upstream {
			direction = "to the caller"
		}
		text := fmt.Sprintf("%s, %d: %s", direction, m.Index, show(&m.In))
		if m.Edited {
			text += " ->"
			for i := range m.Out {
				text += " " + show(&m.Out[i])
			}
			if len(m.Out) == 0 {
				text += " nothing"
			}
		}
		v.Messages = append(v.Messages, strings.Join(append([]string{text}, stepsText(m.Steps)...), ", "))
	}
	slices.Sort(v.Messages) // of the two directions, each in its order
	return v
}

func halfOf(h *proxy.Half, show func(*proxy.Payload) string) halfVerdict {
	v := halfVerdict{
		In: headText(h.In), Out: headText(h.Out), Edited: h.Edited, Body: show(&h.Body),
		Trailers: ownFields(h.Trailers), Steps: stepsText(h.Steps), Messages: h.MessageCount,
	}
	if h.Edited {
		v.Sent = show(&h.Sent)
	}
	return v
}

func stepsText(steps []rules.StepReport) []string {
	var texts []string
	for _, s := range steps {
		texts = append(texts, s.Step+" "+s.Result)
	}
	return texts
}

// headText is a head in one piece.
func headText(h *rules.Head) string {
	if h == nil {
		return ""
	}
	first := fmt.Sprintf("%s %s?%s %s", h.Method, h.Path, h.Query, h.Host)
	if h.Status != 0 {
		first = fmt.Sprint(h.Status)
	}
	return first + "\n" + strings.Join(ownFields(h.Fields), "\n")
}

func ownFields(fields rules.Fields) []string {
	var list []string
	for _, f := range fields {
		list = append(list, strings.ToLower(f.Name)+": "+f.Value)
	}
	slices.Sort(list)
	return list
}

// payloadText shows a payload out of its encoding, as far as it was kept.
func payloadText(p *proxy.Payload) string {
	if p.Size == 0 {
		return ""
	}
	name, text := "unread", string(p.Bytes)
	if p.Codec != nil {
		name = p.Codec.Name()
	}
	if p.Encoding != "" {
		plain, err := plainOf(p.Encoding, p.Bytes)
		if err != nil {
			return fmt.Sprintf("%s %d bytes in %s", name, len(p.Bytes), p.Encoding) // only the beginning was kept
		}
		text = plain
	}
	return name + " " + text
}

// short shortens a text that is for people.
func short(text string) string {
	if len(text) <= 200 {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%.40q... %d bytes", text, len(text))
}
