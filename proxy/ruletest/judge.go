package ruletest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules"
)

// judge compares what a case expects with what came of it.
type judge struct {
	cfg      Config
	c        *rules.Case
	got      *got
	failures []Failure
}

func (j *judge) say(place, format string, args ...any) {
	j.failures = append(j.failures, Failure{Place: place, Said: fmt.Sprintf(format, args...)})
}

// differs notes a part that is otherwise, and what to write in its place.
func (j *judge) differs(place, want, got string, fixed codec.Value) {
	j.failures = append(j.failures, Failure{Place: place, Want: want, Got: got, fix: &fix{place: place, value: fixed}})
}

func (j *judge) all() {
	e := j.c.Expect
	if j.got.Explanation != nil {
		j.exchange(e)
	}
	if e.Breaker != "" && e.Breaker != j.got.breaker {
		j.differs("breaker", e.Breaker, j.got.breaker, j.got.breaker)
	}
}

func (j *judge) exchange(e *rules.Expected) {
	answered := j.got.Record.Answered
	switch {
	case e.Unchanged:
		j.unchanged()
	case e.Reject != nil:
		j.rejected(e.Reject)
	}
	if e.Request != nil {
		if answered != "" && j.got.Record.Attempts == 0 {
			j.say("request", "nothing is sent: %s", ending(j.c, j.got.Explanation))
		} else {
			j.message("request", e.Request, j.got.request(j.c, j.cfg.Codecs))
		}
	}
	if e.Response != nil {
		if s := j.got.response(j.c, j.cfg.Codecs); s == nil {
			j.say("response", "there is none: give the case a response, of the upstream")
		} else {
			j.message("response", e.Response, s)
		}
	}
	if e.Messages != nil {
		j.messages(e.Messages)
	}
}

// messages compares those of the half that has some.
func (j *judge) messages(want []codec.Value) {
	s := j.got.request(j.c, j.cfg.Codecs)
	if r := j.c.Response; r != nil && r.Body.Messages != nil {
		s = j.got.response(j.c, j.cfg.Codecs)
	}
	if j.got.Answer != nil {
		j.say("messages", "%s", ending(j.c, j.got.Explanation))
		return
	}
	j.body("messages", &rules.CaseBody{Given: true, Messages: want}, s)
}

func (j *judge) unchanged() {
	g, r := j.got, j.got.Record
	if g.Answer != nil || r.Answered != "" {
		j.say("unchanged", "%s", ending(j.c, g.Explanation))
		return
	}
	if r.Request.Edited || !sameHead(r.Request.In, r.Request.Out) || !isCall(j.c) && !bytes.Equal(g.Sent, g.question.Body) {
		j.say("unchanged", "the request is changed")
	}
	if r.Response.Out != nil &&
		(r.Response.Edited || !sameHead(r.Response.In, r.Response.Out) || !isCall(j.c) && !bytes.Equal(g.Returned, g.question.ResponseBody)) {
		j.say("unchanged", "the response is changed")
	}
	if r.Response.TrailersOut != nil {
		j.say("unchanged", "the trailers are changed")
	}
	for _, m := range g.Messages {
		if m.Edited {
			j.say("unchanged", "message %d of the %s is changed", m.Index, map[bool]string{true: "response", false: "request"}[m.Upstream])
		}
	}
}

func sameHead(a, b *rules.Head) bool {
	return a == b || a.Method == b.Method && a.Path == b.Path && a.Query == b.Query && a.Host == b.Host &&
		a.Status == b.Status && slices.Equal(a.Fields, b.Fields)
}

