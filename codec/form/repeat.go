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

// piece is a pair or a part as it will be.
type piece struct {
	value codec.Value
	index int32 // among the values of its name, or -1 if there is no array
	from  int32 // the entry that it is paired with, or -1
	like  int32 // the entry that it looks like, or -1 for a new name
}

// within puts the path of p, which has name, before that of err.
func (p piece) within(name string, err error) error {
	if p.index >= 0 {
		err = value.Within(value.Index(int(p.index)), err)
	}
	return value.Within(value.Key(name), err)
}

// layout is where everything is after an edit: what stands in the place of each
// entry, and what follows them all.
type layout struct {
	kept  []bool // entries that are as they were
	slots [][]piece
	added []newName
}

type newName struct {
	name   string
	pieces []piece
}

// place lays out what after makes of entries of these names, "" with none true
// being no entry. Values that keep their order stay where they are, with new ones
// behind them; else they take the places of their name one after the other.
func place(names []string, none []bool, before, after map[string]any) layout {
	l := layout{kept: make([]bool, len(names)), slots: make([][]piece, len(names))}
	places := make(map[string][]int32, len(before))
	for i, name := range names {
		if none == nil || !none[i] {
			places[name] = append(places[name], int32(i))
		}
	}
	var pairer value.Pairer
	for name, places := range places {
		v, ok := after[name]
		if !ok {
			continue
		}
		if value.Equal(before[name], v) {
			for _, i := range places {
				l.kept[i] = true
			}
			continue
		}
		was := []any{before[name]}
		if len(places) > 1 {
			was = before[name].([]any)
		}
		is, pieces := pieces(v)
		like := places[0]
		for i, j := range pairer.Pair(was, is) {
			if j >= 0 {
				like = places[j]
				pieces[i].from = like
			}
			pieces[i].like = like
		}
		l.distribute(places, pieces)
	}
	for _, name := range value.NewKeys(before, after) {
		_, pieces := pieces(after[name])
		l.added = append(l.added, newName{name, pieces})
	}
	return l
}

// pieces returns the elements of v, or v alone, and pieces of them that are not
// paired.
func pieces(v codec.Value) ([]any, []piece) {
	values, isArray := v.([]any)
	if !isArray {
		return []any{v}, []piece{{v, -1, -1, -1}}
	}
	pieces := make([]piece, len(values))
	for i, v := range values {
		pieces[i] = piece{v, int32(i), -1, -1}
	}
	return values, pieces
}

// distribute puts pieces, all of one name, in the places of that name.
func (l *layout) distribute(places []int32, pieces []piece) {
	if !inOrder(pieces) {
		last := len(places) - 1
		for i := range min(last, len(pieces)) {
			l.slots[places[i]] = pieces[i : i+1]
		}
		if len(pieces) > last {
			l.slots[places[last]] = pieces[last:]
		}
		return
	}
	for len(pieces) > 0 {
		n, at := 0, places[0]
		for n < len(pieces) && pieces[n].from < 0 {
			n++ // new ones before the first that stays go with it
		}
		if n < len(pieces) {
			at = pieces[n].from
			n++
		}
		for n < len(pieces) && pieces[n].from < 0 {
			n++
		}
		l.slots[at] = pieces[:n]
		pieces = pieces[n:]
	}
}

func inOrder(pieces []piece) bool {
	last := int32(-1)
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
