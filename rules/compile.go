package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/rules/document"
)

// Compile parses, validates and compiles files. The Set is nil if one of the
// problems is an error; warnings leave it usable. All problems of all files are
// returned, in file order.
func Compile(files []File) (*Set, []Problem) {
	format := fileType()
	programs := format.Shape.Programs()
	compilers := make([]*compiler, len(files))
	var common shared
	for i, f := range files {
		if IsShared(f) {
			compilers[i] = common.read(f, programs)
		}
	}
	for i, f := range files {
		if compilers[i] == nil {
			compilers[i] = compileFile(f, format, programs, &common)
		}
	}
	reportSharedNames(compilers)
	reportConflicts(compilers)

	set := &Set{hash: HashOf(files)}
	var problems []Problem
	bad := false
	for _, c := range compilers {
		found := c.doc.Problems()
		problems = append(problems, found...)
		for _, p := range found {
			bad = bad || p.Severity == Error
		}
		if c.route != nil {
			set.routes = append(set.routes, c.route)
		}
	}
	if bad {
		return nil, problems
	}
	set.index = newIndex(set.routes, false)
	if slices.ContainsFunc(set.routes, (*Route).Shadow) {
		shadows := newIndex(set.routes, true)
		set.shadows = &shadows
	}
	return set, problems
}

// HashOf is the hash of the set that files are compiled to, or would be if they
// had no problems. It depends on their order.
func HashOf(files []File) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%d:%s%d:", len(f.Name), f.Name, len(f.Text))
		h.Write(f.Text)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// compiler turns one file into a route and keeps where its parts stand.
type compiler struct {
	doc   *document.Document
	text  fileText
	named document.Position // of the name, or of the file without one
	route *Route            // nil if the file could not be read at all
}