func (j *judge) rejected(want *rules.ExpectedReject) {
	g := j.got
	if !g.Record.Rejected() || g.Answer == nil {
		j.say("reject", "no step rejects: %s", ending(j.c, g.Explanation))
		return
	}
	a := g.Answer
	if want.Status != 0 && want.Status != a.Status {
		j.differs("reject.status", strconv.Itoa(want.Status), strconv.Itoa(a.Status), a.Status)
	}
	if want.GRPC != "" && want.GRPC != a.GRPC {
		if a.GRPC == "" {
			j.say("reject.grpc", "the caller speaks no gRPC, and is told %d", a.Status)
		} else {
			j.differs("reject.grpc", string(want.GRPC), string(a.GRPC), string(a.GRPC))
		}
	}
	if want.Message != "" && want.Message != a.Message {
		j.differs("reject.message", want.Message, a.Message, a.Message)
	}
	step, _, _ := strings.Cut(strings.TrimPrefix(a.Error, g.Record.Route+"/"), "; ")
	if want.Step != "" && want.Step != step {
		j.differs("reject.step", want.Step, step, step)
	}
}

// message compares the parts of a head that the case names, and the body.
func (j *judge) message(place string, want *rules.ExpectedMessage, s *sent) {
	for _, part := range []struct{ name, want, got string }{
		{"method", want.Method, s.head.Method}, {"path", want.Path, s.head.Path}, {"host", want.Host, s.head.Host},
		{"grpc", string(want.GRPC), string(s.grpc)},
	} {
		if part.want != "" && part.want != part.got {
			j.differs(place+"."+part.name, part.want, part.got, part.got)
		}
	}
	if want.Status != 0 && want.Status != s.head.Status {
		j.differs(place+".status", strconv.Itoa(want.Status), strconv.Itoa(s.head.Status), s.head.Status)
	}
	for _, q := range want.Query {
		j.values(place+".query."+q.Name, q, rules.QueryValues(s.head.Query, q.Name), ", ")
	}
	for _, h := range want.Headers {
		join := ", "
		if h.Name == "cookie" {
			join = "; "
		}
		j.values(place+".headers."+h.Name, h, s.head.Fields.Values(h.Name), join)
	}
	for _, h := range want.Trailers {
		j.values(place+".trailers."+h.Name, h, s.trailers.Values(h.Name), ", ")
	}
	if want.Body.Given {
		j.body(place+".body", &want.Body, s)
	}
}

func (j *judge) values(place string, want rules.ExpectedValue, got []string, join string) {
	same := slices.Equal(want.Values, got)
	if !want.List && len(want.Values) == 1 && len(got) > 0 {
		same = want.Values[0] == strings.Join(got, join)
	}
	if same {
		return
	}
	var fixed codec.Value
	switch {
	case want.List && len(got) > 0:
		var list []any
		for _, v := range got {
			list = append(list, v)
		}
		fixed = list
	case len(got) > 0:
		fixed = strings.Join(got, join)
	}
	shown := func(values []string) string {
		switch {
		case len(values) == 0:
			return "(none)"
		case want.List:
			return strings.Join(values, "\n")
		}
		return strings.Join(values, join)
	}
	j.differs(place, shown(want.Values), shown(got), fixed)
}

// body compares the whole body.
func (j *judge) body(place string, want *rules.CaseBody, s *sent) {
	switch {
	case want.Text != nil:
		place = strings.TrimSuffix(place, ".body") + ".text"
		if got := string(s.body); got != *want.Text {
			j.differs(place, *want.Text, got, got)
		}
	case want.Messages != nil:
		if place != "messages" {
			place = strings.TrimSuffix(place, ".body") + ".messages"
		}
		if s.err != nil || s.messages == nil {
			j.unreadable(place, s, "it is no stream of messages")
			return
		}
		wanted := make([]any, 0, len(want.Messages))
		for _, v := range want.Messages {
			wanted = append(wanted, through(s.format, v))
		}
		if got := append([]any{}, s.messages...); !equal(wanted, got) {
			j.differs(place, indented(wanted), indented(got), got)
		}
	case s.err != nil || s.messages != nil:
		j.unreadable(place, s, "it is a stream of messages: use messages")
	default:
		if wanted := through(s.format, want.Value); !equal(wanted, s.value) {
			j.differs(place, indented(wanted), indented(s.value), s.value)
		}
	}
}

func (j *judge) unreadable(place string, s *sent, why string) {
	if s.err != nil {
		why = s.err.Error() + "; text: compares it as it stands"
	}
	j.say(place, "it cannot be compared: %s", why)
}
