package jq

import (
	"slices"

	"github.com/itchyny/gojq"
)

// term rewrites t with its suffixes.
func (r *rewriter) term(t *gojq.Term) (*gojq.Query, reading) {
	suffixes := t.SuffixList
	if slices.ContainsFunc(suffixes, func(s *gojq.Suffix) bool { return s.Optional }) {
		r.tries++
		defer func() { r.tries-- }()
	}
	var out *gojq.Query
	var reads reading
	switch {
	case t.Type == gojq.TermTypeIndex:
		out, reads = identity(), readsAll()
		if name, ok := fieldName(t.Index); ok {
			reads = reading{fields: []string{name}}
		}
		var from reading
		out, from = r.index(out, t.Index)
		reads = reads.and(from)
	case t.Type == gojq.TermTypeIdentity && len(suffixes) > 0 && suffixes[0].Index != nil:
		out, reads = identity(), readsAll()
		if name, ok := fieldName(suffixes[0].Index); ok {
			reads = reading{fields: []string{name}}
		}
	default:
		out, reads = r.bare(t)
	}
	for _, s := range suffixes {
		switch {
		case s.Index != nil:
			var from reading
			out, from = r.index(out, s.Index)
			reads = reads.and(from)
		case s.Iter:
			out = withSuffix(r.guard("cost", r.shown(out)), s)
		default:
			out = withSuffix(out, s)
		}
	}
	return out, reads
}

// withSuffix returns q with one suffix more.
func withSuffix(q *gojq.Query, s *gojq.Suffix) *gojq.Query {
	t := *asTerm(q)
	t.SuffixList = append(t.SuffixList[:len(t.SuffixList):len(t.SuffixList)], s)
	return asQuery(&t)
}

func fieldName(x *gojq.Index) (string, bool) {
	key, ok := staticKey(x)
	if !ok {
		return "", false
	}
	return literalString(key)
}

// shown makes what q yields pay for its place in the text of an error that is caught.
func (r *rewriter) shown(q *gojq.Query) *gojq.Query {
	if r.tries == 0 {
		return q
	}
	return r.guard("shown", q)
}

// index rewrites an index behind q. A key that is known needs no guard.
func (r *rewriter) index(q *gojq.Query, x *gojq.Index) (*gojq.Query, reading) {
	q = r.shown(q)
	if _, ok := staticKey(x); ok {
		if isIdentity(q) {
			return asQuery(&gojq.Term{Type: gojq.TermTypeIndex, Index: x}), reading{}
		}
		return withSuffix(q, &gojq.Suffix{Index: x}), reading{}
	}
	out, reads := &gojq.Index{IsSlice: x.IsSlice}, reading{}
	if x.Str != nil {
		out.Str, reads = r.str(x.Str)
	}
	if x.Start != nil {
		r.within(func() { out.Start, reads = r.query(x.Start) })
		out.Start = r.guard("key", out.Start)
	}
	if x.End != nil {
		var from reading
		r.within(func() { out.End, from = r.query(x.End) })
		out.End, reads = r.guard("key", out.End), reads.and(from)
	}
	return withSuffix(r.guard("cost", q), &gojq.Suffix{Index: out}), reads
}

