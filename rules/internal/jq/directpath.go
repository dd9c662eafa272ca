package jq

import (
	"maps"
	"slices"

	"github.com/itchyny/gojq"
)

// maxDirectIndex is the highest index of a path that may make an array longer.
const maxDirectIndex = 1000

// step is a part of a path.
type step struct {
	kind     stepKind
	optional bool // a value of the wrong type has no such path

	name string // of a member
	at   int    // of an element
	slot int    // of a key that is known once the path's start is
	f    filter
}

type stepKind uint8

const (
	stepMember  stepKind = iota
	stepElement          // of the index at
	stepEach             // .[]
	stepKey              // of what f makes of the start of its path
	stepOf               // .[key]
	stepIf               // only if f is true
	stepGuard            // f pays
)

// editor is what becomes of the value at a path: a new value, or gone.
type editor func(m *machine, v any) (any, error)

// untouched stands for what an edit leaves as it is.
type untouched struct{}

// edit returns v with each value that the path leads to edited once. Only one
// path at a time leads to a value, so that what an edit makes changes no other
// path, and copies are made once.
func (m *machine) edit(path []step, v any, e editor) (any, error) {
	if len(path) == 0 {
		return e(m, v)
	}
	s := &path[0]
	switch s.kind {
	case stepMember:
		return m.editMember(s, path[1:], v, s.name, e)
	case stepElement:
		return m.editElement(s, path[1:], v, s.at, e)
	case stepEach:
		return m.editEach(s, path[1:], v, e)
	case stepOf:
		switch key := m.slots[s.slot].(type) {
		case string:
			return m.editMember(s, path[1:], v, key, e)
		case int:
			return m.editElement(s, path[1:], v, key, e)
		default:
			return nil, &failure{what: "expected a string or a number for a path but got", v: key, valued: true}
		}
	}
	x, err := s.f.one(m, v)
	switch {
	case err != nil:
		return nil, err
	case s.kind == stepIf && (isNothing(x) || !truth(x)):
		return untouched{}, nil
	case s.kind == stepKey:
		m.slots[s.slot] = x
	}
	return m.edit(path[1:], v, e)
}

func (m *machine) editMember(s *step, path []step, v any, key string, e editor) (any, error) {
	o, ok := v.(map[string]any)
	if !ok && v != nil {
		return s.wrong("expected an object but got", v)
	}
	old, has := o[key]
	x, err := m.edit(path, old, e)
	if err != nil {
		return nil, err
	}
	switch x.(type) {
	case untouched:
		return x, nil
	case gone:
		if !has {
			return untouched{}, nil
		}
	}
	if err := m.charge(objectCost(len(o)+1) + 3); err != nil {
		return nil, err
	}
	out := maps.Clone(o)
	if out == nil {
		out = make(map[string]any, 1)
	}
	if x == (gone{}) {
		delete(out, key)
	} else {
		out[key] = x
	}
	return out, nil
}

func (s *step) wrong(what string, v any) (any, error) {
	if s.optional {
		return untouched{}, nil
	}
	return nil, &failure{what: what, v: v, valued: true}
}

func (m *machine) editElement(s *step, path []step, v any, i int, e editor) (any, error) {
	list, ok := v.([]any)
	if !ok && v != nil {
		return s.wrong("expected an array but got", v)
	}
	if i < 0 {
		i += len(list)
	}
	var old any
	if i >= 0 && i < len(list) {
		old = list[i]
	}
	x, err := m.edit(path, old, e)
	if err != nil || x == (untouched{}) {
		return x, err
	}
	if x == (gone{}) {
		if i < 0 || i >= len(list) {
			return untouched{}, nil
		}
		if err := m.charge(len(list) + 3); err != nil {
			return nil, err
		}
		return slices.Concat(list[:i], list[i+1:]), nil
	}
	if i < 0 {
		return nil, &failure{what: "array index should not be negative"}
	}
	n := max(len(list), i+1)
	if err := m.charge(n + 3); err != nil {
		return nil, err
	}
	out := make([]any, n)
	copy(out, list)
	out[i] = x
	return out, nil
}

