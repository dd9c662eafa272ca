package proxy

import (
	"strings"

	"github.com/sluice-proxy/sluice/rules"
)

// explainHeader asks for the record of one live request, with the token of the
// admin API, and names it in the response.
const explainHeader = "x-sluice-explain"

// asksToExplain reports whether a request carries the token. It costs nothing but
// a look at the lengths of names where there is none.
func (p *Proxy) asksToExplain(head *rules.Head) bool {
	if p.ExplainToken == nil {
		return false
	}
	for i := range head.Fields {
		if f := &head.Fields[i]; len(f.Name) == len(explainHeader) && strings.EqualFold(f.Name, explainHeader) {
			return p.ExplainToken(f.Value)
		}
	}
	return false
}

// explained makes the exchange one that its caller is told the record of. The
// token goes no further: not to rules, to observers or to the upstream.
func (x *exchange) explained() {
	x.explains = true
	in, out := *x.request.in, *x.request.in
	in.Fields = make(rules.Fields, 0, len(out.Fields)) // line by line, as they are looked up by their places
	for _, f := range out.Fields {
		if strings.EqualFold(f.Name, explainHeader) {
			f.Value = rules.Redacted
		}
		in.Fields = append(in.Fields, f)
	}
	out.Fields = out.Fields.With(explainHeader)
	x.asked.Head, x.request.in, x.request.out = &in, &in, &out
}

// pointed is a response's head as the steps find it: with the exchange's id, where
// the caller has asked for it.
func (x *exchange) pointed(head *rules.Head) *rules.Head {
	if !x.explains {
		return head
	}
	out := *head
	out.Fields = head.Fields.With(explainHeader, x.record.ID)
	return &out
}

// pointer are the fields of an answer of Sluice's own that name the exchange.
func (x *exchange) pointer() rules.Fields {
	if !x.explains {
		return nil
	}
	return rules.Fields{{Name: explainHeader, Value: x.record.ID}}
}
