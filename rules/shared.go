package rules

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules/document"
)

// sharedFiles hold what goes before the own of every matched route.
var sharedFiles = regexp.MustCompile(`^_(all|inbound|outbound)\.yaml$`)

// sharedText is such a file as it is written.
type sharedText struct {
	request  document.Value[[]document.Value[stepText]]
	response document.Value[[]document.Value[stepText]]
	trailers document.Value[[]document.Value[stepText]]
	onError  document.Value[OnError]
	limits   document.Value[limitsText]
	redact   document.Value[redactText]
}

func sharedType() document.Type[sharedText] {
	type f = sharedText
	steps := document.ListOf(document.Object(stepTable()))
	return document.Object(document.Table[f]{
		document.Key("request", steps, func(t *f) *document.Value[[]document.Value[stepText]] { return &t.request },
			"Steps over the request of every route, before its own."),
		document.Key("response", steps, func(t *f) *document.Value[[]document.Value[stepText]] { return &t.response },
			"Steps over the response of every route, before its own."),
		document.Key("trailers", trailerSteps(), func(t *f) *document.Value[[]document.Value[stepText]] { return &t.trailers },
			"Steps over the trailers of every route's response, before its own."),
		document.Key("on_error", document.Enum(OnErrorReject, OnErrorPass), func(t *f) *document.Value[OnError] { return &t.onError },
			"What happens when a step fails, where a route does not say it."),
		document.Key("limits", document.Object(limitsTable()), func(t *f) *document.Value[limitsText] { return &t.limits },
			"What a route may cost, where it does not say it."),
		document.Key("redact", document.Object(redactTable()), func(t *f) *document.Value[redactText] { return &t.redact },
			"What never shows of any route, beside what the route says."),
	})
}

// SharedShape describes what _all.yaml, _inbound.yaml and _outbound.yaml may say.
func SharedShape() document.Shape { return sharedType().Shape }

// shared is what stands in the shared files, by the name of the file without
// its underscore.
type shared struct{ all, inbound, outbound *sharedFile }

// sharedFile is one of them, compiled.
type sharedFile struct {
	text   sharedText
	steps  stepLists
	redact *Redact
}

// read compiles a shared file.
func (s *shared) read(f File, programs []string) *compiler {
	name := strings.TrimSuffix(baseOf(f), ".yaml")
	c := &compiler{doc: document.Parse(f.Name, f.Text, programs)}
	out := &sharedFile{}
	switch name {
	case "_all":
		s.all = out
	case "_inbound":
		s.inbound = out
	default:
		s.outbound = out
	}
	if c.doc.Root == nil {
		return c
	}
	var ok bool
	if out.text, ok = sharedType().Read(c.doc.Root); !ok {
		return c
	}
	out.steps = stepLists{
		request:  named(name, c.steps(out.text.request.V, requestSees())),
		response: named(name, c.steps(out.text.response.V, responseSees())),
		trailers: named(name, c.steps(out.text.trailers.V, trailersSees())),
	}
	out.redact = c.redact(out.text.redact)
	return c
}

// named puts the file's name before the steps' own: _all.request[0].jq.
func named(file string, steps []step) []step {
	for i := range steps {
		s := &steps[i]
		s.name = file + "." + s.name
		for _, p := range []*program{s.when, s.jq, s.head} {
			if p != nil {
				p.path = file + "." + p.path
			}
		}
		if s.reject != nil {
			s.reject.Step = file + "." + s.reject.Step
		}
	}
	return steps
}

// differs reports whether exchanges of the two directions meet different things.
func (s *shared) differs() bool { return s.inbound != nil || s.outbound != nil }

// layers are the shared files of one direction, in the order in which they run.
type layers []*sharedFile

func (s *shared) of(d Direction) layers {
	own := s.inbound
	if d == Outbound {
		own = s.outbound
	}
	return slices.DeleteFunc(layers{s.all, own}, func(f *sharedFile) bool { return f == nil })
}

// bound sets r's limits, on_error and redact: what is hidden adds up, and what the route does not say is said by the
// nearest file that does.
func (l layers) bound(r *Route, t *fileText, own *Redact) {
	onError, texts := t.onError, []limitsText{t.limits.V}
	for _, f := range slices.Backward(l) {
		if onError.At == nil {
			onError = f.text.onError
		}
		texts = append(texts, f.text.limits.V)
	}
	r.onError, r.limits = onError.Or(OnErrorReject), limitsOf(texts)
	r.redact = own.with(nil, r.limits)
	for _, f := range l {
		r.redact = f.redact.with(r.redact, r.limits)
	}
}

// limitsOf takes each bound from the first text that has it, else its default.
func limitsOf(texts []limitsText) Limits {
	l := Limits{Body: 8 * codec.MiB, Message: 4 * codec.MiB, Steps: 5_000_000, Time: time.Second}
	for _, t := range slices.Backward(texts) {
		l = Limits{Body: t.body.Or(l.Body), Message: t.message.Or(l.Message), Steps: t.steps.Or(l.Steps), Time: t.time.Or(l.Time)}
	}
	return l
}

// precede sets r's steps: those of the shared files, then its own.
func (l layers) precede(r *Route, own stepLists) {
	all := stepLists{request: r.limitStep()}
	for _, f := range l {
		all = all.with(f.steps)
	}
	all = all.with(own).with(stepLists{request: r.faultStep()})
	r.request, r.response, r.trailers = stepsOf(r, all.request), stepsOf(r, all.response), trailersOf(r, all.trailers)
}

// stepLists are the steps of one file, compiled.
type stepLists struct{ request, response, trailers []step }

func (l stepLists) with(more stepLists) stepLists {
	return stepLists{append(l.request, more.request...), append(l.response, more.response...), append(l.trailers, more.trailers...)}
}
