package jq

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// rewriter resolves the names of a program and makes of it one that is safe to
// run. It never changes the query it is given.
type rewriter struct {
	scope   []binding
	renamed int

	findings []finding
	uses     map[string]bool // variables of the program
	natives  map[string]bool // called, by their names in the rewritten program
	regexps  map[regexKey]*regex
	texts    map[string]bool // string literals of the program

	catches bool // the program may catch errors, if only in a function's caller
	tries   int  // around what is rewritten

	inPrelude bool
	required  map[string]bool // prelude definitions by name/arity
	defs      []*gojq.FuncDef // of the prelude, each behind those it calls
}

// finding is a problem whose place is not known yet, but the word it is about.
type finding struct {
	Problem
	word string // as it stands in the source; empty for the whole program
}

func newRewriter(variables []string) *rewriter {
	r := &rewriter{
		uses: make(map[string]bool), natives: make(map[string]bool), required: make(map[string]bool),
		regexps: make(map[regexKey]*regex), texts: make(map[string]bool),
	}
	for _, v := range variables {
		r.bind(v, variable).global = true
	}
	return r
}

func (r *rewriter) find(code, word, hint, format string, args ...any) {
	r.findings = append(r.findings, finding{Problem{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}, word})
}

// reading is what a program, or a part of it, looks at of its input.
type reading struct {
	all    bool
	fields []string // looked at, if not all
}

func (a reading) and(b reading) reading {
	if a.all || b.all {
		return reading{all: true}
	}
	for _, f := range b.fields {
		if !slices.Contains(a.fields, f) {
			a.fields = append(slices.Clip(a.fields), f)
		}
	}
	return a
}

func readsAll() reading { return reading{all: true} }

// program rewrites a whole program.
func (r *rewriter) program(q *gojq.Query) (*gojq.Query, reading) {
	if len(q.Imports) > 0 {
		word := "import"
		if q.Imports[0].ImportPath == "" {
			word = "include"
		}
		r.find(CodeRefused, word, "", "a rule has no modules")
	}
	if q.Meta != nil {
		r.find(CodeRefused, "module", "", "a rule has no modules")
	}
	if q.Term == nil && q.Op == 0 {
		r.find(CodeSyntax, "", "write . for the input itself", "there is no program")
		return q, reading{}
	}
	out, reads := r.query(q)
	out.FuncDefs = append(slices.Clip(r.defs), out.FuncDefs...)
	return out, reads
}

// query rewrites q and says what it reads of its input. Whatever has read
// nothing of the input has nothing of the input to pass on either: what stands
// behind a pipe counts only for what stands before it.
func (r *rewriter) query(q *gojq.Query) (*gojq.Query, reading) {
	var defs []*gojq.FuncDef
	for _, d := range q.FuncDefs {
		defs = append(defs, r.funcDef(d, ""))
	}
	out, reads := r.operation(q)
	if len(defs) > 0 {
		out = &gojq.Query{FuncDefs: defs, Term: out.Term, Left: out.Left, Right: out.Right, Patterns: out.Patterns, Op: out.Op}
	}
	return out, reads
}

func (r *rewriter) operation(q *gojq.Query) (*gojq.Query, reading) {
	switch {
	case q.Term != nil:
		return r.term(q.Term)
	case q.Op == gojq.OpPipe && len(q.Patterns) > 0:
		var out *gojq.Query
		var reads reading
		r.within(func() {
			left, fromLeft := r.query(q.Left)
			patterns := r.patterns(q.Patterns, q.Left)
			right, fromRight := r.query(q.Right)
			out, reads = &gojq.Query{Left: left, Op: gojq.OpPipe, Patterns: patterns, Right: right}, fromLeft.and(fromRight)
		})
		return out, reads
	case q.Op == gojq.OpPipe:
		left, reads := r.query(q.Left)
		right, _ := r.query(q.Right)
		return &gojq.Query{Left: left, Op: gojq.OpPipe, Right: right}, reads
	case q.Op == gojq.OpAssign, q.Op == gojq.OpModify:
		return r.update(q), readsAll()
	case q.Op >= gojq.OpUpdateAdd:
		return r.updateBy(q), readsAll()
	case q.Left == nil || q.Right == nil:
		r.find(CodeSyntax, "", "write . for the input itself", "a definition is followed by no program")
		return q, reading{}
	}
	left, fromLeft := r.query(q.Left)
	right, fromRight := r.query(q.Right)
	reads := fromLeft.and(fromRight)
	if name, ok := operators()[q.Op]; ok {
		return r.native(name, left, right), reads
	}
	return &gojq.Query{Left: left, Op: q.Op, Right: right}, reads
}

