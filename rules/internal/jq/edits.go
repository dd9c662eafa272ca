package jq

import (
	"maps"
	"math"
	"reflect"
	"slices"
)

// nativeSetpath is setpath(path; value).
func nativeSetpath(m *machine, v any, args []any) any {
	return m.set(v, args[0], args[1], &owner{})
}

// nativeSet is setpath by an owner.
func nativeSet(m *machine, v any, args []any) any {
	return m.set(v, args[1], args[2], args[0].(*owner))
}

func (m *machine) set(v, at, value any, o *owner) any {
	path, ok := at.([]any)
	if !ok {
		return failType("setpath", at)
	}
	if len(path) > maxDepth {
		return &failure{what: "nested too deeply"}
	}
	out, err := m.update(v, path, value, o)
	if err != nil {
		return err
	}
	return out
}

// nativeGet is getpath by an owner, who forgets what it shows.
func nativeGet(m *machine, v any, args []any) any {
	o, path := args[0].(*owner), args[1].([]any)
	if err := m.charge(len(path)); err != nil {
		return err
	}
	shows := false
	for _, key := range path {
		var err error
		if v, err = m.at(v, key); err != nil {
			return err
		}
		if _, slice := key.(map[string]any); slice {
			shows = true // of an owned array, under another address
		}
	}
	switch v.(type) {
	case []any, map[string]any:
		if shows || o.owns(v) {
			o.owned = nil
		}
	}
	return v
}

// at returns what key is in v.
func (m *machine) at(v, key any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch key := key.(type) {
	case string:
		if o, ok := v.(map[string]any); ok {
			return o[key], nil
		}
		return nil, &failure{what: "expected an object but got", v: v, valued: true}
	case map[string]any:
		if list, ok := v.([]any); ok {
			from, to, err := m.bounds(key, len(list))
			if err != nil {
				return nil, err
			}
			return list[from:to], nil
		}
	default:
		if i, ok := asInt(key); ok {
			if list, ok := v.([]any); ok {
				if i < 0 {
					i += len(list)
				}
				if i < 0 || i >= len(list) {
					return nil, nil
				}
				return list[i], nil
			}
		}
	}
	return nil, &failure{what: "expected an array but got", v: v, valued: true}
}

// bounds returns the slice of an array of length n that key is.
func (m *machine) bounds(key map[string]any, n int) (from, to int, err error) {
	start, ok := key["start"]
	end, also := key["end"]
	if !ok || !also {
		return 0, 0, &failure{what: `expected "start" and "end" for slicing`}
	}
	to = n
	if start != nil {
		if from, ok = m.bound(start, math.Floor); !ok {
			return 0, 0, &failure{what: "expected a number for slicing an array but got", v: start, valued: true}
		}
		from = clamp(from, 0, n)
	}
	if end != nil {
		if to, ok = m.bound(end, ceiling); !ok {
			return 0, 0, &failure{what: "expected a number for slicing an array but got", v: end, valued: true}
		}
		to = clamp(to, from, n)
	}
	return from, to, nil
}

// ceiling is that of a slice's end: what lies just below zero is the end itself.
func ceiling(f float64) float64 {
	if f > -1 && f < 0 || math.IsNaN(f) {
		return math.MaxFloat64
	}
	return math.Ceil(f)
}

func (m *machine) bound(v any, round func(float64) float64) (int, bool) {
	if m.checkNumber(v) != nil {
		return 0, false
	}
	n, ok := number(v)
	if f, is := n.(float64); is {
		return clampInt(round(f)), true
	}
	if !ok {
		return 0, false
	}
	return asInt(n)
}

// clamp counts a negative i from the end n and keeps it between low and n.
func clamp(i, low, n int) int {
	if i < 0 {
		i += n
	}
	return min(max(i, low), n)
}

// update returns v with value at path. A value that is gone changes nothing
// where there is nothing.
func (m *machine) update(v any, path []any, value any, o *owner) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	if v == (gone{}) {
		return v, nil
	}
	switch key := path[0].(type) {
	case string:
		switch v := v.(type) {
		case nil:
			return m.updateMember(nil, key, path[1:], value, o)
		case map[string]any:
			return m.updateMember(v, key, path[1:], value, o)
		}
		return nil, &failure{what: "expected an object but got", v: v, valued: true}
	case map[string]any:
		switch v := v.(type) {
		case nil:
			return m.updateSlice(nil, key, path[1:], value, o)
		case []any:
			return m.updateSlice(v, key, path[1:], value, o)
		}
	default:
		if err := m.checkNumber(key); err != nil {
			return nil, err
		}
		i, ok := asInt(key)
		if !ok {
			return nil, &failure{what: "expected a string or a number for a path but got", v: key, valued: true}
		}
		switch v := v.(type) {
		case nil:
			return m.updateElement(nil, i, path[1:], value, o)
		case []any:
			return m.updateElement(v, i, path[1:], value, o)
		}
	}
	return nil, &failure{what: "expected an array but got", v: v, valued: true}
}