// bare rewrites t without its suffixes.
func (r *rewriter) bare(t *gojq.Term) (*gojq.Query, reading) {
	switch t.Type {
	case gojq.TermTypeIdentity:
		return identity(), readsAll()
	case gojq.TermTypeFunc:
		return r.function(t.Func)
	case gojq.TermTypeObject:
		return r.object(t.Object)
	case gojq.TermTypeArray:
		if t.Array.Query == nil {
			return asQuery(&gojq.Term{Type: t.Type, Array: t.Array}), reading{}
		}
		var out *gojq.Query
		var reads reading
		r.within(func() { out, reads = r.query(t.Array.Query) })
		return asQuery(&gojq.Term{Type: t.Type, Array: &gojq.Array{Query: out}}), reads
	case gojq.TermTypeNumber:
		if len(t.Number) > maxDigits {
			r.find(CodeSyntax, "", "", "a number has more than %d digits", maxDigits)
		}
		return asQuery(&gojq.Term{Type: t.Type, Number: t.Number}), reading{}
	case gojq.TermTypeUnary:
		out, reads := r.term(t.Unary.Term)
		out = r.guard("num", r.shown(out))
		return asQuery(&gojq.Term{Type: t.Type, Unary: &gojq.Unary{Op: t.Unary.Op, Term: asTerm(out)}}), reads
	case gojq.TermTypeFormat:
		return r.format(t)
	case gojq.TermTypeString:
		out, reads := r.str(t.Str)
		return asQuery(&gojq.Term{Type: t.Type, Str: out}), reads
	case gojq.TermTypeIf:
		return r.condition(t.If)
	case gojq.TermTypeTry:
		out := &gojq.Try{}
		var reads reading
		r.tries++
		r.within(func() { out.Body, reads = r.query(t.Try.Body) })
		r.tries--
		if t.Try.Catch != nil {
			r.within(func() { out.Catch, _ = r.query(t.Try.Catch) })
		}
		return asQuery(&gojq.Term{Type: t.Type, Try: out}), reads
	case gojq.TermTypeReduce, gojq.TermTypeForeach:
		return r.fold(t)
	case gojq.TermTypeLabel:
		var out *gojq.Query
		var reads reading
		r.within(func() {
			r.bind(t.Label.Ident, label)
			out, reads = r.query(t.Label.Body)
		})
		return asQuery(&gojq.Term{Type: t.Type, Label: &gojq.Label{Ident: t.Label.Ident, Body: out}}), reads
	case gojq.TermTypeBreak:
		if r.lookUp(t.Break, label) == nil {
			r.find(CodeUndefined, t.Break, "", "label not defined: %s", t.Break)
		}
		return asQuery(&gojq.Term{Type: t.Type, Break: t.Break}), reading{}
	case gojq.TermTypeQuery:
		var out *gojq.Query
		var reads reading
		r.within(func() { out, reads = r.query(t.Query) })
		return asQuery(&gojq.Term{Type: t.Type, Query: out}), reads
	case gojq.TermTypeRecurse:
		return r.prelude("recurse"), readsAll()
	}
	return asQuery(&gojq.Term{Type: t.Type}), reading{} // null, true, false
}

func (r *rewriter) object(o *gojq.Object) (*gojq.Query, reading) {
	out, reads := &gojq.Object{}, reading{}
	r.within(func() {
		for _, member := range o.KeyVals {
			m := &gojq.ObjectKeyVal{Key: member.Key}
			switch {
			case member.Key != "" && member.Key[0] == '$':
				value := r.variable(member.Key)
				if m.Key = member.Key[1:]; member.Val == nil { // {$a}
					m.Val = value
				} else { // {$a: 1}
					m.Key, m.KeyQuery = "", value
				}
			case member.Key != "" && member.Val == nil: // {a}
				reads = reads.and(reading{fields: []string{member.Key}})
			case member.KeyString != nil:
				var from reading
				m.KeyString, from = r.str(member.KeyString)
				reads = reads.and(from)
				if member.Val == nil { // {"a"}
					reads = readsAll()
				}
			case member.KeyQuery != nil:
				var from reading
				r.within(func() { m.KeyQuery, from = r.query(member.KeyQuery) })
				m.KeyQuery = r.shown(m.KeyQuery)
				reads = reads.and(from)
			}
			if member.Val != nil {
				var from reading
				m.Val, from = r.query(member.Val)
				reads = reads.and(from)
			}
			out.KeyVals = append(out.KeyVals, m)
		}
	})
	made := asQuery(&gojq.Term{Type: gojq.TermTypeObject, Object: out})
	if len(out.KeyVals) > 0 {
		made = pipe(r.native("_new"), made)
	}
	return made, reads
}

