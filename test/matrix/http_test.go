package matrix

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// httpCase is one cell of the matrix.
type httpCase struct {
	protocol string
	action   *httpAction
	format   format
	encoding encoding
	framing  framing
}

func (c httpCase) variant() string {
	return fmt.Sprintf("%s %s %s %s", c.format.name, c.encoding, c.protocol, c.framing.name)
}

// TestHTTPIsTheSameInEveryLane runs all rows of httpActions.
func TestHTTPIsTheSameInEveryLane(t *testing.T) {
	testbed.Leaks(t)
	files := httpFiles()
	up := startUpstream(t)
	all := lanes(t)
	var cars []*sidecars
	for _, l := range all {
		cars = append(cars, startSidecars(t, l, up.addr, files))
	}
	for i := range httpActions {
		a := &httpActions[i]
		t.Run(a.name, func(t *testing.T) {
			var g golden
			for _, c := range a.cases() {
				results := make([]result, len(all))
				for n, l := range all {
					id := fmt.Sprintf("%s-%s-%s", l.name, a.name, strings.ReplaceAll(c.variant(), " ", "-"))
					results[n] = c.run(t, l, up, cars[n].of(a.place), id)
					g.add(l, c.variant(), results[n].text(c.sent(t)))
				}
				compareLanes(t, c.variant(), all, results)
			}
			g.compare(t, "http-"+a.name)
		})
	}
}

// httpFiles are the rule files of the rows.
func httpFiles() (files []rules.File) {
	for _, a := range httpActions {
		if a.rule == "" {
			continue
		}
		match := fmt.Sprintf("http: /%s/", a.name)
		if a.where != "" {
			match += fmt.Sprintf(", where: '%s'", a.where)
		}
		files = append(files, ruleFile(a.name, match, a.rule))
	}
	return files
}

func framedInProtocols() []httpCase {
	var cases []httpCase
	for _, protocol := range protocols {
		for _, f := range framings {
			cases = append(cases, httpCase{protocol: protocol, framing: f})
		}
	}
	return cases
}

// cases are the cells of a row.
func (a *httpAction) cases() []httpCase {
	var cases []httpCase
	for _, f := range formats {
		for _, e := range encodings {
			for _, c := range framedInProtocols() {
				fr, protocol := c.framing, c.protocol
				switch {
				case fr.close && protocol == "http2":
					continue // a stream has an end of its own
				case fr.close && a.answer.cut:
					continue // nothing tells that end from a clean one
				case !a.reads && (f.name != formats[0].name || e.name != ""):
					continue
				case f.large && (e.name != "" && e.name != "gzip" || fr.trailers || fr.close):
					continue // costs time, and tells nothing new
				case a.bodiless && a.answer.bodiless && !fr.length:
					continue // nothing is framed
				case a.answer.bodiless && fr.trailers:
					continue // nothing that they could trail
				}
				cases = append(cases, httpCase{protocol, a, f, e, fr})
			}
		}
	}
	return cases
}

