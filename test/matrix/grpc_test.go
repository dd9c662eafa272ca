package matrix

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// actionField is the field that names the route that is meant.
const actionField = "x-action"

// callCase is one cell of the matrix of calls.
type callCase struct {
	action   *callAction
	method   method
	encoding encoding
}

func (c callCase) variant() string { return c.method.name + " " + c.encoding.String() }

// TestCallsAreTheSameInEveryLane runs all rows of callActions.
func TestCallsAreTheSameInEveryLane(t *testing.T) {
	testbed.Leaks(t)
	files := callFiles()
	up, service, all := startUpstream(t), newItems(t), lanes(t)
	var cars []*sidecars
	for _, l := range all {
		cars = append(cars, startSidecars(t, l, up.addr, files))
	}
	for i := range callActions {
		a := &callActions[i]
		t.Run(a.name, func(t *testing.T) {
			var g golden
			for _, c := range a.cases() {
				var results []result
				var ran []lane
				for n, l := range all {
					if strings.HasPrefix(a.notIn, l.name+":") {
						continue
					}
					id := fmt.Sprintf("%s-%s-%s", l.name, a.name, strings.ReplaceAll(c.variant(), " ", "-"))
					r := c.run(t, l, up, service, cars[n].of(a.place), id)
					g.add(l, c.variant(), r.text(c.sent(service)))
					results, ran = append(results, r), append(ran, l)
				}
				if len(ran) == 0 {
					t.Skip(a.notIn)
				}
				compareLanes(t, c.variant(), ran, results)
			}
			g.compare(t, "grpc-"+a.name)
		})
	}
}

// callFiles are the rule files of the rows.
func callFiles() (files []rules.File) {
	for _, a := range callActions {
		if a.rule != "" {
			files = append(files, ruleFile(a.name, fmt.Sprintf(`grpc: "matrix.v1.Items/*", headers: {%s: %s}`, actionField, a.name), a.rule))
		}
	}
	return files
}

func (a *callAction) cases() []callCase {
	var cases []callCase
	for _, m := range methods {
		if a.only != "" && a.only != m.name {
			continue
		}
		for _, e := range callEncodings {
			cases = append(cases, callCase{a, m, e})
		}
	}
	return cases
}

func (c callCase) items(s *items) [][]byte {
	if c.action.bad {
		return [][]byte{badItem}
	}
	var in [][]byte
	for _, name := range c.method.in {
		in = append(in, s.named(name))
	}
	if c.action.ends {
		in = in[:1]
	}
	return in
}

// fields are what the caller says, name after name with its value.
func (c callCase) fields(id string) []string {
	return []string{caseField, id, actionField, c.action.name, "x-req", "1", "x-req", "2, 3", "x-secret", "s", "x-req-bin", "\x00\x01"}
}

func (c callCase) run(t *testing.T, l lane, up *upstream, service *items, s *sidecar, id string) result {
	t.Helper()
	a, path := c.action, "/matrix.v1.Items/"+c.method.name
	conn := dial(t, s.addr)
	defer conn.Close()
	for i := range a.priming {
		primer := fmt.Sprintf("%s-primer-%d", id, i)
		up.expect(primer, script{call: func(w http.ResponseWriter, r *http.Request, s1 *seen) {
			service.serve(&callAction{call: callScript{trailersOnly: true, code: "14"}}, c.method, w, r, s1)
		}})
		service.callOf(t, conn, path, c.items(service), "", false, c.fields(primer)...)
		s.record(t, primer)
	}
	up.expect(id, script{call: func(w http.ResponseWriter, r *http.Request, s1 *seen) {
		service.serve(a, c.method, w, r, s1)
	}})
	r := result{Caller: service.callOf(t, conn, path, c.items(service), c.encoding.name, a.cancel, c.fields(id)...)}
	if a.place != refusedNoRules { // there the reset may come before an exchange begins
		record, messages := s.record(t, id)
		if record.Lane != l.shown {
			t.Errorf("%s: took lane %s", id, record.Lane)
		}
		r.Verdict = verdictOf(record, messages, s.upstream, func(p *proxy.Payload) string { return service.payload(p, c.encoding.name) })
		if record.Attempts > 0 {
			up.settled(t, id)
		}
	}
	r.Upstream = up.saw(id)
	for i := range r.Upstream {
		if a.late {
			r.Upstream[i].Err = ""
		}
	}
	if a.place == amongRules || a.place == noRules {
		next := id + "-next"
		up.expect(next, script{call: func(w http.ResponseWriter, r *http.Request, s1 *seen) {
			service.serve(new(callAction), methods[0], w, r, s1)
		}})
		again := service.callOf(t, conn, "/matrix.v1.Items/Unary", [][]byte{service.named("next")}, "", false, caseField, next)
		r.Next = fmt.Sprint(again.Code, again.Messages)
	}
	r.normalize()
	return r
}

// payload shows a payload of a call: one item if its codec is known, else all
// that the body held. That it is compressed is the row's.
func (s *items) payload(p *proxy.Payload, coding string) string {
	switch {
	case p.Size == 0:
		return ""
	case p.Codec != nil:
		return p.Codec.Name() + " " + s.text(p.Bytes)
	}
	return "unread " + s.texts(string(p.Bytes), coding)
}

// sent is what the caller and the upstream of the case say.
func (c callCase) sent(s *items) sent {
	was := sent{protocol: "grpc", method: "POST", target: "/matrix.v1.Items/" + c.method.name + " HTTP/2.0", host: serviceHost}
	fields := c.fields("")
	for i := 0; i < len(fields); i += 2 {
		value := fields[i+1]
		if strings.HasSuffix(fields[i], "-bin") {
			value = "AAE"
		}
		was.request.fields = append(was.request.fields, fields[i]+": "+value)
	}
	was.request.fields = append(was.request.fields, "content-type: application/grpc+proto", "user-agent: matrix", "grpc-timeout: its own")
	if c.encoding.name != "" {
		was.request.fields = append(was.request.fields, "grpc-encoding: "+c.encoding.name)
	}
	for _, data := range c.items(s) {
		was.request.messages = append(was.request.messages, s.text(data))
	}
	was.request.body = strings.Join(was.request.messages, "\n")
	was.response = sentHalf{trailers: []string{"x-trailer: t"}}
	for _, f := range answerFields(c.encoding.name) {
		if name, _, _ := strings.Cut(f, ": "); name != "grpc-encoding" { // grpc-go's callers do not show it
			was.response.fields = append(was.response.fields, cmp.Or(map[string]string{"x-up-bin": "x-up-bin: AB"}[name], f))
		}
	}
	was.response.messages = c.answers(s)
	was.response.body = strings.Join(was.response.messages, "\n")
	return was
}

// answers are what the upstream answers to the items as they were sent.
func (c callCase) answers(s *items) []string {
	var texts, names []string
	for _, data := range c.items(s) {
		names = append(names, s.name(data))
		if c.method.streams {
			texts = append(texts, s.text(data))
			if !c.method.streamed {
				texts = append(texts, s.text(data))
			}
		}
	}
	if !c.method.streams {
		texts = []string{s.text(s.named(strings.Join(names, "+")))}
	}
	return texts
}
