package ruletest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/document"
)

// fix is what to write in a case's expect.
type fix struct {
	place string // request.headers.x-tier
	value codec.Value
}

// FailedFiles are the files that have failed cases, in order.
func (r *Report) FailedFiles() (files []string) {
	for i := range r.Results {
		if file := r.Results[i].Case.Position.File; r.Results[i].Failed() && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}

// Update is text, of the named file, in which what the failed cases expect is what
// came out, and how many cases that are. All else stays as it is written.
func (r *Report) Update(codecs *codec.Registry, file string, text []byte) ([]byte, int, error) {
	doc := document.Parse(file, text, rules.Shape().Programs())
	if doc.Root == nil || doc.Root.Get("tests") == nil {
		return nil, 0, errors.New("its tests have changed")
	}
	items := doc.Root.Get("tests").Items
	u := updater{text: text, codecs: codecs}
	count := 0
	for i := range r.Results {
		result := &r.Results[i]
		if result.Case.Position.File != file || !result.Failed() || result.Err != nil {
			continue
		}
		if result.Case.Index >= len(items) {
			return nil, 0, errors.New("its tests have changed")
		}
		u.update(items[result.Case.Index], result)
		count++
	}
	out := u.applied()
	if problems := document.Parse(file, out, rules.Shape().Programs()).Problems(); len(problems) > 0 {
		return nil, 0, fmt.Errorf("line %d would be no YAML any more: %s", problems[0].Line, problems[0].Message)
	}
	return out, count, nil
}

// updater collects edits of a text.
type updater struct {
	text   []byte
	codecs *codec.Registry
	edits  []edit
}

type edit struct {
	start, end int
	text       string
}

func (u *updater) applied() []byte {
	slices.SortFunc(u.edits, func(a, b edit) int { return cmp.Compare(b.start, a.start) })
	out := slices.Clone(u.text)
	windows := bytes.Contains(u.text, []byte("\r\n"))
	for _, e := range u.edits {
		if windows {
			e.text = strings.ReplaceAll(e.text, "\n", "\r\n")
		}
		out = slices.Replace(out, e.start, e.end, []byte(e.text)...)
	}
	return out
}

// update edits one case: the parts that differ, or all of its expect.
func (u *updater) update(node *document.Node, r *Result) {
	expect := node.Get("expect")
	parts := expect != nil
	for _, f := range r.Failures {
		parts = parts && f.fix != nil && find(expect, f.fix.place) != nil
	}
	if parts {
		for _, f := range r.Failures {
			u.put(find(expect, f.fix.place), f.fix.value)
		}
		return
	}
	whole := recorded(r.Case, r.got, u.codecs)
	if expect != nil {
		u.replace(expect, whole)
		return
	}
	_, end := node.Span(u.text)
	if node.Flow() {
		u.edits = append(u.edits, edit{end - 1, end - 1, ", expect: " + flow(whole)})
		return
	}
	indent := strings.Repeat(" ", node.Column-1)
	text := flow(whole)
	if len(indent)+len("expect: ")+len(text) > lineWidth {
		text = "\n" + indent + "  " + block(whole, node.Column+1, nil)
	} else {
		text = " " + text
	}
	if eol := bytes.IndexByte(u.text[end:], '\n'); eol >= 0 {
		end += eol // behind a comment
	} else {
		end = len(u.text)
	}
	end -= len(u.text[:end]) - len(bytes.TrimRight(u.text[:end], "\r"))
	u.edits = append(u.edits, edit{end, end, "\n" + indent + "expect:" + text})
}

// find is the node of a place, nil if it is not there. A header's name may stand in
// any case, and hold dots.
func find(expect *document.Node, place string) *document.Node {
	n := expect
	for _, key := range strings.SplitN(place, ".", 3) {
		next := n.Get(key)
		for _, p := range n.Pairs {
			if next == nil && strings.EqualFold(p.Key.Text, key) {
				next = p.Value
			}
		}
		if n = next; n == nil {
			return nil
		}
	}
	return n
}

// put writes v in the place of n: of a map or list of the same keys or length only
// what differs.
func (u *updater) put(n *document.Node, v codec.Value) {
	if old, ok := document.Any().Read(n); ok && equal(old, v) {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		if n.Kind != document.Map || len(n.Pairs) != len(v) || slices.ContainsFunc(n.Pairs, func(p document.Pair) bool {
			_, ok := v[p.Key.Text]
			return !ok
		}) {
			break
		}
		for _, p := range n.Pairs {
			u.put(p.Value, v[p.Key.Text])
		}
		return
	case []any:
		if n.Kind != document.List || len(n.Items) != len(v) {
			break
		}
		for i := range v {
			u.put(n.Items[i], v[i])
		}
		return
	}
	u.replace(n, v)
}

// replace writes v in the place of all of n, in n's style.
func (u *updater) replace(n *document.Node, v codec.Value) {
	start, end := n.Span(u.text)
	text := flow(v)
	if !n.Flow() && n.Kind != document.Scalar && !isScalar(v) {
		text = block(v, n.Column-1, n)
	}
	u.edits = append(u.edits, edit{start, end, text})
}

// recorded is what a case would have to expect of what came of it.
func recorded(c *rules.Case, g *got, codecs *codec.Registry) codec.Value {
	var out members
	switch {
	case g.Explanation == nil:
	case g.Answer != nil && g.Record.Rejected():
		reject := members{{"status", g.Answer.Status}}
		if g.Answer.GRPC != "" {
			reject = members{{"grpc", string(g.Answer.GRPC)}}
		}
		out = append(out, member{"reject", reject})
	case g.Answer != nil:
		response := members{{"status", g.Answer.Status}, {"headers", members{{"x-sluice-error", g.Answer.Error}}}}
		if g.Answer.GRPC != "" {
			response = members{{"grpc", string(g.Answer.GRPC)}}
		}
		out = append(out, member{"response", response})
	default:
		j := judge{c: c, got: g}
		if j.unchanged(); len(j.failures) == 0 {
			out = append(out, member{"unchanged", true})
			break
		}
		if g.Record.Answered == "" {
			if m := difference(g.Record.Request.In, g.request(c, codecs), g.Record.Request.Edited); m != nil {
				out = append(out, member{"request", m})
			}
		}
		if s := g.response(c, codecs); s != nil {
			edited := g.Record.Response.Edited || g.Record.Answered != "" || s.messages != nil
			m := difference(g.Record.Response.In, s, edited)
			if status := g.question.ResponseCode; isCall(c) && s.grpc != cmp.Or(status, "OK") {
				m = append(m, member{"grpc", string(s.grpc)})
			}
			if trailers := changedFields(g.Record.Response.Trailers, s.trailers); trailers != nil {
				m = append(m, member{"trailers", trailers})
			}
			if m != nil {
				out = append(out, member{"response", m})
			}
		}
	}
	if len(c.Outcomes) > 0 {
		out = append(out, member{"breaker", g.breaker})
	}
	if out == nil {
		return members{{"request", members{}}} // it reaches the upstream
	}
	return out
}

// difference is what a case says of a message that leaves otherwise than it came.
func difference(in *rules.Head, s *sent, edited bool) members {
	var out members
	text := func(key, was, is string) {
		if was != is {
			out = append(out, member{key, is})
		}
	}
	text("method", in.Method, s.head.Method)
	text("path", in.Path, s.head.Path)
	text("host", in.Host, s.head.Host)
	if in.Status != s.head.Status {
		out = append(out, member{"status", s.head.Status})
	}
	names := rules.QueryNames(in.Query + "&" + s.head.Query)
	if query := changed(names, func(name string) (was, is []string) {
		return rules.QueryValues(in.Query, name), rules.QueryValues(s.head.Query, name)
	}); query != nil {
		out = append(out, member{"query", query})
	}
	if headers := changedFields(in.Fields, s.head.Fields); headers != nil {
		out = append(out, member{"headers", headers})
	}
	switch {
	case s.err != nil && len(s.body) > 0:
		out = append(out, member{"text", string(s.body)})
	case s.err != nil:
	case s.messages != nil:
		out = append(out, member{"messages", s.messages})
	case edited:
		out = append(out, member{"body", s.value})
	}
	return out
}

// changedFields is what a case says of header lines that leave otherwise.
func changedFields(in, out rules.Fields) members {
	var names []string
	for _, f := range append(in[:len(in):len(in)], out...) {
		names = append(names, strings.ToLower(f.Name))
	}
	return changed(names, func(name string) (was, is []string) { return in.Values(name), out.Values(name) })
}

func changed(names []string, values func(name string) (was, is []string)) (changes members) {
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		was, is := values(name)
		switch {
		case slices.Equal(was, is):
		case len(is) == 0:
			changes = append(changes, member{name, nil})
		case len(is) == 1:
			changes = append(changes, member{name, is[0]})
		default:
			list := make([]any, len(is))
			for i := range is {
				list[i] = is[i]
			}
			changes = append(changes, member{name, list})
		}
	}
	return changes
}