// operators are the operators whose work grows with their operands.
func operators() map[gojq.Operator]string {
	return map[gojq.Operator]string{
		gojq.OpAdd: "_add", gojq.OpSub: "_subtract", gojq.OpMul: "_multiply", gojq.OpDiv: "_divide", gojq.OpMod: "_modulo",
		gojq.OpEq: "_equal", gojq.OpNe: "_unequal", gojq.OpGt: "_greater", gojq.OpLt: "_less",
		gojq.OpGe: "_at_least", gojq.OpLe: "_at_most",
	}
}

// update rewrites left = right and left |= right.
func (r *rewriter) update(q *gojq.Query) *gojq.Query {
	path, static := staticPath(q.Left)
	left, _ := r.query(q.Left)
	var right *gojq.Query
	r.within(func() { right, _ = r.query(q.Right) })
	switch {
	case q.Op == gojq.OpModify:
		return r.prelude("modify", left, right)
	case static:
		return r.native("_setpath", arrayQuery(path), right)
	}
	return r.prelude("assign", left, right)
}

// updateBy rewrites left op= right: right is evaluated once, over the input.
func (r *rewriter) updateBy(q *gojq.Query) *gojq.Query {
	operand := "$" + hash + r.fresh("operand")
	left, _ := r.query(q.Left)
	right, _ := r.query(q.Right)
	var by *gojq.Query
	switch q.Op {
	case gojq.OpUpdateAlt:
		by = &gojq.Query{Left: identity(), Op: gojq.OpAlt, Right: call(operand)}
	default:
		// The update operators stand in the order of the plain ones.
		by = r.native(operators()[q.Op-gojq.OpUpdateAdd+gojq.OpAdd], identity(), call(operand))
	}
	return bind(right, operand, r.prelude("modify", left, by))
}

func (r *rewriter) native(name string, args ...*gojq.Query) *gojq.Query {
	name = nativeName(name)
	r.natives[name] = true
	return call(name, args...)
}

// guard makes what q yields pass a native that pays for it.
func (r *rewriter) guard(name string, q *gojq.Query) *gojq.Query {
	if q == nil || isConstant(q) {
		return q
	}
	return pipe(q, r.native("_"+name))
}

// prelude calls a definition of the prelude, and sees to it that it is there.
func (r *rewriter) prelude(name string, args ...*gojq.Query) *gojq.Query {
	key := name + "/" + strconv.Itoa(len(args))
	if !r.required[key] {
		r.required[key] = true
		scope, inPrelude, tries := r.scope, r.inPrelude, r.tries
		r.scope, r.inPrelude, r.tries = nil, true, 0
		def := r.funcDef(preludeDefs()[key], hash+hash+name)
		r.defs = append(r.defs, def)
		r.scope, r.inPrelude, r.tries = scope, inPrelude, tries
	}
	return call(hash+hash+name, args...)
}

// function rewrites a call.
func (r *rewriter) function(f *gojq.Func) (*gojq.Query, reading) {
	if f.Name[0] == '$' {
		return r.variable(f.Name), reading{}
	}
	args := make([]*gojq.Query, len(f.Args))
	from := make([]reading, len(f.Args))
	union := reading{}
	for i, a := range f.Args {
		r.within(func() { args[i], from[i] = r.query(a) })
		union = union.and(from[i])
	}
	if b := r.lookUp(f.Name, len(args)); b != nil {
		b.again = b.again || b.open
		return call(b.as, args...), union.and(b.reads)
	}
	if r.inPrelude && f.Name[0] == '_' {
		return r.native(f.Name, args...), readsAll()
	}
	b := builtinOf(f.Name, len(args))
	if b.regex && !r.inPrelude {
		r.regexArgument(f)
	}
	reads := readsAll()
	switch b.reads {
	case readsArgs:
		reads = union
	case readsFirst:
		reads = from[0]
	}
	return r.builtin(b, f, args), reads
}

