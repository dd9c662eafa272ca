package json

import (
	"bytes"

	"github.com/sluice-proxy/sluice/codec/internal/run"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// spot is where a node is in the text, in bytes.
type spot struct {
	key, keyEnd int32 // of a member: its name with the quotes
	start, end  int32
	before      int32 // of a member: the end of the one before it; none if it is the first
	behind      int32 // the start of the one behind it; none if it is the last
	ordinal     int32

	item int32 // of a container: where its first element or member begins
	// The last member, and where the white space before it begins.
	lead, lastKey, lastKeyEnd, lastStart, lastEnd int32
}

const none = run.None

// value reads the value of node at, which begins at i, up to its end.
func (r *runner) value(at int32, i, depth int) int {
	if i >= len(r.Text) {
		return refused
	}
	n := &r.Nodes[at]
	n.There, n.Kind, n.Spot.start = true, kindOf(r.Text[i]), int32(i)
	var end int
	switch {
	case n.Place == none:
		end = skimValue(r.Text, i, depth)
	case n.Kind == run.Object && len(r.Plan.Places[n.Place].Children) > 0:
		end = r.object(at, i, depth)
	case n.Kind == run.Array && r.LooksInto(n.Place):
		end = r.array(at, i, depth)
	default:
		end = skimValue(r.Text, i, depth)
	}
	r.Nodes[at].Spot.end = int32(end)
	return end
}

// kindOf is the kind of the value that begins with c.
func kindOf(c byte) run.Kind {
	switch c {
	case '{':
		return run.Object
	case '[':
		return run.Array
	case '"':
		return run.String
	case 't':
		return run.True
	case 'f':
		return run.False
	case 'n':
		return run.Null
	}
	return run.Number
}

func (r *runner) object(at int32, i, depth int) int {
	if depth == 0 {
		return refused
	}
	text, children := r.Text, r.Plan.Places[r.Nodes[at].Place].Children
	i = skimSpace(text, i+1)
	if i < len(text) && text[i] == '}' {
		return i + 1
	}
	item, lead, before, waits := int32(i), r.Nodes[at].Spot.start+1, int32(none), int32(none)
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
			r.Nodes[waits].Spot.behind = int32(key)
			waits = none
		}
		var end int
		if place := r.member(at, children, text[key:keyEnd]); place != none {
			child := r.Add(place, at)
			if r.Outcome == plan.Unsure {
				return refused
			}
			r.Nodes[child].Spot = spot{key: int32(key), keyEnd: int32(keyEnd), before: before, behind: none, ordinal: count}
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
			n := &r.Nodes[at]
			s := &n.Spot
			n.Count, s.item, s.lead = count+1, item, lead
			s.lastKey, s.lastKeyEnd, s.lastStart, s.lastEnd = int32(key), int32(keyEnd), int32(start), int32(end)
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
func (r *runner) member(at int32, children []int, quoted []byte) int32 {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name = content(quoted)
	}
	for _, c := range children {
		p := &r.Plan.Places[c]
		if p.Kind == plan.Every {
			r.noneIs(at, name)
			return int32(c)
		}
		if p.Kind != plan.Member || string(name) != p.Key {
			continue
		}
		for n := r.Nodes[at].First; n != 0; n = r.Nodes[n].Next {
			if r.Nodes[n].Place == int32(c) { // of two members the last counts, and more
				r.Doubt()
			}
		}
		return int32(c)
	}
	return none
}

// noneIs doubts if a member of node at has the name.
func (r *runner) noneIs(at int32, name []byte) {
	count := 0
	for n := r.Nodes[at].First; n != 0; n = r.Nodes[n].Next {
		other := r.Text[r.Nodes[n].Spot.key+1 : r.Nodes[n].Spot.keyEnd-1]
		if count++; count == maxNames || string(other) == string(name) || bytes.IndexByte(other, '\\') >= 0 {
			r.Doubt()
			return
		}
	}
}

func (r *runner) array(at int32, i, depth int) int {
	if depth == 0 {
		return refused
	}
	text, p := r.Text, &r.Plan.Places[r.Nodes[at].Place]
	i = skimSpace(text, i+1)
	if i < len(text) && text[i] == ']' {
		return i + 1
	}
	item := int32(i)
	for count := int32(0); ; count++ {
		var end int
		if place := r.element(p, int(count)); place != none || p.Members {
			child := r.Add(place, at)
			if r.Outcome == plan.Unsure {
				return refused
			}
			r.Nodes[child].Spot.ordinal = count
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
			n := &r.Nodes[at]
			n.Count, n.Spot.item, n.Spot.lastEnd = count+1, item, int32(end)
			return i + 1
		}
		if text[i] != ',' {
			return refused
		}
		i = skimSpace(text, i+1)
	}
}

// element returns the place of element i of an array in p, or none.
func (r *runner) element(p *plan.Place, i int) int32 {
	for _, c := range p.Children {
		if child := &r.Plan.Places[c]; child.Kind == plan.Every || child.Kind == plan.Element && child.Index == i {
			return int32(c)
		}
	}
	return none
}