func (m *machine) updateMember(v map[string]any, key string, path []any, value any, o *owner) (any, error) {
	old, ok := v[key]
	if !ok && value == (gone{}) {
		return orNil(v), nil
	}
	member, err := m.update(old, path, value, o)
	if err != nil {
		return nil, err
	}
	if v != nil && o.owns(v) {
		v[key] = member
		return v, nil
	}
	if err := m.charge(objectCost(len(v)+1) + ownCost); err != nil {
		return nil, err
	}
	out := maps.Clone(v)
	if out == nil {
		out = make(map[string]any, 1)
	}
	out[key] = member
	o.take(out)
	return out, nil
}

func (m *machine) updateElement(v []any, i int, path []any, value any, o *owner) (any, error) {
	if i < 0 {
		i += len(v)
	}
	if (i < 0 || i >= len(v)) && value == (gone{}) {
		return orNil(v), nil
	}
	if i < 0 {
		return nil, &failure{what: "array index should not be negative"}
	}
	var old any
	if i < len(v) {
		old = v[i]
	}
	element, err := m.update(old, path, value, o)
	if err != nil {
		return nil, err
	}
	if cap(v) > 0 && o.owns(v) {
		if i < len(v) {
			v[i] = element
			return v, nil
		}
		if i < cap(v) {
			v = v[:i+1]
			v[i] = element
			return v, nil
		}
	}
	n, room := len(v), len(v)
	if i >= n {
		n = i + 1
		if room = n; cap(v) > 0 && o.owns(v) {
			room += n / 2 // it grows: make appending linear
		}
	}
	if err := m.charge(room + ownCost); err != nil {
		return nil, err
	}
	out := make([]any, n, room)
	copy(out, v)
	out[i] = element
	o.take(out)
	return out, nil
}

func (m *machine) updateSlice(v []any, key map[string]any, path []any, value any, o *owner) (any, error) {
	from, to, err := m.bounds(key, len(v))
	if err != nil {
		return nil, err
	}
	if from == to && value == (gone{}) {
		return orNil(v), nil
	}
	part, err := m.update(v[from:to:to], path, value, o)
	if err != nil {
		return nil, err
	}
	if err := m.charge(len(v) + ownCost); err != nil {
		return nil, err
	}
	var out []any
	switch part := part.(type) {
	case []any:
		if err := m.charge(len(part)); err != nil {
			return nil, err
		}
		out = slices.Concat(v[:from], part, v[to:])
	case gone:
		out = slices.Clone(v)
		for i := from; i < to; i++ {
			out[i] = gone{}
		}
	default:
		return nil, &failure{what: "expected an array but got", v: part, valued: true}
	}
	if out == nil {
		out = []any{}
	}
	if len(out) > 0 {
		o.take(out)
	}
	return out, nil
}

// orNil is v, but nil if it is a nil map or slice.
func orNil(v any) any {
	if reflect.ValueOf(v).IsNil() {
		return nil
	}
	return v
}

// nativeMark remembers a path to delete.
func nativeMark(m *machine, v any, args []any) any {
	o := args[0].(*owner)
	o.removed = append(o.removed, args[1])
	return m.paid(v, 4)
}

// nativeSweep deletes what was marked.
func nativeSweep(m *machine, v any, args []any) any {
	o := args[0].(*owner)
	if len(o.removed) == 0 {
		return v
	}
	return m.remove(v, o.removed, o)
}

func nativeDelpaths(m *machine, v any, args []any) any {
	paths, ok := args[0].([]any)
	if !ok {
		return failType("delpaths", args[0])
	}
	return m.remove(v, paths, &owner{})
}

// remove puts gone in the place of what the paths lead to and then sweeps it
// out, so that no deletion moves what another means. A path stands before
// those that lead on from it.
func (m *machine) remove(v any, paths []any, o *owner) any {
	if len(paths) == 0 {
		return v
	}
	if len(paths) > 1 {
		if err := m.charge(len(paths)); err != nil {
			return err
		}
		paths = slices.Clone(paths)
		slices.SortFunc(paths, func(a, b any) int {
			if !m.pay(2) {
				return 0
			}
			return m.compare(a, b)
		})
		if m.over != nil {
			return m.over
		}
	}
	for _, p := range paths {
		path, ok := p.([]any)
		if !ok {
			return failType("delpaths", p)
		}
		if len(path) > maxDepth {
			return &failure{what: "nested too deeply"}
		}
		var err error
		if v, err = m.update(v, path, gone{}, o); err != nil {
			return err
		}
	}
	out := m.sweep(v, o)
	if m.over != nil {
		return m.over
	}
	return out
}

// sweep takes out what is gone. Only what the owner has made can hold any.
func (m *machine) sweep(v any, o *owner) any {
	switch v := v.(type) {
	case gone:
		return nil
	case map[string]any:
		if !o.owns(v) || !m.pay(len(v)/2+1) {
			return v
		}
		for k, e := range v {
			if e == (gone{}) {
				delete(v, k)
			} else if isContainer(e) {
				v[k] = m.sweep(e, o)
			}
		}
		return v
	case []any:
		if len(v) == 0 || !o.owns(v) || !m.pay(len(v)/4+1) {
			return v
		}
		kept := v[:0]
		for _, e := range v {
			if e == (gone{}) {
				continue
			}
			if isContainer(e) {
				e = m.sweep(e, o)
			}
			kept = append(kept, e)
		}
		clear(v[len(kept):])
		return kept
	}
	return v
}

func isContainer(v any) bool {
	switch v.(type) {
	case []any, map[string]any:
		return true
	}
	return false
}
