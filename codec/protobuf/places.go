package protobuf

import "github.com/sluice-proxy/sluice/codec/plan"

// spot is a place of the plan as it is on the wire, or as the run has left it.
// Nodes are a tree in one slice. The children of a message are one behind the
// other, by the order of its place's children, those of a list or a map are a
// chain; offsets are in bytes of the message, and none is what is not there.
type spot struct {
	place             int32 // of the plan, or none: a record that only is there
	parent            int32
	first, last, next int32 // no child is node 0

	start, value, end int32 // the record: its tag, what is behind the tag, its end
	body, bodyEnd     int32 // the fields of a message
	entries, record   int32 // of a map: the nodes of its keys, one behind the other; of one of those: its record's
	count             int32 // of a list: its elements
	val               int32 // in vals, if state is isSet
	from, to          int32 // where a touched element was written

	field   *field
	once    uint64 // of a message: what it has of field.once
	state   state
	there   bool // it was, on the wire or as what has no presence
	touched bool // it, or something in it, was written to
	element bool // of a list, or an entry of a map
	packed  bool
	inMap   bool // it is of a key in a map
}

type state uint8

const (
	isKept state = iota
	isSet
	isMade // a message where there was none
	isGone
)

// children returns the nodes of the fields of the message of node at.
func (r *Runner) children(at int32) []spot {
	n := &r.nodes[at]
	if n.first == 0 || n.place == none || r.bound.places[n.place].message == nil {
		return nil
	}
	return r.nodes[n.first : int(n.first)+len(r.bound.places[n.place].children)]
}

// find returns the node of place below node from, or none if nothing is there.
func (r *Runner) find(place int, from int32) int32 {
	if int32(place) == r.nodes[from].place {
		return from
	}
	if place == 0 { // no place below from
		r.doubt()
		return none
	}
	parent := r.find(r.plan.Places[place].Parent, from)
	if parent == none {
		return none
	}
	switch n := &r.nodes[parent]; {
	case n.state == isGone, n.state == isKept && !n.there:
		return none
	case n.state == isSet:
		r.doubt()
		return none
	}
	if child := r.child(parent, place); child != none && r.isThere(child) {
		return child
	}
	return none
}

// child returns the node of place below parent, there or not, or none.
func (r *Runner) child(parent int32, place int) int32 {
	n := &r.nodes[parent]
	if n.place == none {
		return none
	}
	of := &r.bound.places[n.place]
	if len(of.keys) > 0 && n.entries > 0 {
		for i, c := range of.children {
			if c == int32(place) {
				return n.entries + int32(i)
			}
		}
		return none
	}
	if n.first == 0 {
		return none
	}
	if of.message != nil {
		for i, c := range of.children {
			if c == int32(place) {
				return n.first + int32(i)
			}
		}
		return none
	}
	for c := n.first; c != 0; c = r.nodes[c].next {
		if r.nodes[c].place == int32(place) {
			return c
		}
	}
	return none
}

func (r *Runner) isThere(at int32) bool {
	n := &r.nodes[at]
	return n.state != isGone && (n.state != isKept || n.there)
}

// ensure returns the node of place below node from. Where no message is on the
// way, one is made. It is none if the run is in doubt.
func (r *Runner) ensure(place int, from int32) int32 {
	if int32(place) == r.nodes[from].place {
		return from
	}
	if place == 0 {
		r.doubt()
		return none
	}
	parent := r.ensure(r.plan.Places[place].Parent, from)
	if parent == none {
		return none
	}
	n := &r.nodes[parent]
	of := &r.bound.places[n.place]
	switch {
	case n.state == isMade:
	case n.state != isKept || parent != 0 && n.field == nil:
		r.doubt()
		return none
	case !n.there && of.message != nil && n.field.message == of.message && !n.element:
		n.state = isMade
		r.touch(parent)
		if !r.open(nil, parent) {
			return none
		}
	}
	child := r.child(parent, place)
	if child == none || child != 0 && r.nodes[child].field == nil { // a list would grow; or there is no such field
		r.doubt()
		return none
	}
	return child
}

// touch says that node at was written to.
func (r *Runner) touch(at int32) {
	for at != none && !r.nodes[at].touched {
		r.nodes[at].touched = true
		at = r.nodes[at].parent
	}
}

// elements returns the first node of every below node at, or 0 if there is none.
func (r *Runner) elements(every int, at int32, lists bool) int32 {
	p := &r.plan.Places[every]
	in := r.find(p.Parent, at)
	switch {
	case in == none || !r.isThere(in):
	case r.nodes[in].state != isKept || !r.bound.places[p.Parent].list:
		r.doubt()
		return 0
	default:
		return r.nodes[in].first
	}
	if !p.Lenient || lists {
		r.doubt()
	}
	return 0
}

// loopTo returns the first Every on the way from a place to one below it.
func (r *Runner) loopTo(place int, from int32) int32 {
	loop := int32(none)
	for int32(place) != from && place != 0 {
		p := &r.plan.Places[place]
		if p.Kind == plan.Every {
			loop = int32(place)
		}
		place = p.Parent
	}
	return loop
}
