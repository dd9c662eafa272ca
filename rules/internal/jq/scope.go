package jq

import (
	"strconv"

	"github.com/itchyny/gojq"
)

// binding is a name that a program gives to something.
type binding struct {
	name  string // with its dollar sign, if it is a variable's
	arity int    // of a function; variable or label if there is none
	as    string // the name it has in the rewritten program

	global  bool    // of a variable: the caller gives it
	reads   reading // of a function: what its body reads of the input of a call
	open    bool    // of a function: its body is being rewritten
	again   bool    // of a function: its body calls it
	literal bool    // of a variable: it is bound to the string text
	text    string
}

const (
	variable = -1
	label    = -2
)

// bind makes name known until the scope is left. Functions and their
// parameters get new names, so that a builtin is never what a call falls back
// to.
func (r *rewriter) bind(name string, arity int) *binding {
	b := binding{name: name, arity: arity, as: name}
	if arity >= 0 {
		b.as = r.fresh(name)
	}
	r.scope = append(r.scope, b)
	return &r.scope[len(r.scope)-1]
}

func (r *rewriter) fresh(name string) string {
	r.renamed++
	return name + "@" + strconv.Itoa(r.renamed)
}

func (r *rewriter) lookUp(name string, arity int) *binding {
	for i := len(r.scope) - 1; i >= 0; i-- {
		if b := &r.scope[i]; b.name == name && b.arity == arity {
			return b
		}
	}
	return nil
}

// leave forgets what was bound since the scope had length n.
func (r *rewriter) leave(n int) { r.scope = r.scope[:n] }

// within runs f in a scope of its own.
func (r *rewriter) within(f func()) {
	n := len(r.scope)
	f()
	r.leave(n)
}

// funcDef rewrites a definition and makes it known. as is the new name; empty
// for a fresh one.
func (r *rewriter) funcDef(d *gojq.FuncDef, as string) *gojq.FuncDef {
	self := r.bind(d.Name, len(d.Args))
	if as != "" {
		self.as = as
	}
	at := len(r.scope) - 1
	out := &gojq.FuncDef{Name: self.as}
	r.within(func() {
		for _, arg := range d.Args {
			if arg[0] != '$' {
				out.Args = append(out.Args, r.bind(arg, 0).as)
				continue
			}
			value := r.bind(arg, variable)
			value.as = r.fresh(arg)
			out.Args = append(out.Args, value.as)
			r.bind(arg[1:], 0).as = value.as[1:]
		}
		r.scope[at].open = true
		if r.catches {
			r.tries++
			defer func() { r.tries-- }()
		}
		body, reads := r.query(d.Body)
		r.scope[at].open = false
		if out.Body = body; r.scope[at].again {
			out.Body = pipe(r.native("_enter"), body)
		}
		r.scope[at].reads = reads
	})
	return out
}

// patterns rewrites the patterns of a binding and makes their variables known.
// source, if it is a literal string, is remembered with the variable.
func (r *rewriter) patterns(patterns []*gojq.Pattern, source *gojq.Query) []*gojq.Pattern {
	out := make([]*gojq.Pattern, len(patterns))
	for i, p := range patterns {
		out[i] = r.pattern(p)
	}
	if text, ok := r.constant(source); ok && len(patterns) == 1 && patterns[0].Name != "" {
		b := r.lookUp(patterns[0].Name, variable)
		b.literal, b.text = true, text
	}
	return out
}

func (r *rewriter) pattern(p *gojq.Pattern) *gojq.Pattern {
	out := &gojq.Pattern{Name: p.Name}
	if p.Name != "" {
		r.bind(p.Name, variable)
	}
	for _, e := range p.Array {
		out.Array = append(out.Array, r.pattern(e))
	}
	for _, member := range p.Object {
		m := &gojq.PatternObject{Key: member.Key}
		if member.KeyString != nil {
			m.KeyString, _ = r.str(member.KeyString)
		}
		if member.KeyQuery != nil {
			m.KeyQuery, _ = r.query(member.KeyQuery)
			m.KeyQuery = r.guard("key", m.KeyQuery)
		}
		if member.Key != "" && member.Key[0] == '$' {
			r.bind(member.Key, variable)
		}
		if member.Val != nil {
			m.Val = r.pattern(member.Val)
		}
		out.Object = append(out.Object, m)
	}
	return out
}

// constant returns the string that q always is: a literal, or a variable bound
// to one.
func (r *rewriter) constant(q *gojq.Query) (string, bool) {
	if s, ok := literalString(q); ok {
		return s, true
	}
	if q == nil || q.Term == nil || q.Term.Type != gojq.TermTypeFunc || len(q.Term.SuffixList) > 0 || len(q.FuncDefs) > 0 {
		return "", false
	}
	if b := r.lookUp(q.Term.Func.Name, variable); b != nil && b.literal {
		return b.text, true
	}
	return "", false
}
