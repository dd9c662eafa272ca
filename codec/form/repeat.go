package form

import (
	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// repeated gathers the values of names.
type repeated struct {
	index  map[string]int
	names  []string
	values [][]any
}

func (r *repeated) add(name string, v codec.Value) {
	if r.index == nil {
		r.index = make(map[string]int)
	}
	i, ok := r.index[name]
	if !ok {
		i = len(r.names)
		r.index[name] = i
		r.names, r.values = append(r.names, name), append(r.values, nil)
	}
	r.values[i] = append(r.values[i], v)
}

// object is what was gathered, as jq sees it.
func (r *repeated) object() map[string]any {
	o := make(map[string]any, len(r.names))
	for i, name := range r.names {
		if values := r.values[i]; len(values) > 1 {
			o[name] = values
		} else {
			o[name] = values[0]
		}
	}
	return o
}

// entry is a pair or a part as it was.
type entry struct {
	name  string
	value codec.Value
	none  bool // but it is neither
}

// piece is a pair or a part as it will be.
type piece struct {
	name  string
	index int // among the values of name, or -1 if there is no array
	value codec.Value
	from  int // the entry that it is paired with, or -1
	like  int // the entry that it looks like, or -1 for a new name
}

// within puts p's path before that of err.
func (p piece) within(err error) error {
	if p.index >= 0 {
		err = value.Within(value.Index(p.index), err)
	}
	return value.Within(value.Key(p.name), err)
}

// place returns what stands in the place of each entry after an edit, and what
// follows them all. Values that keep their order stay where they are, with new
// ones behind them; else they take the places of their name one after the other.
func place(entries []entry, before, after map[string]any) (slots [][]piece, added []piece) {
	slots = make([][]piece, len(entries))
	places := make(map[string][]int, len(before))
	for i, e := range entries {
		if !e.none {
			places[e.name] = append(places[e.name], i)
		}
	}
	var pairer value.Pairer
	for name, places := range places {
		v, ok := after[name]
		if !ok {
			continue
		}
		was, _ := list(before[name])
		if len(places) == 1 {
			was = []any{before[name]}
		}
		is, isArray := list(v)
		pieces := make([]piece, len(is))
		for i, j := range pairer.Pair(was, is) {
			p := piece{name: name, index: i, value: is[i], from: -1, like: places[0]}
			if !isArray {
				p.index = -1
			}
			if j >= 0 {
				p.from, p.like = places[j], places[j]
			}
			pieces[i] = p
		}
		distribute(slots, places, pieces)
	}
	for _, name := range value.NewKeys(before, after) {
		values, isArray := list(after[name])
		for i, v := range values {
			if !isArray {
				i = -1
			}
			added = append(added, piece{name: name, index: i, value: v, from: -1, like: -1})
		}
	}
	return slots, added
}

// list is v, or an array of v alone.
func list(v codec.Value) (values []any, isArray bool) {
	if values, ok := v.([]any); ok {
		return values, true
	}
	return []any{v}, false
}

func distribute(slots [][]piece, places []int, pieces []piece) {
	if !inOrder(pieces) {
		for i, p := range pieces {
			at := places[min(i, len(places)-1)]
			slots[at] = append(slots[at], p)
		}
		return
	}
	at := places[0]
	for _, p := range pieces { // new ones before the first that stays go with it
		if p.from >= 0 {
			at = p.from
			break
		}
	}
	for _, p := range pieces {
		if p.from >= 0 {
			at = p.from
		}
		slots[at] = append(slots[at], p)
	}
}

func inOrder(pieces []piece) bool {
	last := -1
	for _, p := range pieces {
		if p.from >= 0 {
			if p.from < last {
				return false
			}
			last = p.from
		}
	}
	return true
}