// routeName keeps a name fit for a header, a label and a breaker's name.
var routeName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$`)

// FileName is the name of the file, without its folder, that a new route of that
// name is written to. _all, _inbound and _outbound are the files for all routes.
// It is empty if no route can have the name.
func FileName(route string) string {
	file := route + ".yaml"
	if !routeName.MatchString(route) || route[0] == '_' && !sharedFiles.MatchString(file) {
		return ""
	}
	return file
}

// IsShared reports whether the file is for all routes and is none itself.
func IsShared(f File) bool { return sharedFiles.MatchString(baseOf(f)) }

func baseOf(f File) string { return path.Base(strings.ReplaceAll(f.Name, `\`, "/")) }

func compileFile(f File, format document.Type[fileText], programs []string, common *shared) *compiler {
	base := baseOf(f)
	c := &compiler{doc: document.Parse(f.Name, f.Text, programs)}
	if strings.HasSuffix(base, ".yml") {
		c.doc.Report(codeBadName, "rename it to "+strings.TrimSuffix(base, ".yml")+".yaml", "a rule file's name ends in .yaml")
		return c
	}
	if strings.HasPrefix(base, "_") {
		c.doc.Report(codeBadName, "_all.yaml, _inbound.yaml and _outbound.yaml are there for all routes", "a rule file's name does not begin with an underscore")
		return c
	}
	c.doc.Route = strings.TrimSuffix(base, ".yaml")
	c.named = document.Position{File: f.Name, Line: 1, Column: 1}
	root := c.doc.Root
	if root == nil {
		return c
	}
	var ok bool
	if c.text, ok = format.Read(root); !ok {
		return c
	}
	c.compile(common)
	return c
}

func (c *compiler) compile(common *shared) {
	t := &c.text
	first := common.of(t.match.V.direction.Or(Inbound))
	r := &Route{name: c.doc.Route, off: t.mode.V == modeOff, shadow: t.mode.V == modeShadow}
	hidden := c.redact(t.redact)
	first.bound(r, t, hidden)
	r.position = document.Position{File: c.named.File, Line: c.doc.Root.Line, Column: c.doc.Root.Column}
	c.route = r
	if t.route.At != nil {
		r.name, c.named, r.position = t.route.V, t.route.At.Position(), t.route.At.Position()
		c.doc.Route = r.name
	}
	if !routeName.MatchString(r.name) {
		hint := "letters, digits, dot, dash and underscore, 100 at most"
		if t.route.At != nil {
			t.route.At.Report(codeBadName, hint, "not a possible name of a route")
		} else {
			c.doc.Report(codeBadName, "give it one with route:, of "+hint, "the file's name is not a possible name of a route")
		}
	}
	r.match = compileMatch(t.match.V, r.limits)
	own := stepLists{
		request:  c.steps(t.request.V, requestSees()),
		response: c.steps(t.response.V, responseSees()),
		trailers: c.steps(t.trailers.V, trailersSees()),
	}
	r.format, r.upstreamFormat = t.format.V, t.upstream.V.format.V
	r.timeout = timeoutOf(t.upstream.V.timeout.V)
	if b := t.upstream.V.breaker; b.At != nil {
		r.breaker = c.breaker(b.V)
	}
	if l := t.rateLimit; l.At != nil {
		r.rateLimit = c.rateLimit(l)
	}
	if f := t.fault; f.At != nil {
		r.fault = c.fault(f)
	}
	r.cases = c.cases(t.tests.V)
	if t.match.V.direction.At == nil && common.differs() {
		other := *r
		last := common.of(Outbound)
		last.bound(&other, t, hidden)
		last.precede(&other, own)
		r.outbound = &other
	}
	first.precede(r, own)
}

// steps compiles a list of steps.
func (c *compiler) steps(list []document.Value[stepText], s sees) (out []step) {
	for _, item := range list {
		out = append(out, c.step(item, s))
	}
	return out
}

// stepsOf puts compiled steps, which are r's from then on, together; nil for none.
func stepsOf(r *Route, steps []step) *Steps {
	if len(steps) == 0 {
		return nil
	}
	out := &Steps{route: r, steps: steps}
	for i := range steps {
		step := &steps[i]
		if step.limit != nil || step.fault != nil {
			out.needs.Body, out.needs.HeadWaits = true, true
			continue
		}
		if step.head != nil || !step.when.readsMessage() {
			step.judge = judgeOf(step.when, "", r.limits)
		}
		body := step.when.reads("$body") || step.head.reads("$body")
		if step.head != nil {
			out.needs.HeadWaits = out.needs.HeadWaits || body
		} else {
			body = step.when.readsMessage() || step.jq.readsMessage()
		}
		out.needs.Body = out.needs.Body || body
		out.needs.Edits = out.needs.Edits || step.jq != nil
		out.status = out.status || step.readsStatus()
	}
	out.compilePlan(r.limits)
	out.compileRows()
	return out
}

func (c *compiler) step(item document.Value[stepText], s sees) step {
	t := item.V
	out := step{name: item.At.Path, at: item.At.Position(), when: compileProgram(t.when, s)}
	actions := 0
	if t.jq.At != nil {
		actions++
		out.name, out.at, out.jq = t.jq.At.Path, t.jq.At.Position(), compileProgram(t.jq, s)
	}
	if t.head.At != nil {
		actions++
		out.name, out.at, out.head = t.head.At.Path, t.head.At.Position(), compileProgram(t.head, s)
	}
	if t.reject.At != nil {
		actions++
		out.name, out.at, out.reject = t.reject.At.Path, t.reject.At.Position(), rejectOf(t.reject)
	}
	if actions > 1 {
		item.At.Report(codeStep, "make a step of each", "a step does one thing")
	}
	if actions == 0 && !item.At.HasProblem() {
		item.At.Report(codeStep, s.does, "the step does nothing")
	}
	return out
}

func rejectOf(v document.Value[answerText]) *Reject {
	status, grpc := statusesOf(v.V, 403, "PERMISSION_DENIED")
	if grpc == "OK" && v.V.grpc.At != nil {
		v.V.grpc.At.Report(document.CodeBadValue, "", "a reject cannot say OK")
	} else if grpc == "OK" {
		grpc = "PERMISSION_DENIED"
	}
	return &Reject{Step: v.At.Path, Status: status, GRPC: grpc, Message: v.V.message.V}
}

// statusesOf derives the one status from the other where only one is given.
func statusesOf(t answerText, status int, grpc Code) (int, Code) {
	switch hasStatus, hasGRPC := t.status.At != nil, t.grpc.At != nil; {
	case hasStatus && hasGRPC:
		return int(t.status.V), t.grpc.V
	case hasStatus:
		return int(t.status.V), CodeOfHTTP(int(t.status.V))
	case hasGRPC:
		return t.grpc.V.HTTPStatus(), t.grpc.V
	}
	return status, grpc
}

func (c *compiler) breaker(t breakerText) *Breaker {
	b := &Breaker{
		Window: t.window.Or(10 * time.Second), Open: t.open.Or(30 * time.Second), Probes: int(t.probes.Or(1)),
		route: c.route, at: c.text.upstream.V.breaker.At.Position(),
		trip: judgeOf(compileOr(t.trip, defaultTrip, tripSees()), "", c.route.limits),
	}
	failure, member := compileOr(t.failure, defaultFailure, failureSees()), ""
	if b.failureReadsBody = t.failure.At != nil && failure != nil && failure.jq.UsesInputField("body"); b.failureReadsBody {
		member = bodyMember
	}
	b.failure = judgeOf(failure, member, c.route.limits)
	if t.fallback.At != nil {
		b.Fallback, b.fallbackAt = fallbackOf(t.fallback.V), t.fallback.At.Position()
	}
	spec, err := json.Marshal([]any{b.Window, b.Open, b.Probes, t.failure.Or(defaultFailure), t.trip.Or(defaultTrip), b.Fallback})
	if err != nil { // of a value of the file, such as a number that JSON has not
		spec = fmt.Append(nil, err)
	}
	b.Spec = string(spec)
	return b
}

func fallbackOf(t answerText) *Answer {
	a := &Answer{Message: t.message.V, Body: t.body.V, HasBody: t.body.At != nil}
	a.Status, a.GRPC = statusesOf(t, 200, "OK")
	for _, e := range t.headers.V {
		name := strings.ToLower(e.Key.V)
		if err := checkField(name, nil); err != nil {
			e.Key.At.Report(document.CodeBadValue, "", "%s", strings.TrimPrefix(err.Error(), errHead.Error()+": "))
		}
		for _, v := range e.Value.V {
			if !isFieldValue(v.V) {
				v.At.Report(document.CodeBadValue, "", "not a possible value of a header")
			}
			a.Headers = append(a.Headers, Field{Name: e.Key.V, Value: v.V})
		}
	}
	return a
}

func timeoutOf(t timeoutText) Timeout {
	if t.total.At != nil && t.attempt.At != nil && t.attempt.V > t.total.V {
		t.attempt.At.Report(document.CodeBadValue, "", "an attempt cannot take longer than total")
	}
	return Timeout{Total: t.total.V, Attempt: t.attempt.V, Idle: t.idle.V}
}

// compileOr compiles t, or def if the file does not have it.
func compileOr(t text, def string, s sees) *program {
	if t.At != nil {
		return compileProgram(t, s)
	}
	return mustProgram(def)
}

// reportSharedNames reports routes of one name, at the later.
func reportSharedNames(compilers []*compiler) {
	first := make(map[string]*compiler)
	for _, c := range compilers {
		if c.route == nil {
			continue
		}
		if other := first[c.route.name]; other != nil {
			hint := "give one of them another name"
			message := fmt.Sprintf("a route of this name stands at %s", where(other.named))
			if c.text.route.At != nil {
				c.text.route.At.Report(codeDuplicate, hint, "%s", message)
			} else {
				c.doc.Report(codeDuplicate, hint, message)
			}
			continue
		}
		first[c.route.name] = c
	}
}

func where(p Position) string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }
