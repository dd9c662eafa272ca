package jq

import "github.com/itchyny/gojq"

// iterate is .[].
func iterate() filter { return eachFilter(identityFilter().one, identityFilter().one, false) }

// eachFilter makes for each element of what source makes the result of each.
func eachFilter(source, each one, sparse bool) filter {
	return filter{
		source: source, each: each, sparseEach: sparse,
		stream: func(m *machine, v any, yield func(any) error) error {
			v, err := source(m, v)
			if err != nil {
				return err
			}
			return m.elementsOf(v, func(e any) error {
				x, err := each(m, e)
				if err != nil || sparse && isNothing(x) {
					return err
				}
				return yield(x)
			})
		},
	}
}

// elementsOf calls yield with each element of an array, or each value of an
// object in the order of its keys.
func (m *machine) elementsOf(v any, yield func(any) error) error {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := m.take(3); err != nil {
				return err
			}
			if err := yield(e); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		keys, err := m.keysOf(v)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := yield(v[k]); err != nil {
				return err
			}
		}
		return nil
	}
	return &gojqError{"cannot iterate over", v}
}

// keysOf returns the keys of o in order, and pays for looking at them all.
func (m *machine) keysOf(o map[string]any) ([]string, error) {
	if err := m.charge(sortCost(len(o))); err != nil {
		return nil, err
	}
	return sortedKeys(o), nil
}

// collect is [f].
func collect(f filter) filter {
	switch {
	case f.constant:
		return constantFilter([]any{f.value})
	case f.strict():
		return filter{one: func(m *machine, v any) (any, error) {
			x, err := f.one(m, v)
			if err != nil {
				return nil, err
			}
			return []any{x}, m.take(4)
		}}
	case f.each != nil:
		return filter{one: func(m *machine, v any) (any, error) {
			from, err := f.source(m, v)
			if err != nil {
				return nil, err
			}
			list, ok := from.([]any)
			if !ok {
				list = nil
			}
			out := make([]any, 0, len(list))
			err = m.elementsOf(from, func(e any) error {
				x, err := f.each(m, e)
				if err != nil || f.sparseEach && isNothing(x) {
					return err
				}
				out = append(out, x)
				return m.take(4)
			})
			return out, err
		}}
	}
	return filter{one: func(m *machine, v any) (any, error) {
		out := []any{}
		err := f.run(m, v, func(x any) error {
			out = append(out, x)
			return m.take(4)
		})
		return out, err
	}}
}

// recurse is .., as deep as values may be.
func (m *machine) recurse(v any, depth int, yield func(any) error) error {
	if m.deep(depth) {
		return m.over
	}
	if err := m.take(6); err != nil {
		return err
	}
	if err := yield(v); err != nil {
		return err
	}
	if !isContainer(v) {
		return nil
	}
	return m.elementsOf(v, func(e any) error { return m.recurse(e, depth+1, yield) })
}

// rebuilt is walk(f).
func (m *machine) rebuilt(f one, v any, depth int) (any, error) {
	if m.deep(depth) {
		return nil, m.over
	}
	if err := m.take(8); err != nil {
		return nil, err
	}
	switch o := v.(type) {
	case []any:
		if err := m.charge(len(o)); err != nil {
			return nil, err
		}
		out := make([]any, len(o))
		for i, e := range o {
			x, err := m.rebuilt(f, e, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = x
		}
		v = out
	case map[string]any:
		keys, err := m.keysOf(o)
		if err != nil {
			return nil, err
		}
		if err := m.charge(objectCost(len(o))); err != nil {
			return nil, err
		}
		out := make(map[string]any, len(o))
		for _, k := range keys {
			if out[k], err = m.rebuilt(f, o[k], depth+1); err != nil {
				return nil, err
			}
		}
		v = out
	}
	return f(m, v)
}

// entries is to_entries.
func entries(m *machine, v any) (any, error) {
	switch v := v.(type) {
	case []any:
		if err := m.charge(16 * len(v)); err != nil {
			return nil, err
		}
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = map[string]any{"key": i, "value": e}
		}
		return out, nil
	case map[string]any:
		keys, err := m.keysOf(v)
		if err != nil {
			return nil, err
		}
		if err := m.charge(16 * len(v)); err != nil {
			return nil, err
		}
		out := make([]any, len(keys))
		for i, k := range keys {
			out[i] = map[string]any{"key": k, "value": v[k]}
		}
		return out, nil
	}
	return nil, &gojqError{"keys cannot be applied to", v}
}

// fromEntries is from_entries.
func fromEntries(m *machine, v any) (any, error) {
	out := make(map[string]any)
	err := m.elementsOf(v, func(e any) error {
		if err := m.take(16); err != nil {
			return err
		}
		entry, ok := e.(map[string]any)
		if !ok && e != nil {
			return &gojqError{"expected an object but got", e}
		}
		var key any
		for _, name := range [...]string{"key", "Key", "name", "Name"} {
			if key = entry[name]; truth(key) {
				break
			}
		}
		k, ok := key.(string)
		if !ok {
			return &gojqError{"expected a string for object key but got", key}
		}
		value, ok := entry["value"]
		if !ok {
			value = entry["Value"]
		}
		out[k] = value
		return nil
	})
	return out, err
}

// member is one of an object that a program makes.
type member struct {
	key   string // if name is nil
	name  one
	value one
}

func (d *director) object(o *gojq.Object, scope *known) filter {
	members := make([]member, len(o.KeyVals))
	sparse, named := false, false
	for i, kv := range o.KeyVals {
		name, value := constantFilter(kv.Key), filter{}
		switch {
		case kv.KeyString != nil:
			name = d.text(kv.KeyString, scope)
		case kv.KeyQuery != nil:
			name = d.query(kv.KeyQuery, scope)
		}
		key, constant := name.value.(string)
		switch {
		case kv.Val != nil:
			value = d.query(kv.Val, scope)
		case constant:
			value = filter{one: memberOf(key)}
		}
		if value.one == nil || !name.strict() {
			return d.not() // in which order?
		}
		members[i] = member{key: key, value: value.one}
		if !constant {
			members[i].name, named = name.one, true
		}
		sparse = sparse || value.sparse
	}
	if sparse && named {
		return d.not() // a wrong key is an error only if there is an object
	}
	return filter{sparse: sparse, one: func(m *machine, v any) (any, error) {
		if err := m.take(int64(2 + len(members) + objectCost(len(members)))); err != nil {
			return nil, err
		}
		out := make(map[string]any, len(members))
		for i := range members {
			key := members[i].key
			if name := members[i].name; name != nil {
				k, err := name(m, v)
				if err != nil {
					return nil, err
				}
				s, ok := k.(string)
				if !ok {
					return nil, &gojqError{"expected a string for object key but got", k}
				}
				key = s
			}
			x, err := members[i].value(m, v)
			if err != nil {
				return nil, err
			}
			if sparse && isNothing(x) {
				return x, nil
			}
			out[key] = x
		}
		return out, nil
	}}
}
