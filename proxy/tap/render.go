package tap

import (
	"context"
	"maps"
	"net/netip"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// redacted stands in place of a secret.
const redacted = "[redacted]"

// renderer turns events into the form of the package comment.
type renderer struct {
	config Config
	secret map[string]bool // header names in lower case
}

func newRenderer(c Config) *renderer {
	secret := map[string]bool{
		"authorization": true, "proxy-authorization": true, "cookie": true, "set-cookie": true,
		"x-api-key": true, "x-auth-token": true, "x-amz-security-token": true, "x-goog-api-key": true, "x-sluice-explain": true,
	}
	for _, name := range c.Redact {
		secret[strings.ToLower(name)] = true
	}
	return &renderer{config: c, secret: secret}
}

// event renders an unpacked event; ctx bounds what it has to ask others.
func (r *renderer) event(ctx context.Context, e proxy.Event) object {
	switch e := e.(type) {
	case *remembered:
		return r.exchange(ctx, e)
	case *proxy.Message:
		return r.message(e)
	case *proxy.ConnOpened:
		return r.conn(&e.Conn, "opened", e.Opened)
	case *proxy.ConnClosed:
		return r.connClosed(e)
	case *proxy.BreakerChange:
		return object{
			{"type", "breaker"}, {"time", stamp(e.At)}, {"breaker", e.Name}, {"from", e.From}, {"to", e.To},
			{"counts", object{
				{"requests", int64(e.Counts.Requests)}, {"successes", int64(e.Counts.Successes)},
				{"failures", int64(e.Counts.Failures)}, {"consecutive_failures", int64(e.Counts.ConsecutiveFailures)},
				{"slow", int64(e.Counts.Slow)},
			}},
		}
	case *proxy.Shadowed:
		return r.shadowed(ctx, e)
	case *proxy.Reload:
		return r.reload(e)
	}
	return object{{"type", "unknown"}}
}

func (r *renderer) exchange(ctx context.Context, e *remembered) object {
	o := object{{"type", "exchange"}, {"id", e.ID}, {"time", stamp(e.Started)}}
	if e.Conn != nil {
		o.add("conn", e.Conn.ID)
	}
	q := e.Call
	o.add("direction", string(q.Direction))
	o.add("protocol", string(e.Protocol))
	o.add("lane", string(e.Lane))
	o.add("route", orNull(e.Route))
	o = append(o, r.target(q)...)
	o.add("status", e.Status)
	o.addIf("grpc_status", string(e.GRPCStatus))
	o.add("duration_ms", millis(e.Duration))
	o.add("peer", address(q.Peer))
	o.add("destination", destination(q, e.Conn))
	o.add("generation", e.Generation)
	o.add("attempts", e.Attempts)

	input, output := r.describe(ctx, &e.Record)
	o.add("request", r.half(&e.Request, input))
	if e.Response.In == nil && e.Response.Out == nil {
		o.add("response", nil)
	} else {
		o.add("response", r.half(&e.Response, output))
	}
	o.add("steps", append(r.steps(e.Request.Steps), r.steps(e.Response.Steps)...))
	if len(e.passed) > 0 {
		passed := make([]object, len(e.passed))
		for i, p := range e.passed {
			passed[i] = object{{"route", p.name}, {"why", p.why}}
		}
		o.add("passed", passed)
	}
	o.addIf("breaker", e.Breaker)
	o.addIf("answered", e.Answered)
	if e.Error != nil {
		o.add("error", failure(e.Error))
	}
	return o
}

// target is what a request asks for.
func (r *renderer) target(q *rules.Request) object {
	o := object{{"method", q.Head.Method}, {"host", q.Head.Host}, {"path", q.Head.Path}, {"query", q.Head.Query}}
	if q.Service != "" {
		o.add("grpc", object{{"service", q.Service}, {"method", q.Method}})
	}
	return o
}

// half renders what came and, under "after", what left differently.
func (r *renderer) half(h *proxy.Half, described codec.Codec) object {
	head := h.In
	if head == nil {
		head = h.Out // an answer of Sluice's own
	}
	o := object{}
	if head != nil {
		if head.Status != 0 {
			o.add("status", head.Status)
		}
		o.add("headers", r.fields(head.Fields))
	}
	if len(h.Trailers) > 0 {
		o.add("trailers", r.fields(h.Trailers))
	}
	if h.In == nil && h.Body.Size == 0 {
		return append(o, r.payload(&h.Sent, head, described)...) // nothing came before it
	}
	o = append(o, r.payload(&h.Body, head, described)...)
	if h.MessageCount > 0 {
		o.add("message_count", h.MessageCount)
	}
	after := object{}
	if h.In != nil && h.Out != nil && h.In != h.Out {
		after = r.changes(h.In, h.Out)
	}
	if h.TrailersOut != nil {
		after.add("trailers", r.fields(h.TrailersOut))
	}
	if h.Edited {
		out := h.Out
		if out == nil {
			out = head
		}
		after = append(after, r.payload(&h.Sent, out, described)...)
	}
	if len(after) > 0 {
		o.add("after", after)
	}
	return o
}

// changes are the parts of a head that differ. Headers are shown whole.
func (r *renderer) changes(in, out *rules.Head) object {
	o := object{}
	for _, part := range []struct{ key, in, out string }{
		{"method", in.Method, out.Method}, {"host", in.Host, out.Host},
		{"path", in.Path, out.Path}, {"query", in.Query, out.Query},
	} {
		if part.in != part.out {
			o.add(part.key, part.out)
		}
	}
	if in.Status != out.Status {
		o.add("status", out.Status)
	}
	if before, after := foldFields(in.Fields), foldFields(out.Fields); !maps.EqualFunc(before, after, sameValues) {
		o.add("headers", r.fields(out.Fields))
	}
	return o
}

// head renders a step's head whole.
func (r *renderer) head(h *rules.Head) object {
	o := object{}
	if h.Status != 0 {
		o.add("status", h.Status)
	} else {
		o = object{{"method", h.Method}, {"host", h.Host}, {"path", h.Path}, {"query", h.Query}}
	}
	o.add("headers", r.fields(h.Fields))
	return o
}

func (r *renderer) steps(reports []rules.StepReport) []object {
	steps := make([]object, 0, len(reports))
	for i := range reports {
		s := &reports[i]
		o := object{{"step", s.Step}, {"result", s.Result}}
		if s.Head != nil {
			o.add("head", r.head(s.Head))
		}
		if s.InPlace {
			o.add("in_place", true)
		}
		if s.Took > 0 {
			o.add("took_ms", float64(s.Took.Nanoseconds())/1e6)
		}
		if s.Result == "ran" && s.Head == nil {
			if s.Body != nil || !s.InPlace { // a plan makes no values
				o = append(o, r.stepBody(s.Body)...)
			}
			if s.Count != 1 {
				o.add("count", s.Count)
			}
		}
		steps = append(steps, o)
	}
	return steps
}

func (r *renderer) message(e *proxy.Message) object {
	from := "caller"
	if e.Upstream {
		from = "upstream"
	}
	o := object{
		{"type", "message"}, {"exchange", e.Exchange}, {"time", stamp(e.At)},
		{"route", orNull(e.Route)}, {"from", from}, {"index", e.Index},
	}
	if e.Call != nil {
		o = append(o, r.target(e.Call)...)
	}
	in := e.In
	if in.Codec == nil && e.Call != nil && e.Call.Service != "" {
		in.Codec = r.config.Schemaless
	}
	o = append(o, r.payload(&in, nil, nil)...)
	if e.Edited {
		after := make([]object, len(e.Out))
		for i := range e.Out {
			after[i] = r.payload(&e.Out[i], nil, nil)
		}
		o.add("after", after)
	}
	o.add("steps", r.steps(e.Steps))
	return o
}

func (r *renderer) conn(c *proxy.Conn, event string, at time.Time) object {
	o := object{
		{"type", "conn"}, {"event", event}, {"id", c.ID}, {"time", stamp(at)},
		{"direction", string(c.Direction)}, {"listener", c.Listener}, {"peer", address(c.Peer)},
		{"destination", destination(nil, c)},
	}
	return o
}

func (r *renderer) connClosed(e *proxy.ConnClosed) object {
	o := r.conn(&e.Conn, "closed", e.Opened.Add(e.Duration))
	o.add("protocol", string(e.Protocol))
	o.add("lane", string(e.Lane))
	o.addIf("sni", e.SNI)
	if len(e.ALPN) > 0 {
		o.add("alpn", anySlice(e.ALPN))
	}
	o.add("duration_ms", millis(e.Duration))
	if e.Lane == proxy.LaneSplice {
		o.add("sent", e.Sent)
		o.add("received", e.Received)
	}
	if e.Error != nil {
		o.add("error", failure(e.Error))
	}
	return o
}

func (r *renderer) reload(e *proxy.Reload) object {
	o := object{
		{"type", "reload"}, {"time", stamp(e.At)}, {"live", e.Live}, {"generation", e.Generation},
		{"hash", e.Hash}, {"read", e.Read}, {"routes", e.Routes},
	}
	problems := make([]object, len(e.Problems))
	for i := range e.Problems {
		p := &e.Problems[i]
		severity := "error"
		if p.Severity == rules.Warning {
			severity = "warning"
		}
		problems[i] = object{
			{"file", p.File}, {"line", p.Line}, {"column", p.Column}, {"severity", severity},
			{"code", p.Code}, {"message", p.Message}, {"hint", p.Hint}, {"route", orNull(p.Route)},
		}
	}
	o.add("problems", problems)
	if e.Err != nil {
		o.add("error", e.Err.Error())
	}
	return o
}

// fields renders header lines as rules see them, without secrets.
func (r *renderer) fields(f rules.Fields) object {
	o := make(object, 0, len(f))
	at := make(map[string]int, len(f))
	for i := range f {
		name, value := strings.ToLower(f[i].Name), f[i].Value
		if r.secret[name] {
			value = redacted
		}
		n, again := at[name]
		switch {
		case !again && name == "set-cookie":
			at[name] = len(o)
			o.add(name, []any{value})
		case !again:
			at[name] = len(o)
			o.add(name, value)
		case name == "set-cookie":
			o[n].value = append(o[n].value.([]any), value)
		case value != redacted:
			o[n].value = o[n].value.(string) + ", " + value
		}
	}
	return o
}

func foldFields(f rules.Fields) map[string][]string {
	m := make(map[string][]string, len(f))
	for i := range f {
		name := strings.ToLower(f[i].Name)
		m[name] = append(m[name], f[i].Value)
	}
	return m
}

func sameValues(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func failure(e *proxy.Error) object {
	o := object{{"origin", string(e.Origin)}, {"reason", e.Reason}}
	o.addIf("route", e.Route)
	o.addIf("step", e.Step)
	if e.Err != nil {
		o.add("cause", e.Err.Error())
	}
	return o
}

// timeForm keeps all times equally long, so that they align and sort as text.
const timeForm = "2006-01-02T15:04:05.000000Z"

func stamp(t time.Time) string { return t.UTC().Format(timeForm) }

// millis is d in milliseconds, to the microsecond.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func address(a netip.AddrPort) any {
	if !a.IsValid() {
		return nil
	}
	return a.String()
}

func destination(q *rules.Request, c *proxy.Conn) any {
	switch {
	case q != nil && q.Destination.IsValid():
		return q.Destination.String()
	case c == nil:
		return nil
	case c.Destination.IsValid():
		return c.Destination.String()
	}
	return orNull(c.Upstream)
}

func anySlice(s []string) []any {
	a := make([]any, len(s))
	for i := range s {
		a[i] = s[i]
	}
	return a
}
