package plan

import (
	"slices"

	"github.com/itchyny/gojq"
)

// Each returns the program that source runs on each element of an array by
// itself, so that an array of what it yields for each, in order, is what source
// yields. It knows map(f), updates of paths that begin with .[], and del of such
// paths. source has compiled.
func Each(source string) (element string, ok bool) {
	q, err := gojq.Parse(source)
	if err != nil || len(q.FuncDefs) > 0 || len(q.Imports) > 0 || q.Meta != nil {
		return "", false
	}
	e := each(q)
	if e == nil {
		return "", false
	}
	return e.String(), true
}

func each(q *gojq.Query) *gojq.Query {
	switch {
	case len(q.FuncDefs) > 0 || len(q.Patterns) > 0:
		return nil
	case q.Op == gojq.OpPipe:
		left, right := each(q.Left), each(q.Right)
		if left == nil || right == nil {
			return nil
		}
		return &gojq.Query{Left: left, Op: gojq.OpPipe, Right: right}
	case q.Op == gojq.OpModify:
		path := below(q.Left)
		if path == nil || isSelf(path) && !single(q.Right) {
			return nil // what comes of several results, or none, depends on what is around
		}
		return &gojq.Query{Left: path, Op: q.Op, Right: q.Right}
	case q.Op == gojq.OpAssign || q.Op == gojq.OpUpdateAdd || q.Op == gojq.OpUpdateSub || q.Op == gojq.OpUpdateMul ||
		q.Op == gojq.OpUpdateDiv || q.Op == gojq.OpUpdateMod || q.Op == gojq.OpUpdateAlt:
		path := below(q.Left)
		if path == nil || !isConstant(q.Right) && !isVariable(q.Right) { // which would be worked out at the array
			return nil
		}
		return &gojq.Query{Left: path, Op: q.Op, Right: q.Right}
	case q.Term == nil || len(q.Term.SuffixList) > 0:
		return nil
	}
	switch t := q.Term; {
	case t.Type == gojq.TermTypeIdentity:
		return q
	case t.Type == gojq.TermTypeQuery:
		return each(t.Query)
	case t.Type == gojq.TermTypeFunc && t.Func.Name == "map" && len(t.Func.Args) == 1:
		return parenthesized(t.Func.Args[0])
	case t.Type == gojq.TermTypeFunc && t.Func.Name == "del" && len(t.Func.Args) == 1:
		path := t.Func.Args[0]
		if condition := selected(path); condition != nil {
			return drop(condition)
		}
		if path = below(path); path == nil || isSelf(path) {
			return nil
		}
		return term(&gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: "del", Args: []*gojq.Query{path}}})
	}
	return nil
}

// below is q, a path that begins with .[], as seen from an element.
func below(q *gojq.Query) *gojq.Query {
	switch {
	case q.Op == gojq.OpComma:
		left, right := below(q.Left), below(q.Right)
		if left == nil || right == nil || isSelf(left) || isSelf(right) {
			return nil
		}
		return &gojq.Query{Left: left, Op: q.Op, Right: right}
	case q.Term == nil || len(q.FuncDefs) > 0:
		return nil
	case q.Term.Type == gojq.TermTypeQuery && len(q.Term.SuffixList) == 0:
		return below(q.Term.Query)
	case q.Term.Type != gojq.TermTypeIdentity || len(q.Term.SuffixList) == 0 || !q.Term.SuffixList[0].Iter:
		return nil
	}
	rest := q.Term.SuffixList[1:]
	for _, s := range rest { // an index that is worked out is so at the array
		if i := s.Index; i != nil && (i.Start != nil && !isConstant(i.Start) || i.End != nil && !isConstant(i.End) || i.Str != nil && i.Str.Queries != nil) {
			return nil
		}
	}
	if len(rest) > 0 && rest[0].Index != nil && rest[0].Index.Name != "" { // .x, not . and then .x
		return term(&gojq.Term{Type: gojq.TermTypeIndex, Index: rest[0].Index, SuffixList: rest[1:]})
	}
	return term(&gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: rest})
}

