package tap

import (
	"context"

	"github.com/sluice-proxy/sluice/proxy"
)

// shadowed renders what a route in shadow would have done to an exchange.
func (r *renderer) shadowed(ctx context.Context, e *proxy.Shadowed) object {
	o := object{{"type", "shadow"}, {"id", e.Exchange}, {"time", stamp(e.At)}, {"direction", string(e.Call.Direction)}, {"route", e.Route}}
	o = append(o, r.target(e.Call)...)
	o.add("outcome", string(e.Outcome))
	o.addIf("reason", e.Reason)
	o.addIf("step", e.Step)
	if a := e.Answer; a != nil {
		o.add("answer", answered(a))
	}
	if e.Record == nil {
		o.add("steps", r.steps(e.Steps))
		return o
	}
	for _, m := range r.exchange(ctx, &remembered{Record: *e.Record}) {
		switch m.key {
		case "request", "response", "steps", "error":
			o = append(o, m)
		}
	}
	if len(e.Messages) > 0 {
		messages := make([]object, len(e.Messages))
		for i := range messages {
			messages[i] = r.message(e.Messages[i])
		}
		o.add("messages", messages)
	}
	if found := differencesOf(o); len(found) > 0 {
		places := make([]any, len(found))
		for i := range found {
			places[i] = found[i]
		}
		o.add("differences", places)
	}
	return o
}

func answered(a *proxy.Answer) object {
	answer := object{{"status", a.Status}}
	answer.addIf("grpc_status", string(a.GRPC))
	answer.addIf("message", a.Message)
	answer.add("error", a.Error)
	return answer
}

// mostDifferences bounds the places of one shadow.
const mostDifferences = 20

// differencesOf are the places in which a rendered exchange and its messages left
// differently: the names of header lines and paths in bodies, without values.
func differencesOf(o object) (found []string) {
	var e shown
	var of struct{ Messages []shown }
	text := appendJSON(nil, o)
	if unmarshal(text, &e) != nil || unmarshal(text, &of) != nil {
		return nil
	}
	add := func(half string, places []string) {
		for _, place := range places {
			if len(found) < mostDifferences {
				found = append(found, half+" "+place)
			}
		}
	}
	if e.Request != nil {
		add("request", e.Request.differences())
	}
	if e.Response != nil {
		add("response", e.Response.differences())
	}
	for i := range of.Messages {
		m := &of.Messages[i]
		half := "request"
		if m.From == "upstream" {
			half = "response"
		}
		var after []struct{ Body any }
		if len(m.After) == 0 || unmarshal(m.After, &after) != nil {
			continue
		}
		if len(after) == 1 {
			add(half, diff(nil, "", m.Body, after[0].Body))
		} else {
			add(half, []string{"~messages"})
		}
	}
	return found
}

// Differences are the places in which what a route in shadow would have sent
// differs from what came, such as "request ~.email": names and paths alone. They
// are nil for one that has no Record.
func (t *Tap) Differences(ctx context.Context, e *proxy.Shadowed) []string {
	if e.Record == nil {
		return nil
	}
	places, _ := t.render.shadowed(ctx, e).get("differences").([]any)
	var found []string
	for _, place := range places {
		found = append(found, place.(string)) //nolint:forcetypeassert // shadowed has made it
	}
	return found
}

// shadow is a line of what a route in shadow would have done.
func (p painter) shadow(e *shown) []string {
	what := safe(e.Method + " " + e.Host + e.Path)
	if e.GRPC != nil {
		what = safe(e.GRPC.Service + "/" + e.GRPC.Method)
	}
	colour := dim
	switch e.Outcome {
	case string(proxy.ShadowChange), string(proxy.ShadowReject):
		colour = yellow
	case string(proxy.ShadowError):
		colour = red
	}
	parts := []string{arrow(e.Direction), p.paint(bold, what), p.paint(cyan, "["+safe(e.Route)+" in shadow]"), p.paint(colour, safe(e.Outcome))}
	if e.Reason != "" {
		parts = append(parts, safe(e.Reason))
	}
	if e.Step != "" {
		parts = append(parts, safe(e.Step))
	}
	if len(e.Differences) > 0 {
		parts = append(parts, p.differences(e.Differences))
	}
	return parts
}