// str rewrites the interpolations of a string.
func (r *rewriter) str(s *gojq.String) (*gojq.String, reading) { return r.strBy("text", s) }

// strBy is str where the interpolations pass the native guard.
func (r *rewriter) strBy(guard string, s *gojq.String) (*gojq.String, reading) {
	if s.Queries == nil {
		if !r.inPrelude {
			r.texts[s.Str] = true
		}
		return s, reading{}
	}
	out, reads := &gojq.String{Queries: make([]*gojq.Query, 0, len(s.Queries))}, reading{}
	for _, part := range s.Queries {
		if part.Term != nil && part.Term.Str != nil {
			out.Queries = append(out.Queries, part)
			continue
		}
		var q *gojq.Query
		var from reading
		r.within(func() { q, from = r.query(part) })
		// gojq asks every part for its Term.
		out.Queries = append(out.Queries, asQuery(&gojq.Term{Type: gojq.TermTypeQuery, Query: r.guard(guard, r.shown(q))}))
		reads = reads.and(from)
	}
	return out, reads
}

func (r *rewriter) format(t *gojq.Term) (*gojq.Query, reading) {
	switch t.Format {
	case "@text", "@json", "@html", "@uri", "@urid", "@csv", "@tsv", "@sh", "@base64", "@base64d":
	default:
		r.find(CodeUndefined, t.Format, r.suggestFormat(t.Format), "format not defined: %s", t.Format)
	}
	out := &gojq.Term{Type: t.Type, Format: t.Format}
	if t.Str == nil {
		return pipe(r.shown(r.native("_spelled")), asQuery(out)), readsAll()
	}
	var reads reading
	out.Str, reads = r.strBy("spelled", t.Str)
	return asQuery(out), reads
}

func (r *rewriter) condition(c *gojq.If) (*gojq.Query, reading) {
	out, reads := &gojq.If{}, reading{}
	branch := func(q *gojq.Query) (rewritten *gojq.Query) {
		r.within(func() {
			var from reading
			rewritten, from = r.query(q)
			reads = reads.and(from)
		})
		return rewritten
	}
	out.Cond, out.Then = branch(c.Cond), branch(c.Then)
	for _, e := range c.Elif {
		out.Elif = append(out.Elif, &gojq.IfElif{Cond: branch(e.Cond), Then: branch(e.Then)})
	}
	if c.Else == nil {
		reads = readsAll() // passes the input on
	} else {
		out.Else = branch(c.Else)
	}
	return asQuery(&gojq.Term{Type: gojq.TermTypeIf, If: out}), reads
}

// fold rewrites reduce and foreach. Update and extract see what start and the
// source made, not the input.
func (r *rewriter) fold(t *gojq.Term) (*gojq.Query, reading) {
	source, patterns := (*gojq.Query)(nil), []*gojq.Pattern(nil)
	var start, update, extract *gojq.Query
	if t.Type == gojq.TermTypeReduce {
		source, patterns, start, update = t.Reduce.Query, t.Reduce.Patterns, t.Reduce.Start, t.Reduce.Update
	} else {
		source, patterns, start, update, extract = t.Foreach.Query, t.Foreach.Patterns, t.Foreach.Start, t.Foreach.Update, t.Foreach.Extract
	}
	var reads reading
	r.within(func() {
		var from reading
		r.within(func() { start, reads = r.query(start) })
		source, from = r.query(source)
		reads = reads.and(from)
		patterns = r.patterns(patterns, nil)
		r.within(func() { update, _ = r.query(update) })
		if extract != nil {
			r.within(func() { extract, _ = r.query(extract) })
		}
	})
	if t.Type == gojq.TermTypeReduce {
		return asQuery(&gojq.Term{Type: t.Type, Reduce: &gojq.Reduce{Query: source, Patterns: patterns, Start: start, Update: update}}), reads
	}
	return asQuery(&gojq.Term{Type: t.Type, Foreach: &gojq.Foreach{Query: source, Patterns: patterns, Start: start, Update: update, Extract: extract}}), reads
}