func (m *machine) editEach(s *step, path []step, v any, e editor) (any, error) {
	switch v := v.(type) {
	case []any:
		return m.editElements(path, v, e)
	case map[string]any:
		keys, err := m.keysOf(v)
		if err != nil {
			return nil, err
		}
		var out map[string]any
		for _, k := range keys {
			x, err := m.edit(path, v[k], e)
			if err != nil {
				return nil, err
			}
			if x == (untouched{}) {
				continue
			}
			if out == nil {
				if err := m.charge(objectCost(len(v))); err != nil {
					return nil, err
				}
				out = maps.Clone(v)
			}
			if x == (gone{}) {
				delete(out, k)
			} else {
				out[k] = x
			}
		}
		if out == nil {
			return untouched{}, nil
		}
		return out, nil
	}
	return s.wrong("cannot iterate over", v)
}

func (m *machine) editElements(path []step, list []any, e editor) (any, error) {
	if err := m.charge(len(list) + 1); err != nil {
		return nil, err
	}
	var out []any
	lost := false
	for i, old := range list {
		if err := m.take(6); err != nil {
			return nil, err
		}
		x, err := m.edit(path, old, e)
		if err != nil {
			return nil, err
		}
		switch x.(type) {
		case untouched:
			continue
		case gone:
			lost = true
		}
		if out == nil {
			out = slices.Clone(list)
		}
		out[i] = x
	}
	switch {
	case out == nil:
		return untouched{}, nil
	case !lost:
		return out, nil
	}
	return slices.DeleteFunc(out, func(x any) bool { return x == (gone{}) }), nil
}

// edited is v with the edits of the paths, one path after the other.
func (m *machine) edited(paths [][]step, v any, e editor) (any, error) {
	for _, path := range paths {
		x, err := m.edit(path, v, e)
		switch {
		case err != nil:
			return nil, err
		case x == (gone{}):
			v = nil
		case x != (untouched{}):
			v = x
		}
	}
	return v, nil
}

// modify is p |= f.
func (d *director) modify(p, f *gojq.Query, scope *known) filter {
	paths, ok := d.paths(p, scope)
	by := d.query(f, scope)
	if !ok {
		return d.not()
	}
	first := by.first()
	e := editor(func(m *machine, v any) (any, error) {
		x, err := first(m, v)
		if err == nil && isNothing(x) {
			return gone{}, nil
		}
		return x, err
	})
	return filter{one: func(m *machine, v any) (any, error) { return m.edited(paths, v, e) }}
}

// assign is p = f.
func (d *director) assign(p, f *gojq.Query, scope *known) filter {
	paths, ok := d.paths(p, scope)
	if !ok {
		return d.not()
	}
	return assignFilter(paths, d.query(f, scope))
}

func assignFilter(paths [][]step, by filter) filter {
	put := func(m *machine, v, x any) (any, error) {
		return m.edited(paths, v, func(*machine, any) (any, error) { return x, nil })
	}
	if by.one != nil {
		return filter{sparse: by.sparse, one: func(m *machine, v any) (any, error) {
			x, err := by.one(m, v)
			if err != nil || by.sparse && isNothing(x) {
				return x, err
			}
			return put(m, v, x)
		}}
	}
	return filter{stream: func(m *machine, v any, yield func(any) error) error {
		return by.stream(m, v, func(x any) error {
			out, err := put(m, v, x)
			if err != nil {
				return err
			}
			return yield(out)
		})
	}}
}

// deletes is delpaths of what makes the list of paths.
func (d *director) deletes(list *gojq.Query, scope *known) (filter, bool) {
	if list.Term == nil || list.Term.Type != gojq.TermTypeArray || list.Term.Array.Query == nil || len(list.Term.SuffixList) > 0 {
		return filter{}, false
	}
	q := list.Term.Array.Query
	if q.Op == gojq.OpPipe && len(q.Patterns) == 0 && isCall(q.Right, hash+"path") { // which only pays for them
		q = q.Left
	}
	var paths [][]step
	var ok bool
	if q.Term != nil && q.Term.Type == gojq.TermTypeFunc && q.Term.Func.Name == "path" && len(q.Term.SuffixList) == 0 {
		paths, ok = d.paths(q.Term.Func.Args[0], scope)
	} else {
		paths, ok = d.fixedPaths(q)
	}
	if !ok {
		return filter{}, false
	}
	e := editor(func(*machine, any) (any, error) { return gone{}, nil })
	return filter{one: func(m *machine, v any) (any, error) { return m.edited(paths, v, e) }}, true
}