func (r *rewriter) builtin(b builtin, f *gojq.Func, args []*gojq.Query) *gojq.Query {
	for _, i := range b.guarded {
		args[i-'0'] = r.guard(b.args, args[i-'0'])
	}
	name := f.Name
	if b.name != "" {
		name = b.name
	}
	if b.treatment == measured {
		for i := range args {
			args[i] = r.shown(args[i])
		}
	}
	switch b.treatment {
	case native:
		return r.native("_"+name, args...)
	case prelude:
		if paths, ok := r.staticPathsOf(f); ok {
			return r.native("_delpaths", paths)
		}
		if replaced, ok := r.replaceText(f, args); ok {
			return replaced
		}
		return r.prelude(name, args...)
	case measured:
		if b.input != "" {
			return pipe(r.shown(r.native("_"+b.input)), call(name, args...))
		}
	case refused:
		r.find(CodeRefused, f.Name, b.why, "%s is not for rules", f.Name)
	case unknown:
		word := f.Name
		r.find(CodeUndefined, word, r.suggestFunction(f.Name, len(args)), "function not defined: %s/%d", f.Name, len(args))
	}
	return pipe(r.shown(identity()), call(name, args...))
}

// staticPathsOf returns the paths that del(.a, .b.c) deletes.
func (r *rewriter) staticPathsOf(f *gojq.Func) (*gojq.Query, bool) {
	if f.Name != "del" || len(f.Args) != 1 || r.inPrelude {
		return nil, false
	}
	paths, ok := staticPaths(f.Args[0])
	return arrayQuery(paths), ok
}

// replaceText is sub and gsub with a literal replacement.
func (r *rewriter) replaceText(f *gojq.Func, args []*gojq.Query) (*gojq.Query, bool) {
	if f.Name != "sub" && f.Name != "gsub" {
		return nil, false
	}
	if _, ok := literalString(args[1]); !ok {
		return nil, false
	}
	flags, all := asQuery(&gojq.Term{Type: gojq.TermTypeNull}), gojq.TermTypeFalse
	if len(args) == 3 {
		if flags = args[2]; !isConstant(flags) { // the order of several results
			return nil, false
		}
	}
	if f.Name == "gsub" {
		all = gojq.TermTypeTrue
	}
	return r.native("_replace", args[0], flags, asQuery(&gojq.Term{Type: all}), args[1]), true
}

func (r *rewriter) variable(name string) *gojq.Query {
	if b := r.lookUp(name, variable); b != nil {
		if b.global {
			r.uses[name] = true
		}
		return call(b.as)
	}
	if why, ok := refusedNames()[name]; ok {
		r.find(CodeRefused, name, why, "%s is not for rules", name)
	} else {
		r.find(CodeUndefined, name, r.suggestVariable(name), "variable not defined: %s", name)
	}
	return call(name)
}

// regexArgument reports a regular expression that is not known before the run,
// or does not compile.
func (r *rewriter) regexArgument(f *gojq.Func) {
	expression, flags := f.Args[0], ""
	if a := expression.Term; a != nil && a.Type == gojq.TermTypeArray && a.Array.Query != nil && len(f.Args) == 1 {
		if pair := a.Array.Query; pair.Op == gojq.OpComma { // test(["a"; "i"])
			expression = pair.Left
			flags, _ = r.constant(pair.Right)
		} else {
			expression = pair
		}
	}
	text, ok := r.constant(expression)
	if !ok {
		r.find(CodeRegex, f.Name, `write it as a string, or bind it before: "..." as $re | ...`,
			"the regular expression of %s is not a literal", f.Name)
		return
	}
	at := len(f.Args) - 1
	if at > 0 && !((f.Name == "sub" || f.Name == "gsub") && at == 1) {
		flags, _ = r.constant(f.Args[at])
	}
	key := regexKey{text, regexFlags(flags)}
	compiled, err := compileRegex(key)
	if err != nil {
		r.find(CodeRegex, f.Name, "", "%s", strings.ReplaceAll(err.Error(), "`", `"`))
		return
	}
	r.regexps[key] = compiled
}
