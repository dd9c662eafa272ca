package rules

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/rules/document"
)

// conditions are the compiled match of a route.
type conditions struct {
	direction Direction // "": both
	hosts     []host    // any of; none: every
	ports     []uint16  // any of; none: every
	headers   []headerCondition
	where     *judge

	http []httpPattern
	grpc []grpcPattern
}

// host is a host in lower case without a final dot. A wildcard's name begins
// with the dot behind the star; the name of a lone star is empty.
type host struct {
	name     string
	wildcard bool
}

type headerCondition struct {
	name, value string
	present     bool // any value will do
}

// count is how many conditions there are: among routes of one pattern, those
// with more are tried first.
func (c *conditions) count() int {
	n := len(c.headers)
	for _, has := range []bool{c.direction != "", len(c.hosts) > 0, len(c.ports) > 0, c.where != nil} {
		if has {
			n++
		}
	}
	return n
}

func compileMatch(t matchText, limits Limits) conditions {
	c := conditions{direction: t.direction.V, where: judgeOf(compileProgram(t.where, whereSees()), "", limits)}
	for _, h := range t.host.V {
		if compiled, hint := compileHost(h.V); hint == "" {
			c.hosts = append(c.hosts, compiled)
		} else {
			h.At.Report(document.CodeBadValue, hint, "%q is not a possible host", h.V)
		}
	}
	for _, p := range t.port.V {
		c.ports = append(c.ports, uint16(p.V))
	}
	for _, e := range t.headers.V {
		name := strings.ToLower(e.Key.V)
		switch {
		case name == "host":
			e.Key.At.Report(document.CodeBadValue, "use host:", "the host is not among the headers")
		case !isToken(name):
			e.Key.At.Report(document.CodeBadValue, "", "not a possible name of a header")
		default:
			c.headers = append(c.headers, headerCondition{name: name, value: e.Value.V, present: e.Value.V == "*"})
		}
	}
	if t.http.At != nil && t.grpc.At != nil {
		t.grpc.At.Report(document.CodeBadValue, "make a route of each", "a route is for http or for grpc")
	}
	for _, p := range t.http.V {
		c.http = append(c.http, compileHTTP(p)...)
	}
	if t.http.At == nil && t.grpc.At == nil {
		c.http = everyHTTP()
	}
	for _, p := range t.grpc.V {
		c.grpc = append(c.grpc, compileGRPC(p)...)
	}
	return c
}

// compileHost errs with a hint.
func compileHost(s string) (h host, hint string) {
	name := strings.TrimSuffix(strings.ToLower(s), ".")
	if rest, ok := strings.CutPrefix(name, "*"); ok {
		h.wildcard, name = true, rest
		if name == "" {
			return h, ""
		}
		if name[0] != '.' || len(name) == 1 {
			return h, "a star stands for whole labels: *.example"
		}
	}
	h.name = name
	switch {
	case strings.Contains(name, "*"):
		return h, "a star stands only at the start"
	case strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]"), isHost(name) && strings.Count(name, ":") > 1:
		h.name = strings.Trim(name, "[]")
	case strings.Contains(name, ":"):
		return h, "use port: for the port"
	case !isHost(name):
		return h, "such as orders or *.shop.svc"
	}
	return h, ""
}

// canonicalHost is what h.match compares: s in lower case, without its port,
// brackets and final dot.
func canonicalHost(s string) string {
	s = strings.ToLower(s)
	if rest, ok := strings.CutPrefix(s, "["); ok {
		name, _, _ := strings.Cut(rest, "]")
		return name
	}
	if strings.Count(s, ":") == 1 {
		s, _, _ = strings.Cut(s, ":")
	}
	return strings.TrimSuffix(s, ".")
}

func (h host) match(canonical string) bool {
	if !h.wildcard {
		return canonical == h.name
	}
	return len(canonical) > len(h.name) && strings.HasSuffix(canonical, h.name)
}

func (h headerCondition) match(fields Fields) bool {
	for i := range fields {
		if strings.EqualFold(fields[i].Name, h.name) && (h.present || fields[i].Value == h.value) {
			return true
		}
	}
	return false
}

// failing names the first condition that the request does not meet, cheap ones
// first; "" if it meets all.
func (r *Route) failing(ctx context.Context, q *Request, params Params, now time.Time) (string, error) {
	c := &r.match
	if c.direction != "" && c.direction != q.Direction {
		return "direction", nil
	}
	if len(c.ports) > 0 && !slices.Contains(c.ports, q.Destination.Port()) {
		return "port", nil
	}
	if len(c.hosts) > 0 {
		name := canonicalHost(q.Head.Host)
		if !slices.ContainsFunc(c.hosts, func(h host) bool { return h.match(name) }) {
			return "host", nil
		}
	}
	for _, h := range c.headers {
		if !h.match(q.Head.Fields) {
			return "headers." + h.name, nil
		}
	}
	if c.where == nil {
		return "", nil
	}
	holds, err := c.where.holds(ctx, viewHead(q.Head, params), &scope{request: q, params: params, now: now}, r.limits)
	if err != nil {
		return "", &StepError{Route: r, Step: "match.where", Reason: reasonOf(err), Err: err}
	}
	if !holds {
		return "where", nil
	}
	return "", nil
}
