package rules

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules/document"
	"github.com/sluice-proxy/sluice/rules/internal/jq"
)

// redactText is a redact block as it is written.
type redactText struct {
	headers, body document.Value[[]text]
}

func redactTable() document.Table[redactText] {
	type r = redactText
	return document.Table[r]{
		document.Key("headers", document.OneOrList(document.String()), func(t *r) *document.Value[[]text] { return &t.headers },
			"Names of header and trailer fields whose values never show, beside those that never do.").Such([]any{"x-session", "x-card"}),
		document.Key("body", document.OneOrList(document.Program()), func(t *r) *document.Value[[]text] { return &t.body },
			"Paths in messages, of requests and of responses, whose values never show. A body on which one fails is withheld.").Such([]any{".card.number", ".password"}),
	}
}

// Redacted stands in place of what never shows.
const Redacted = "[redacted]"

// Redact is what of the exchanges of a route nobody may see in tap, logs and
// recordings. It says nothing about what is sent. A nil Redact hides nothing.
type Redact struct {
	headers []string // in lower case
	paths   []string // programs
	all     *program // of them, so that they share one budget; nil: there are none
	limits  Limits
}

// redact compiles a redact block, nil if it says nothing.
func (c *compiler) redact(v document.Value[redactText]) *Redact {
	r := new(Redact)
	for _, h := range v.V.headers.V {
		name := strings.ToLower(h.V)
		switch {
		case name == "host":
			h.At.Report(codeBadName, "", "the host is not among the headers")
		case !isToken(name):
			h.At.Report(codeBadName, "", "not a possible name of a header")
		default:
			r.headers = append(r.headers, name)
		}
	}
	for _, path := range v.V.body.V {
		if compileProgram(path, sees{place: "redact.body"}) == nil {
			continue
		}
		if p := jq.CheckPath(path.V); p != nil {
			path.At.ReportAt(p.Offset, p.End, p.Code, p.Hint, "%s", p.Message)
			continue
		}
		if _, err := pathsOf([]string{path.V}); err != nil {
			path.At.Report(jq.CodeNotPath, "", "%s", err)
			continue
		}
		r.paths = append(r.paths, path.V)
	}
	if r.headers == nil && r.paths == nil {
		return nil
	}
	return r
}

// with is what both hide, bounded by l.
func (r *Redact) with(other *Redact, l Limits) *Redact {
	if r = r.And(other); r == nil {
		return nil
	}
	both := *r
	both.limits = l
	if both.all == nil && len(both.paths) > 0 {
		both.all, _ = pathsOf(both.paths) // each has compiled
	}
	return &both
}

// pathsOf compiles a program that gives the paths of all results of programs.
func pathsOf(sources []string) (*program, error) {
	all := make([]string, len(sources))
	for i, source := range sources {
		all[i] = "path(" + source + "\n)" // a comment ends with its line
	}
	source := strings.Join(all, ", ")
	compiled, problems := jq.Compile(source, variables)
	if len(problems) > 0 {
		return nil, errors.New(problems[0].Message)
	}
	return &program{jq: compiled, path: "redact.body", source: source, uses: make([]bool, len(variables))}, nil
}

// And is what both hide: r itself if that is all.
func (r *Redact) And(other *Redact) *Redact {
	switch {
	case r == nil:
		return other
	case other == nil:
		return r
	}
	both := *r
	for _, name := range other.headers {
		if !slices.Contains(both.headers, name) {
			both.headers = append(slices.Clip(both.headers), name)
		}
	}
	for _, p := range other.paths {
		if !slices.Contains(both.paths, p) {
			both.paths = append(slices.Clip(both.paths), p)
		}
	}
	if len(both.headers) == len(r.headers) && len(both.paths) == len(r.paths) {
		return r
	}
	if len(both.paths) > 0 {
		both.all, _ = pathsOf(both.paths) // each has compiled
	}
	return &both
}

// HidesHeaders reports whether values of header fields are hidden.
func (r *Redact) HidesHeaders() bool { return r != nil && len(r.headers) > 0 }

// HidesBody reports whether parts of messages are hidden.
func (r *Redact) HidesBody() bool { return r != nil && len(r.paths) > 0 }

