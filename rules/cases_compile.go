package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules/document"
	"github.com/sluice-proxy/sluice/rules/internal/pattern"
)

// codeTest is the code of what only cases of tests can have wrong.
const codeTest = "bad-test"

// cases compiles the cases of a file, whose match is compiled.
func (c *compiler) cases(list []document.Value[caseText]) (out []*Case) {
	names := make(map[string]*document.Node)
	for i, v := range list {
		t := v.V
		k := &Case{
			Name: t.name.Or(fmt.Sprintf("case %d", i+1)), Route: c.route, Position: v.At.Position(), Index: i,
			Now: t.now.Or(CaseNow()),
		}
		switch first := names[t.name.V]; {
		case t.name.At == nil:
		case first != nil:
			t.name.At.Report(codeTest, "give it another name", "a case of this name stands on line %d", first.Line)
		default:
			names[t.name.V] = t.name.At
		}
		for _, d := range t.descriptors.V {
			k.Descriptors = append(k.Descriptors, d.V)
		}
		c.caseRequest(k, v)
		if t.response.At != nil {
			k.Response = &CaseMessage{
				Head: &Head{Status: int(t.response.V.status.Or(200)), Fields: givenFields(t.response.V.headers)},
				GRPC: t.response.V.grpc.V, Body: caseBody(&t.response.V), Trailers: givenFields(t.response.V.trailers),
			}
			c.onlyOfCalls(t.response.V.grpc)
		}
		c.caseOutcomes(k, &t)
		if t.expect.At != nil {
			k.Expect = c.expected(&t)
		}
		out = append(out, k)
	}
	return out
}

// onlyOfCalls reports a gRPC status where no call can be.
func (c *compiler) onlyOfCalls(v document.Value[Code]) {
	if v.At != nil && len(c.route.match.grpc) == 0 {
		v.At.Report(codeTest, "use status", "the route is not for gRPC")
	}
}

// caseRequest makes the request of what the case says and of the route's match.
func (c *compiler) caseRequest(k *Case, v document.Value[caseText]) {
	t, m := &v.V.request.V, &c.route.match
	k.Direction, k.Port = t.direction.Or(m.direction), 80
	if k.Direction == "" {
		k.Direction = Inbound
	}
	if len(m.ports) > 0 {
		k.Port = m.ports[0]
	}
	k.Request.Body = caseBody(t)
	h := &Head{Method: t.method.V, Path: t.path.V, Host: t.host.V, Query: givenQuery(t.query), Fields: givenFields(t.headers)}
	k.Request.Head = h
	c.casePath(h, v)
	if h.Method == "" {
		h.Method = "GET"
		if k.Request.Body.Given {
			h.Method = "POST"
		}
	}
	if h.Host == "" && len(m.hosts) > 0 {
		if h.Host = m.hosts[0].name; m.hosts[0].wildcard {
			h.Host = "any" + m.hosts[0].name
		}
	}
	if h.Host == "" {
		h.Host = "test"
	}
	for _, f := range m.headers {
		if value := f.value; !h.Fields.Has(f.name) && !absent(t.headers, f.name) {
			if f.present {
				value = "test"
			}
			h.Fields = append(h.Fields, Field{f.name, value})
		}
	}
	if len(m.grpc) > 0 && !h.Fields.Has("content-type") {
		h.Fields = append(h.Fields, Field{"content-type", "application/grpc"})
	}
	for _, part := range []struct {
		text text
		good func(string) bool
		hint string
	}{
		{t.method, isToken, "such as POST"},
		{t.path, isPath, "a path begins with a slash, is escaped, and its query stands under query:"},
		{t.host, isHost, "such as orders:8080"},
	} {
		if part.text.At != nil && !part.good(part.text.V) {
			part.text.At.Report(codeTest, part.hint, "not possible in a head")
		}
	}
	if t.text.At != nil && len(m.grpc) > 0 {
		t.text.At.Report(codeTest, "use body, with the message as jq sees it", "a gRPC message has no text")
	}
}