// selected is the condition of .[] | select(condition), nil if q is something
// else.
func selected(q *gojq.Query) *gojq.Query {
	if q.Op != gojq.OpPipe || len(q.FuncDefs) > 0 || len(q.Patterns) > 0 || q.Right.Term == nil || q.Right.Term.Type != gojq.TermTypeFunc || len(q.Right.Term.SuffixList) > 0 {
		return nil
	}
	if path := below(q.Left); path == nil || !isSelf(path) {
		return nil
	}
	if f := q.Right.Term.Func; f.Name == "select" && len(f.Args) == 1 && single(f.Args[0]) {
		return f.Args[0]
	}
	return nil
}

func drop(condition *gojq.Query) *gojq.Query {
	not := &gojq.Query{Left: parenthesized(condition), Op: gojq.OpPipe, Right: term(&gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: "not"}})}
	return term(&gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: "select", Args: []*gojq.Query{not}}})
}

func term(t *gojq.Term) *gojq.Query { return &gojq.Query{Term: t} }

func parenthesized(q *gojq.Query) *gojq.Query {
	return term(&gojq.Term{Type: gojq.TermTypeQuery, Query: q})
}

func isSelf(q *gojq.Query) bool {
	return q.Term != nil && q.Term.Type == gojq.TermTypeIdentity && len(q.Term.SuffixList) == 0
}

func isVariable(q *gojq.Query) bool {
	if q.Term == nil || q.Term.Type != gojq.TermTypeFunc || len(q.FuncDefs) > 0 || q.Term.Func.Name[0] != '$' {
		return false
	}
	for _, s := range q.Term.SuffixList {
		if s.Index == nil || s.Index.Start != nil && !isConstant(s.Index.Start) || s.Index.IsSlice {
			return false
		}
	}
	return true
}

// singles are the functions that yield one result if their arguments do, or fail.
var singles = []string{
	"ascii_downcase", "ascii_upcase", "ceil", "contains", "del", "endswith", "floor", "fromjson", "has", "join", "keys", "length", "ltrimstr",
	"map", "map_values", "not", "round", "rtrimstr", "split", "sqrt", "startswith", "test", "to_entries", "tojson", "tonumber", "tostring", "trim", "type",
}

// single reports whether q surely yields one result, or fails.
func single(q *gojq.Query) bool {
	switch {
	case len(q.FuncDefs) > 0 || len(q.Patterns) > 0 || q.Op == gojq.OpComma:
		return false
	case q.Op >= gojq.OpAssign:
		return single(q.Right)
	case q.Op != 0:
		return single(q.Left) && single(q.Right)
	case q.Term == nil:
		return false
	}
	t := q.Term
	for _, s := range t.SuffixList {
		if s.Iter || s.Index != nil && (s.Index.Start != nil && !single(s.Index.Start) || s.Index.End != nil && !single(s.Index.End)) {
			return false
		}
	}
	switch t.Type {
	case gojq.TermTypeIdentity, gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse, gojq.TermTypeNumber, gojq.TermTypeArray:
		return true
	case gojq.TermTypeIndex:
		return t.Index.Start == nil && t.Index.End == nil
	case gojq.TermTypeString:
		return t.Str.Queries == nil
	case gojq.TermTypeQuery:
		return single(t.Query)
	case gojq.TermTypeUnary:
		return single(term(t.Unary.Term))
	case gojq.TermTypeIf:
		branches := []*gojq.Query{t.If.Cond, t.If.Then}
		for _, e := range t.If.Elif {
			branches = append(branches, e.Cond, e.Then)
		}
		if t.If.Else != nil {
			branches = append(branches, t.If.Else)
		}
		return !slices.ContainsFunc(branches, func(b *gojq.Query) bool { return !single(b) })
	case gojq.TermTypeFunc:
		if t.Func.Name[0] == '$' {
			return true
		}
		if t.Func.Name == "del" || t.Func.Name == "map" || t.Func.Name == "map_values" { // whatever their argument yields
			return len(t.Func.Args) == 1
		}
		return slices.Contains(singles, t.Func.Name) && !slices.ContainsFunc(t.Func.Args, func(a *gojq.Query) bool { return !single(a) })
	}
	return false
}