// HidesHeader reports whether the values of the field of that name are hidden,
// which is in lower case.
func (r *Redact) HidesHeader(name string) bool { return r != nil && slices.Contains(r.headers, name) }

// Fields returns f with [Redacted] in place of each value that is hidden: f itself
// if there is none.
func (r *Redact) Fields(f Fields) Fields {
	if !r.HidesHeaders() {
		return f
	}
	out, copied := f, false
	for i := range f {
		for _, name := range r.headers {
			if !strings.EqualFold(f[i].Name, name) {
				continue
			}
			if !copied {
				out, copied = slices.Clone(f), true
			}
			out[i].Value = Redacted
		}
	}
	return out
}

// View is Fields for an object of fields by name, as steps see them.
func (r *Redact) View(v codec.Value) codec.Value {
	object, ok := v.(map[string]any)
	if !ok || !r.HidesHeaders() {
		return v
	}
	out := maps.Clone(object)
	for name := range out {
		if r.HidesHeader(strings.ToLower(name)) {
			out[name] = Redacted
		}
	}
	return out
}

// Head is Fields for a head, which may be nil.
func (r *Redact) Head(h *Head) *Head {
	if h == nil || !r.HidesHeaders() {
		return h
	}
	shown := *h
	shown.Fields = r.Fields(h.Fields)
	return &shown
}

// Value returns v, a whole message, with [Redacted] in place of what the paths
// lead to and is there. What it errs with shows nothing of v, and means that
// nobody knows what to hide: a path that cannot be followed, or that costs more
// than the route's limits allow.
func (r *Redact) Value(ctx context.Context, v codec.Value, now time.Time) (codec.Value, error) {
	if !r.HidesBody() {
		return v, nil
	}
	var marks hidden
	err := r.all.run(ctx, v, &scope{now: now}, r.limits, func(path any) error {
		marks.add(path)
		return nil
	})
	if err != nil {
		return nil, &hideError{reasonOf(err)}
	}
	return marks.hide(v), nil
}

// hideError is why it is not known what to hide. It keeps the cause to itself,
// which may show a value.
type hideError struct{ reason Reason }

func (e *hideError) Error() string { return "redact: " + string(e.reason) }

// hidden is a place of a value, with those below that have marks.
type hidden struct {
	marked   bool
	members  map[string]*hidden
	elements map[int]*hidden
}

// add marks the end of a path, as jq has it. A part of a text or of an array
// marks the whole.
func (p *hidden) add(path any) {
	keys, _ := path.([]any)
	for _, key := range keys {
		switch key := key.(type) {
		case string:
			if p.members == nil {
				p.members = make(map[string]*hidden)
			}
			p = below(p.members, key)
		case int:
			p = p.element(key)
		case float64:
			p = p.element(int(key))
		case json.Number:
			i, err := key.Int64()
			if err != nil {
				p.marked = true
				return
			}
			p = p.element(int(i))
		default: // a slice
			p.marked = true
			return
		}
	}
	p.marked = true
}

func (p *hidden) element(i int) *hidden {
	if p.elements == nil {
		p.elements = make(map[int]*hidden)
	}
	return below(p.elements, i)
}

func below[K comparable](m map[K]*hidden, key K) *hidden {
	next := m[key]
	if next == nil {
		next = new(hidden)
		m[key] = next
	}
	return next
}

// hide returns v without what is marked. It shares with v what is not on the way
// to a mark.
func (p *hidden) hide(v codec.Value) codec.Value {
	if p.marked {
		return Redacted
	}
	switch v := v.(type) {
	case map[string]any:
		if len(p.members) == 0 {
			return v
		}
		out := maps.Clone(v)
		for key, below := range p.members {
			if member, ok := v[key]; ok {
				out[key] = below.hide(member)
			}
		}
		return out
	case []any:
		if len(p.elements) == 0 {
			return v
		}
		out := slices.Clone(v)
		for i, below := range p.elements {
			if i < 0 {
				i += len(v)
			}
			if i >= 0 && i < len(v) {
				out[i] = below.hide(out[i])
			}
		}
		return out
	}
	return v
}
