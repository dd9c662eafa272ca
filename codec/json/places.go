package json

import (
	"bytes"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// spot is a place of the plan as it is in the text, or as the run has left it.
// Nodes are a tree in one slice; all places are in bytes of the text, and none
// is what is not there.
type spot struct {
	place                     int32 // of the plan, or none: an element that only is there
	parent, first, last, next int32 // nodes; no child is node 0

	key, keyEnd int32 // of a member: its name with the quotes
	start, end  int32 // start is none if it is not in the text
	before      int32 // the end of the element or member before it
	behind      int32 // the start of the one behind it
	ordinal     int32

	count int32 // of a container: its elements or members
	item  int32 // where the first begins
	// The last member, and where the white space before it begins.
	lead, lastKey, lastKeyEnd, lastStart, lastEnd int32

	val     int32 // in vals, if state is isSet
	kind    kind  // in the text; isNull if it is not there
	state   state
	touched bool // it, or something in it, was written to
	alone   bool // of its members only those that are set stay
}

const none = -1

type state uint8

const (
	isKept state = iota
	isSet
	isMade // an object where there was null or nothing
	isGone
)

// add makes a node for place below parent.
func (r *Runner) add(place, parent int32) int32 {
	at := int32(len(r.nodes))
	r.nodes = append(r.nodes, spot{place: place, parent: parent, start: none, key: none})
	p := &r.nodes[parent]
	if p.first == 0 {
		p.first = at
	} else {
		r.nodes[p.last].next = at
	}
	p.last = at
	if at >= maxNodes {
		r.doubt()
	}
	return at
}

// value reads the value of node at, which begins at i, up to its end.
func (r *Runner) value(at int32, i, depth int) int {
	if i >= len(r.text) {
		return refused
	}
	n := &r.nodes[at]
	n.start, n.kind = int32(i), kindOf(r.text[i])
	var end int
	switch {
	case n.place == none:
		end = skimValue(r.text, i, depth)
	case n.kind == isObject && len(r.plan.Places[n.place].Children) > 0:
		end = r.object(at, i, depth)
	case n.kind == isArray && r.looksInto(n.place):
		end = r.array(at, i, depth)
	default:
		end = skimValue(r.text, i, depth)
	}
	r.nodes[at].end = int32(end)
	return end
}

func (r *Runner) looksInto(place int32) bool {
	p := &r.plan.Places[place]
	return len(p.Children) > 0 || p.Members || p.Counted
}

// kindOf is the kind of the value that begins with c.
func kindOf(c byte) kind {
	switch c {
	case '{':
		return isObject
	case '[':
		return isArray
	case '"':
		return isString
	case 't':
		return isTrue
	case 'f':
		return isFalse
	case 'n':
		return isNull
	}
	return isNumber
}

func (r *Runner) object(at int32, i, depth int) int {
	if depth == 0 {
		return refused
	}
	text, children := r.text, r.plan.Places[r.nodes[at].place].Children
	i = skimSpace(text, i+1)
	if i < len(text) && text[i] == '}' {
		return i + 1
	}
	item, lead, before, waits := int32(i), r.nodes[at].start+1, int32(none), int32(none)
	for count := int32(0); ; count++ {
		key := i
		if key >= len(text) || text[key] != '"' {
			return refused
		}
		keyEnd := skimString(text, key)
		if keyEnd < 0 {
			return refused
		}
		start := skimColon(text, keyEnd)
		if start < 0 {
			return refused
		}
		if waits != none {
			r.nodes[waits].behind = int32(key)
			waits = none
		}
		var end int
		if place := r.member(at, children, text[key:keyEnd]); place != none {
			child := r.add(place, at)
			if r.outcome == plan.Unsure {
				return refused
			}
			n := &r.nodes[child]
			n.key, n.keyEnd, n.before, n.behind, n.ordinal = int32(key), int32(keyEnd), before, none, count
			end = r.value(child, start, depth-1)
			waits = child
		} else {
			end = skimValue(text, start, depth-1)
		}
		if end < 0 {
			return refused
		}
		before = int32(end)
		if i = skimSpace(text, end); i >= len(text) {
			return refused
		}
		if text[i] == '}' {
			n := &r.nodes[at]
			n.count, n.item = count+1, item
			n.lead, n.lastKey, n.lastKeyEnd, n.lastStart, n.lastEnd = lead, int32(key), int32(keyEnd), int32(start), int32(end)
			return i + 1
		}
		if text[i] != ',' {
			return refused
		}
		lead = int32(i + 1)
		i = skimSpace(text, i+1)
	}
}

// maxNames is how many members an object may have whose every member is looked
// at: their names are compared each with each.
const maxNames = 32

// member returns the place of the member quoted of node at, or none.
func (r *Runner) member(at int32, children []int, quoted []byte) int32 {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name = r.content(quoted)
	}
	for _, c := range children {
		p := &r.plan.Places[c]
		if p.Kind == plan.Every {
			r.noneIs(at, name)
			return int32(c)
		}
		if p.Kind != plan.Member || string(name) != p.Key {
			continue
		}
		for n := r.nodes[at].first; n != 0; n = r.nodes[n].next {
			if r.nodes[n].place == int32(c) { // of two members the last counts, and more
				r.doubt()
			}
		}
		return int32(c)
	}
	return none
}

