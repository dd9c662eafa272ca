package jq

import "github.com/itchyny/gojq"

// Names that begin with hash cannot be written in jq, so that nothing in a
// program can take the place of what this package puts into it.
const hash = "#"

func asQuery(t *gojq.Term) *gojq.Query { return &gojq.Query{Term: t} }

// asTerm wraps q where a term is needed, at no cost in steps.
func asTerm(q *gojq.Query) *gojq.Term {
	if q.Term != nil && len(q.FuncDefs) == 0 {
		return q.Term
	}
	return &gojq.Term{Type: gojq.TermTypeQuery, Query: q}
}

func call(name string, args ...*gojq.Query) *gojq.Query {
	return asQuery(&gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: args}})
}

func identity() *gojq.Query { return asQuery(&gojq.Term{Type: gojq.TermTypeIdentity}) }

func isIdentity(q *gojq.Query) bool {
	return q.Term != nil && q.Term.Type == gojq.TermTypeIdentity && len(q.Term.SuffixList) == 0 && len(q.FuncDefs) == 0
}

func pipe(left, right *gojq.Query) *gojq.Query {
	if isIdentity(left) {
		return right
	}
	return &gojq.Query{Left: left, Op: gojq.OpPipe, Right: right}
}

func bind(source *gojq.Query, name string, body *gojq.Query) *gojq.Query {
	return &gojq.Query{Left: source, Op: gojq.OpPipe, Patterns: []*gojq.Pattern{{Name: name}}, Right: body}
}

// isConstant reports whether q is a literal that needs no guard.
func isConstant(q *gojq.Query) bool {
	if q == nil || q.Term == nil || len(q.Term.SuffixList) > 0 || len(q.FuncDefs) > 0 {
		return false
	}
	switch t := q.Term; t.Type {
	case gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse:
		return true
	case gojq.TermTypeNumber:
		return len(t.Number) <= maxDigits
	case gojq.TermTypeUnary:
		return isConstant(asQuery(t.Unary.Term))
	case gojq.TermTypeString:
		return t.Str.Queries == nil
	}
	return false
}

// literalString returns the text of q if it is a string without interpolation.
func literalString(q *gojq.Query) (string, bool) {
	if isConstant(q) && q.Term.Type == gojq.TermTypeString {
		return q.Term.Str.Str, true
	}
	return "", false
}

// staticPath returns the path that q is, as the array of its keys, if all of
// them are known before the run: .a["b"][0].
func staticPath(q *gojq.Query) ([]*gojq.Query, bool) {
	if q == nil || q.Term == nil || len(q.FuncDefs) > 0 {
		return nil, false
	}
	var path []*gojq.Query
	switch t := q.Term; t.Type {
	case gojq.TermTypeIndex:
		key, ok := staticKey(t.Index)
		if !ok {
			return nil, false
		}
		path = append(path, key)
	case gojq.TermTypeQuery:
		var ok bool
		if path, ok = staticPath(t.Query); !ok {
			return nil, false
		}
	default:
		return nil, false
	}
	for _, s := range q.Term.SuffixList {
		key, ok := staticKey(s.Index)
		if !ok {
			return nil, false
		}
		path = append(path, key)
	}
	return path, true
}

func staticKey(x *gojq.Index) (*gojq.Query, bool) {
	switch {
	case x == nil:
		return nil, false
	case x.Name != "":
		return stringQuery(x.Name), true
	case x.Str != nil:
		return asQuery(&gojq.Term{Type: gojq.TermTypeString, Str: x.Str}), x.Str.Queries == nil
	case x.IsSlice:
		return nil, false
	}
	return x.Start, isConstant(x.Start) && (x.Start.Term.Type == gojq.TermTypeString ||
		x.Start.Term.Type == gojq.TermTypeNumber || x.Start.Term.Type == gojq.TermTypeUnary)
}

// staticPaths is staticPath for several, separated by commas.
func staticPaths(q *gojq.Query) ([]*gojq.Query, bool) {
	if q.Op == gojq.OpComma && len(q.FuncDefs) == 0 {
		left, ok := staticPaths(q.Left)
		right, also := staticPaths(q.Right)
		return append(left, right...), ok && also
	}
	path, ok := staticPath(q)
	if !ok {
		return nil, false
	}
	return []*gojq.Query{arrayQuery(path)}, true
}

func stringQuery(s string) *gojq.Query {
	return asQuery(&gojq.Term{Type: gojq.TermTypeString, Str: &gojq.String{Str: s}})
}

func arrayQuery(elements []*gojq.Query) *gojq.Query {
	array := &gojq.Array{}
	for _, e := range elements {
		if array.Query == nil {
			array.Query = e
		} else {
			array.Query = &gojq.Query{Left: array.Query, Op: gojq.OpComma, Right: e}
		}
	}
	return asQuery(&gojq.Term{Type: gojq.TermTypeArray, Array: array})
}
