package protobuf

import "github.com/sluice-proxy/sluice/codec/plan"

// bound is a plan on a message type. It is immutable once made.
type bound struct {
	message *message
	places  []boundPlace
	refused bool // there is something in it that a run on the wire cannot do
}

// boundPlace is a place of the plan by the descriptor.
type boundPlace struct {
	field    *field   // nil: the root, and what the message has no field for
	message  *message // the type of what is in the place, if its fields are looked at
	children []int32  // the places of those fields, or of the elements
	low      [32]int8 // of each of the usual numbers which child it is, or none
	keys     []string // of a map, those of the children
}

// maxSteps is how deep a place may be.
const maxSteps = 48

func bind(p *plan.Plan, m *message) *bound {
	b := &bound{message: m, places: make([]boundPlace, len(p.Places))}
	if m.special != nil {
		b.refused = true
		return b
	}
	b.refused = !b.bind(p, 0, m, nil, false, 0)
	return b
}

// bind binds place at and those below it, which hold f, an element of f, or m.
func (b *bound) bind(p *plan.Plan, at int, m *message, f *field, element bool, depth int) bool {
	place, to := &p.Places[at], &b.places[at]
	to.field = f
	for i := range to.low {
		to.low[i] = none
	}
	switch {
	case depth > maxSteps || f != nil && f.null:
		return false
	case at > 0 && f == nil: // there is no such field, and nothing below it
		for _, c := range place.Children {
			if !b.bind(p, c, nil, nil, false, depth+1) {
				return false
			}
		}
		return true
	case f != nil && f.key != nil && !element:
		return b.bindMap(p, at)
	case f != nil && f.list && !element:
		return b.bindList(p, at, depth)
	case len(place.Children) == 0:
		return true
	case m == nil || m.special != nil || len(place.Children) > 100:
		return false
	}
	to.message = m
	for i, c := range place.Children {
		child := &p.Places[c]
		if child.Kind != plan.Member {
			return false
		}
		f := m.byName[child.Key]
		var of *message
		if f != nil {
			of = f.message
			if int(f.number) < len(to.low) {
				to.low[f.number] = int8(i)
			}
		}
		if !b.bind(p, c, of, f, false, depth+1) {
			return false
		}
		to.children = append(to.children, int32(c))
	}
	return true
}

// bindMap binds entries by their keys, if they are scalars.
func (b *bound) bindMap(p *plan.Plan, at int) bool {
	place, to := &p.Places[at], &b.places[at]
	f := to.field
	if place.Counted || len(place.Children) > 0 && (f.val.message != nil || f.val.null) {
		return false
	}
	for _, c := range place.Children {
		if child := &p.Places[c]; child.Kind != plan.Member || len(child.Children) > 0 {
			return false
		}
		b.places[c].field = f.val
		to.keys = append(to.keys, p.Places[c].Key)
		to.children = append(to.children, int32(c))
	}
	return true
}

func (b *bound) bindList(p *plan.Plan, at, depth int) bool {
	place, to := &p.Places[at], &b.places[at]
	f := to.field
	if f.message != nil && f.message.special != nil && (len(place.Children) > 0 || place.Members) {
		return false // equal ones have no identity
	}
	for _, c := range place.Children {
		if p.Places[c].Kind == plan.Member || !b.bind(p, c, f.message, f, true, depth+1) {
			return false
		}
		to.children = append(to.children, int32(c))
	}
	return true
}

// child returns which child of place at the field f is, or none.
func (b *bound) child(at int32, f *field) int32 {
	place := &b.places[at]
	if int(f.number) < len(place.low) {
		return int32(place.low[f.number])
	}
	for i, c := range place.children {
		if b.places[c].field == f {
			return int32(i)
		}
	}
	return none
}