// noneIs doubts if a member of node at has the name.
func (r *Runner) noneIs(at int32, name []byte) {
	count := 0
	for n := r.nodes[at].first; n != 0; n = r.nodes[n].next {
		other := r.text[r.nodes[n].key+1 : r.nodes[n].keyEnd-1]
		if count++; count == maxNames || string(other) == string(name) || bytes.IndexByte(other, '\\') >= 0 {
			r.doubt()
			return
		}
	}
}

func (r *Runner) array(at int32, i, depth int) int {
	if depth == 0 {
		return refused
	}
	text, p := r.text, &r.plan.Places[r.nodes[at].place]
	i = skimSpace(text, i+1)
	if i < len(text) && text[i] == ']' {
		return i + 1
	}
	item := int32(i)
	for count := int32(0); ; count++ {
		var end int
		if place := r.element(p, int(count)); place != none || p.Members {
			child := r.add(place, at)
			if r.outcome == plan.Unsure {
				return refused
			}
			r.nodes[child].ordinal = count
			end = r.value(child, i, depth-1)
		} else {
			end = skimValue(text, i, depth-1)
		}
		if end < 0 {
			return refused
		}
		if i = skimSpace(text, end); i >= len(text) {
			return refused
		}
		if text[i] == ']' {
			n := &r.nodes[at]
			n.count, n.item, n.lastEnd = count+1, item, int32(end)
			return i + 1
		}
		if text[i] != ',' {
			return refused
		}
		i = skimSpace(text, i+1)
	}
}

// element returns the place of element i of an array in p, or none.
func (r *Runner) element(p *plan.Place, i int) int32 {
	for _, c := range p.Children {
		if child := &r.plan.Places[c]; child.Kind == plan.Every || child.Kind == plan.Element && child.Index == i {
			return int32(c)
		}
	}
	return none
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
	p := &r.plan.Places[place]
	parent := r.find(p.Parent, from)
	if parent == none {
		return none
	}
	n := &r.nodes[parent]
	switch {
	case n.state == isGone, n.state == isKept && n.kind == isNull:
		return none
	case n.state == isSet:
		r.doubt()
		return none
	case n.state == isMade && p.Kind == plan.Member:
	case n.state == isKept && n.kind == isObject && p.Kind == plan.Member:
	case n.state == isKept && n.kind == isArray && p.Kind == plan.Element:
	default:
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
	for c := r.nodes[parent].first; c != 0; c = r.nodes[c].next {
		if r.nodes[c].place == int32(place) {
			return c
		}
	}
	return none
}

func (r *Runner) isThere(at int32) bool {
	n := &r.nodes[at]
	return n.state != isGone && (n.state != isKept || n.start != none)
}

// ensure returns the node of place below node from. Where nothing or null is on
// the way, objects are made. It is none if the run is in doubt.
func (r *Runner) ensure(place int, from int32) int32 {
	if int32(place) == r.nodes[from].place {
		return from
	}
	if place == 0 {
		r.doubt()
		return none
	}
	p := &r.plan.Places[place]
	parent := r.ensure(p.Parent, from)
	if parent == none {
		return none
	}
	n := &r.nodes[parent]
	switch {
	case n.state == isMade && p.Kind == plan.Member:
	case n.state == isKept && n.kind == isNull && p.Kind == plan.Member:
		n.state = isMade
		r.touch(parent)
	case n.state != isKept:
		r.doubt()
		return none
	case n.kind == isObject && p.Kind == plan.Member, n.kind == isArray && p.Kind == plan.Element:
	default:
		r.doubt()
		return none
	}
	child := r.child(parent, place)
	if child == none {
		if p.Kind != plan.Member { // an array would grow
			r.doubt()
			return none
		}
		child = r.add(int32(place), parent)
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