// run sends the case's request through s, twice if the connection outlives the
// first.
func (c httpCase) run(t *testing.T, l lane, up *upstream, s *sidecar, id string) result {
	t.Helper()
	a := c.action
	method, path := a.asks()
	caller := newCaller(t, c.protocol)
	for i := range a.priming {
		primer := fmt.Sprintf("%s-primer-%d", id, i)
		up.expect(primer, script{response: message{status: 500, fields: []string{"content-type: " + c.format.contentType}, body: []byte(c.format.body), framing: framings[0]}})
		do(t, newCaller(t, c.protocol), s.addr, "GET", path, message{fields: []string{caseField + ": " + primer}, bodiless: true})
		s.record(t, primer)
	}
	up.expect(id, script{response: c.response(t)})
	r := result{Caller: do(t, caller, s.addr, method, path, c.request(t, id))}
	if a.place != refusedNoRules { // there the reset may come before an exchange begins
		record, _ := s.record(t, id)
		if record.Lane != l.shown {
			t.Errorf("%s: took lane %s", id, record.Lane)
		}
		r.Verdict = verdictOf(record, nil, s.upstream, payloadText)
	}
	r.Upstream = up.saw(id)
	if a.place == amongRules || a.place == noRules {
		next := id + "-next"
		up.expect(next, script{response: message{status: 200, body: []byte("well"), framing: framings[0]}})
		again := do(t, caller, s.addr, "GET", "/next", message{fields: []string{caseField + ": " + next}, bodiless: true})
		r.Next = fmt.Sprint(again.Failure, again.Status, " ", string(again.wire))
	}
	caller.CloseIdleConnections()
	bodiless := method == "HEAD" || a.answer.bodiless
	r.Caller.Fields, r.Caller.Framing, r.Caller.Encoding, r.Caller.Body = take(r.Caller.Fields, r.Caller.wire, bodiless)
	for i := range r.Upstream {
		u := &r.Upstream[i]
		u.Fields, u.Framing, u.Encoding, u.Body = take(u.Fields, u.wire, false)
	}
	r.normalize()
	return r
}

// asks are the method and the target of the request.
func (a *httpAction) asks() (method, target string) {
	return cmp.Or(a.method, "POST"), "/" + a.name + cmp.Or(a.target, "/item?v=1&x=%20")
}

// sent is what the case's caller and upstream say.
func (c httpCase) sent(t *testing.T) sent {
	method, target := c.action.asks()
	s := sent{protocol: c.protocol, method: method, target: target, host: serviceHost}
	s.request, s.response = c.request(t, "").sent(), c.response(t).sent()
	if method == "HEAD" {
		s.response.body = ""
	}
	return s
}

func (m message) sent() sentHalf {
	h := sentHalf{trailers: m.trailers}
	h.fields, _, h.encoding, h.body = take(m.fields, m.body, m.bodiless)
	h.framing = "open"
	if m.framing.length {
		h.framing = "length"
	}
	return h
}

func (c httpCase) request(t *testing.T, id string) message {
	a := c.action
	m := message{framing: c.framing, bodiless: a.bodiless, fields: []string{
		caseField + ": " + id, "user-agent: matrix", "x-req: 1", "x-req: 2, 3", "x-secret: s", "x-empty: ", "cookie: a=1; b=2", "accept: application/json",
	}}
	if c.framing.close {
		m.framing = framings[0]
	}
	for _, name := range slices.Sorted(maps.Keys(a.request)) {
		m.fields = append(m.fields, name+": "+a.request[name])
	}
	if m.bodiless {
		return m
	}
	m.fields = append(m.fields, c.bodyFields()...)
	m.body = c.encoding.encode(t, c.format.text(a.badBody))
	if m.framing.trailers {
		m.trailers = []string{"x-sum: 1"}
	}
	return m
}

func (c httpCase) response(t *testing.T) message {
	a := &c.action.answer
	m := message{
		status: cmp.Or(a.status, 200), framing: c.framing, bodiless: a.bodiless, interim: a.interim, reset: a.reset, cut: a.cut,
		fields: []string{"x-up: 1", "x-up: 2", "set-cookie: a=1; Path=/", "set-cookie: b=2", "x-empty: ", "server: matrix"},
	}
	for _, name := range slices.Sorted(maps.Keys(a.fields)) {
		m.fields = append(m.fields, name+": "+a.fields[name])
	}
	if m.bodiless {
		return m
	}
	m.fields = append(m.fields, c.bodyFields()...)
	m.body = c.encoding.encode(t, c.format.text(a.bad))
	if m.framing.trailers {
		m.trailers = []string{"x-sum: 2"}
	}
	return m
}

func (c httpCase) bodyFields() []string {
	fields := []string{"content-type: " + c.format.contentType}
	if c.encoding.name != "" {
		fields = append(fields, "content-encoding: "+c.encoding.name)
	}
	return fields
}

func (f format) text(bad bool) string {
	if bad {
		return f.bad
	}
	return f.body
}
