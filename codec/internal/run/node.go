package run

import "github.com/sluice-proxy/sluice/codec/plan"

// Node is a place of the plan as it is in the payload, or as the run has left
// it. Nodes are a tree in one slice and stand for each other by their numbers;
// node 0 is the message itself, and so nobody's child or neighbour.
type Node[S any] struct {
	Place                     int32 // of the plan, or None: an element that only is there
	Parent, First, Last, Next int32 // 0: there is no child, or no neighbour
	Val                       int32 // in Vals, if State is Set
	Count                     int32 // of an Array: its elements, if something in it is looked at

	// Kind is what stands in the payload: Null if nothing does. A format may
	// have any other but Array and Object for what no place can be in.
	Kind    Kind
	State   State
	There   bool // in the payload
	Touched bool // it, or something in it, was written to
	Alone   bool // of its members only those that are Set stay

	Spot S // what the format keeps of it
}

// None is no node, and no place.
const None = -1

// State is what a run has done to a node itself.
type State uint8

// The states.
const (
	Kept State = iota
	Set        // to a Val
	Made       // an object where there was null or nothing
	Gone
)

// Add makes a node for place below parent, or one more with no place.
func (m *Machine[S]) Add(place, parent int32) int32 {
	at := int32(len(m.Nodes))
	m.Nodes = append(m.Nodes, Node[S]{Place: place, Parent: parent})
	p := &m.Nodes[parent]
	if p.First == 0 {
		p.First = at
	} else {
		m.Nodes[p.Last].Next = at
	}
	p.Last = at
	if at >= maxNodes {
		m.Doubt()
	}
	return at
}

// Child returns the node of place below parent, there or not, or None.
func (m *Machine[S]) Child(parent int32, place int) int32 {
	for c := m.Nodes[parent].First; c != 0; c = m.Nodes[c].Next {
		if m.Nodes[c].Place == int32(place) {
			return c
		}
	}
	return None
}

// IsThere reports whether something is in node at by now.
func (m *Machine[S]) IsThere(at int32) bool {
	n := &m.Nodes[at]
	return n.State != Gone && (n.State != Kept || n.There)
}

// LooksInto reports whether elements of an array in place matter.
func (m *Machine[S]) LooksInto(place int32) bool {
	p := &m.Plan.Places[place]
	return len(p.Children) > 0 || p.Members || p.Counted
}

// find returns the node of place below node from, or None if nothing is there.
func (m *Machine[S]) find(place int, from int32) int32 {
	if int32(place) == m.Nodes[from].Place {
		return from
	}
	if place == 0 { // no place below from
		m.Doubt()
		return None
	}
	p := &m.Plan.Places[place]
	parent := m.find(p.Parent, from)
	if parent == None {
		return None
	}
	switch n := &m.Nodes[parent]; {
	case n.State == Gone, n.State == Kept && n.Kind == Null:
		return None
	case n.holds(p.Kind):
	default:
		m.Doubt()
		return None
	}
	if child := m.Child(parent, place); child != None && m.IsThere(child) {
		return child
	}
	return None
}

// holds reports whether there may be places of the kind in n as it is now.
func (n *Node[S]) holds(kind plan.PlaceKind) bool {
	switch kind {
	case plan.Member:
		return n.State == Made || n.State == Kept && n.Kind == Object
	case plan.Element:
		return n.State == Kept && n.Kind == Array
	}
	return false
}

// ensure returns the node of place below node from. Where nothing or null is on
// the way, objects are made. It is None if the run is in doubt.
func (m *Machine[S]) ensure(place int, from int32) int32 {
	if int32(place) == m.Nodes[from].Place {
		return from
	}
	if place == 0 {
		m.Doubt()
		return None
	}
	p := &m.Plan.Places[place]
	parent := m.ensure(p.Parent, from)
	if parent == None {
		return None
	}
	n := &m.Nodes[parent]
	if n.State == Kept && n.Kind == Null && p.Kind == plan.Member {
		n.State = Made
		m.touch(parent)
	}
	child := int32(None)
	if n.holds(p.Kind) {
		child = m.member(place, parent)
	}
	if child == None {
		m.Doubt()
	}
	return child
}

// member returns the node of place in parent, made if that is an object.
func (m *Machine[S]) member(place int, parent int32) int32 {
	child := m.Child(parent, place)
	if child == None && m.Plan.Places[place].Kind == plan.Member { // an array would grow
		child = m.format.Grow(place, parent)
	}
	return child
}

// touch says that node at was written to.
func (m *Machine[S]) touch(at int32) {
	for at != None && !m.Nodes[at].Touched {
		m.Nodes[at].Touched = true
		at = m.Nodes[at].Parent
	}
}

// elements returns the first node of every below node at, or 0 if there is none.
func (m *Machine[S]) elements(every int, at int32, lists bool) int32 {
	p := &m.Plan.Places[every]
	if in := m.find(p.Parent, at); in != None {
		switch n := &m.Nodes[in]; {
		case n.State != Kept:
			m.Doubt()
			return 0
		case n.Kind == Array, n.Kind == Object && !lists:
			return n.First
		}
	}
	if !p.Lenient || lists {
		m.Doubt()
	}
	return 0
}

// loopTo returns the first Every on the way from a place to one below it.
func (m *Machine[S]) loopTo(place int, from int32) int {
	loop := None
	for int32(place) != from && place != 0 {
		p := &m.Plan.Places[place]
		if p.Kind == plan.Every {
			loop = place
		}
		place = p.Parent
	}
	return loop
}
