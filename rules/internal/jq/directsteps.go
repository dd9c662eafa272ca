package jq

import (
	"slices"

	"github.com/itchyny/gojq"
)

// paths returns the paths of q; ok is false if only gojq can follow them. Of
// several each is made of names alone, and none leads on from another, so that
// no edit of one could change another.
func (d *director) paths(q *gojq.Query, scope *known) (paths [][]step, ok bool) {
	if q.Op == gojq.OpComma && len(q.FuncDefs) == 0 {
		left, ok := d.paths(q.Left, scope)
		right, also := d.paths(q.Right, scope)
		paths = append(left, right...)
		return paths, ok && also && apart(paths)
	}
	if t := q.Term; t != nil && t.Type == gojq.TermTypeQuery && len(t.SuffixList) == 0 && len(q.FuncDefs) == 0 {
		return d.paths(t.Query, scope)
	}
	path, ok := d.path(q, scope)
	return [][]step{path}, ok
}

func apart(paths [][]step) bool {
	named := func(s step) bool { return s.kind == stepMember && !s.optional }
	for i, p := range paths {
		if slices.ContainsFunc(p, func(s step) bool { return !named(s) }) {
			return false
		}
		for _, q := range paths[:i] {
			n := min(len(p), len(q))
			if slices.EqualFunc(p[:n], q[:n], func(a, b step) bool { return a.name == b.name }) {
				return false
			}
		}
	}
	return true
}

// fixedPaths are paths that are written as arrays, separated by commas.
func (d *director) fixedPaths(q *gojq.Query) (paths [][]step, ok bool) {
	if q.Op == gojq.OpComma && len(q.FuncDefs) == 0 {
		left, ok := d.fixedPaths(q.Left)
		right, also := d.fixedPaths(q.Right)
		paths = append(left, right...)
		return paths, ok && also && apart(paths)
	}
	return d.fixedPath(q)
}

// fixedPath is a path that is written as an array.
func (d *director) fixedPath(q *gojq.Query) (paths [][]step, ok bool) {
	keys, ok := d.query(q, nil).value.([]any)
	if !ok {
		return nil, false
	}
	path := make([]step, len(keys))
	for i, key := range keys {
		switch key := key.(type) {
		case string:
			path[i] = step{kind: stepMember, name: key}
		case int:
			if path[i] = (step{kind: stepElement, at: key}); key > maxDirectIndex {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return [][]step{path}, true
}

func (d *director) path(q *gojq.Query, scope *known) ([]step, bool) {
	switch {
	case d.failed || len(q.FuncDefs) > 0:
		return nil, false
	case q.Term != nil:
		return d.termPath(q.Term, len(q.Term.SuffixList), scope)
	case q.Op == gojq.OpPipe && len(q.Patterns) == 0:
		left, ok := d.path(q.Left, scope)
		if !ok {
			return nil, false
		}
		right, ok := d.path(q.Right, scope)
		return slices.Concat(left, right), ok
	}
	return nil, false
}

// termPath is the path of t with the first n of its suffixes.
func (d *director) termPath(t *gojq.Term, n int, scope *known) ([]step, bool) {
	if n == 0 {
		return d.barePath(t, scope)
	}
	s := t.SuffixList[n-1]
	if s.Optional {
		path, ok := d.termPath(t, n-1, scope)
		last := len(path) - 1
		if !ok || last < 0 || n == 1 && last > 0 || path[last].kind > stepEach || path[last].optional {
			return nil, false
		}
		path = slices.Clone(path)
		path[last].optional = true
		return path, true
	}
	path, ok := d.termPath(t, n-1, scope)
	if !ok {
		return nil, false
	}
	if s.Iter {
		return append(slices.Clip(path), step{kind: stepEach}), true
	}
	return d.indexPath(path, s.Index, scope)
}

func (d *director) barePath(t *gojq.Term, scope *known) ([]step, bool) {
	switch t.Type {
	case gojq.TermTypeIdentity:
		return []step{}, true
	case gojq.TermTypeIndex:
		return d.indexPath([]step{}, t.Index, scope)
	case gojq.TermTypeQuery:
		return d.path(t.Query, scope)
	case gojq.TermTypeFunc:
		return d.functionPath(t.Func, scope)
	}
	return nil, false
}

// indexPath is path and x behind it. A key that is not known before the run is
// made of what path begins with.
func (d *director) indexPath(path []step, x *gojq.Index, scope *known) ([]step, bool) {
	if key, ok := staticKey(x); ok {
		switch key := d.query(key, nil).value.(type) {
		case string:
			return append(slices.Clip(path), step{kind: stepMember, name: key}), true
		case int:
			return append(slices.Clip(path), step{kind: stepElement, at: key}), key <= maxDirectIndex
		}
		return nil, false
	}
	if x.IsSlice {
		return nil, false
	}
	key := x.Start
	if x.Str != nil {
		key = asQuery(&gojq.Term{Type: gojq.TermTypeString, Str: x.Str})
	}
	f := d.query(key, scope)
	if !f.strict() {
		return nil, false
	}
	d.slots++
	out := []step{{kind: stepKey, slot: d.slots - 1, f: f}}
	return append(append(out, path...), step{kind: stepOf, slot: d.slots - 1}), true
}

func (d *director) functionPath(f *gojq.Func, scope *known) ([]step, bool) {
	if k := scope.lookUp(f.Name, len(f.Args)); k != nil {
		if k.arg == nil {
			return nil, false
		}
		return d.path(k.arg, k.scope)
	}
	switch f.Name {
	case hash + "shown", hash + "new":
		return nil, true
	case hash + "cost", hash + "key":
		return []step{{kind: stepGuard, f: d.native(f.Name, nil)}}, true
	case "first":
		return []step{{kind: stepElement}}, len(f.Args) == 0
	case "last":
		return []step{{kind: stepElement, at: -1}}, len(f.Args) == 0
	case "select":
		c := d.query(f.Args[0], scope)
		return []step{{kind: stepIf, f: c}}, c.one != nil
	}
	if kinds := kindsOf(f.Name); kinds != nil && len(f.Args) == 0 {
		return []step{{kind: stepIf, f: filter{one: isKind(kinds)}}}, true
	}
	return nil, false
}