// casePath sets the method and path that the case does not say.
func (c *compiler) casePath(h *Head, v document.Value[caseText]) {
	t, m := &v.V.request.V, &c.route.match
	if len(m.grpc) > 0 {
		h.Method = t.method.Or("POST")
		for _, p := range t.params.V {
			p.Key.At.Report(codeTest, "", "a gRPC pattern has no wildcards of a name")
		}
		if name := m.grpc[0].String(); t.path.At == nil && !strings.Contains(name, "*") {
			h.Path = "/" + name
		} else if t.path.At == nil {
			h.Path = "/test.Service/Method"
			if at := v.V.request.At; at != nil {
				at.Report(codeTest, "such as path: /shop.v1.Orders/Create", "the route is for several methods, and the request has no path")
			} else {
				v.At.Report(codeTest, "such as request: {path: /shop.v1.Orders/Create}", "the route is for several methods, and the case has no request")
			}
		}
		return
	}
	if len(m.http) == 0 {
		return // its pattern has a problem
	}
	p := c.casePattern(h.Method, t.params.V)
	if h.Method == "" {
		h.Method = p.Method()
	}
	if h.Host == "" {
		h.Host = p.Host()
	}
	if t.path.At != nil {
		if len(t.params.V) > 0 {
			t.params.At.Report(codeTest, "leave one of them out", "params stands beside path")
		}
		return
	}
	h.Path = p.Path(func(name string) string {
		for _, given := range t.params.V {
			if given.Key.V == name {
				return given.Value.V
			}
		}
		return name
	})
	for _, given := range t.params.V {
		if names := p.Wildcards(); !slices.Contains(names, given.Key.V) {
			given.Key.At.Report(codeTest, "it has "+strings.Join(names, ", "), "the pattern has no such wildcard")
		}
	}
}

// casePattern is the first pattern of the route that the case may mean.
func (c *compiler) casePattern(method string, params []document.Entry[string]) *pattern.Pattern {
	patterns := c.route.match.http
	for _, p := range patterns {
		names := p.Wildcards()
		missing := slices.ContainsFunc(params, func(e document.Entry[string]) bool { return !slices.Contains(names, e.Key.V) })
		if !missing && (method == "" || p.Method() == "" || p.Method() == method) {
			return p.Pattern
		}
	}
	return patterns[0].Pattern
}

// caseBody reports all but one way of saying a body.
func caseBody(t *messageText) (b CaseBody) {
	given := func(at *document.Node) bool {
		if at == nil {
			return false
		}
		if b.Given {
			at.Report(codeTest, "leave the others out", "a body is said in one of body, text and messages")
		}
		b.Given = true
		return true
	}
	if given(t.body.At) {
		b.Value = t.body.V
	}
	if given(t.text.At) {
		b.Text = &t.text.V
	}
	if given(t.messages.At) {
		b.Messages = valuesOf(t.messages.V)
	}
	return b
}

func valuesOf(list []document.Value[codec.Value]) []codec.Value {
	out := make([]codec.Value, 0, len(list))
	for _, v := range list {
		out = append(out, v.V)
	}
	return out
}

func givenQuery(v document.Value[[]document.Entry[[]text]]) string {
	var parts []string
	for _, e := range v.V {
		for _, value := range e.Value.V {
			parts = append(parts, queryEncode(e.Key.V)+"="+queryEncode(value.V))
		}
	}
	return strings.Join(parts, "&")
}

// givenFields are the header lines of a case, and reports those that cannot be.
func givenFields(v document.Value[[]document.Entry[[]text]]) (fields Fields) {
	for _, e := range v.V {
		name := strings.ToLower(e.Key.V)
		if !isToken(name) {
			e.Key.At.Report(codeTest, "", "not a possible name of a header")
			continue
		}
		if name == "host" {
			e.Key.At.Report(codeTest, "use host:", "the host is not among the headers")
		}
		for _, value := range e.Value.V {
			if !isFieldValue(value.V) {
				value.At.Report(codeTest, "", "not a possible value of a header")
			}
			fields = append(fields, Field{e.Key.V, value.V})
		}
	}
	return fields
}

// absent reports whether the case says that there is no header of that name.
func absent(v document.Value[[]document.Entry[[]text]], name string) bool {
	return slices.ContainsFunc(v.V, func(e document.Entry[[]text]) bool {
		return strings.EqualFold(e.Key.V, name) && e.Value.V == nil
	})
}

func (c *compiler) caseOutcomes(k *Case, t *caseText) {
	if t.outcomes.At != nil && c.text.upstream.V.breaker.At == nil {
		t.outcomes.At.Report(codeTest, "give it one under upstream:", "the route has no breaker")
	}
	for _, v := range t.outcomes.V {
		o := CaseOutcome{Error: v.V.err.V, Duration: time.Duration(v.V.duration.V) * time.Millisecond, Times: int(v.V.times.Or(1))}
		o.Head = &Head{Status: int(v.V.status.Or(200)), Fields: givenFields(v.V.headers)}
		o.GRPC = v.V.grpc.V
		o.Body = CaseBody{Given: v.V.body.At != nil, Value: v.V.body.V}
		c.onlyOfCalls(v.V.grpc)
		if o.Error != "" && (v.V.status.At != nil || v.V.grpc.At != nil || o.Body.Given) {
			v.V.err.At.Report(codeTest, "leave one of them out", "there is no response where there was an error")
		}
		k.Outcomes = append(k.Outcomes, o)
	}
}

func (c *compiler) expected(t *caseText) *Expected {
	e := &t.expect.V
	out := &Expected{Unchanged: e.unchanged.V, Breaker: e.breaker.V, Request: c.expectedMessage(e.request), Response: c.expectedMessage(e.response)}
	if e.messages.At != nil {
		out.Messages = valuesOf(e.messages.V)
		if t.request.V.messages.At == nil && t.response.V.messages.At == nil {
			e.messages.At.Report(codeTest, "use body", "the case has no messages")
		}
	}
	if e.breaker.At != nil && c.text.upstream.V.breaker.At == nil {
		e.breaker.At.Report(codeTest, "", "the route has no breaker")
	}
	if e.unchanged.At != nil && !out.Unchanged {
		e.unchanged.At.Report(codeTest, "say what is to come of it", "unchanged is true or is not there")
	}
	if out.Unchanged && (e.request.At != nil || e.response.At != nil || e.messages.At != nil || e.reject.At != nil) {
		e.unchanged.At.Report(codeTest, "leave it out", "what is expected to change is not unchanged")
	}
	if r := e.reject; r.At != nil {
		out.Reject = &ExpectedReject{Status: int(r.V.status.V), GRPC: r.V.grpc.V, Message: r.V.message.V, Step: r.V.step.V}
	}
	if out.Breaker == "" && !out.Exchange() && !t.expect.At.HasProblem() {
		t.expect.At.Report(codeTest, "one of unchanged, request, response, messages, reject, breaker", "the case expects nothing")
	}
	return out
}

func (c *compiler) expectedMessage(v document.Value[messageText]) *ExpectedMessage {
	if v.At == nil {
		return nil
	}
	t := &v.V
	out := &ExpectedMessage{
		Method: t.method.V, Path: t.path.V, Host: t.host.V, Status: int(t.status.V), GRPC: t.grpc.V,
		Query: expectedValues(t.query), Headers: expectedValues(t.headers), Trailers: expectedValues(t.trailers), Body: caseBody(t),
	}
	for _, fields := range [][]ExpectedValue{out.Headers, out.Trailers} {
		for i := range fields {
			fields[i].Name = strings.ToLower(fields[i].Name)
		}
	}
	givenFields(t.headers)
	givenFields(t.trailers)
	c.onlyOfCalls(t.grpc)
	return out
}

func expectedValues(v document.Value[[]document.Entry[[]text]]) (out []ExpectedValue) {
	for _, e := range v.V {
		value := ExpectedValue{Name: e.Key.V, List: e.Value.At.Kind == document.List}
		for _, t := range e.Value.V {
			value.Values = append(value.Values, t.V)
		}
		out = append(out, value)
	}
	return out
}
