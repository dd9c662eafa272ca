package xml

import (
	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// group is the children of one name, before and after an edit. Those that stay
// keep to the places where such children were, in their new order; children of
// other names stay where they are.
type group struct {
	nodes  []int32 // one a place, in the order of the document
	was    []any   // one a node
	is     []any
	pairs  []int // for each of is the index of its node, or -1
	starts []int // the first of is at each place, and then the length of is; nil: each stays in its place
	array  bool  // is is one for jq too
}

// place is where a child was.
type place struct {
	node  int32
	group int32 // or one of those below
	index int32 // in the group
}

// The places of names that need no group, which most are.
const (
	same int32 = -1 - iota // nothing is to be done
	lone                   // one child, and one it stays
	gone
)

// plan is what becomes of the children of an element.
type plan struct {
	groups   []group
	places   []place // in the order of the document
	reshaped bool    // some come, go or move
	left     int     // how many there will be
}

// plan pairs the children of c before and after.
func (e *editor) plan(c *change) plan {
	var p plan
	if next := e.nodes[c.node].next; next > c.node+1 {
		e.places(c, &p)
	}
	for i := range p.groups {
		g := &p.groups[i]
		g.pairs = e.pairer.Pair(g.was, g.is)
		if !value.InPlace(g.pairs, len(g.was)) {
			g.starts = starts(g.pairs, len(g.was))
			p.reshaped = true
		}
		p.left += len(g.is)
	}
	for _, k := range c.newChildren {
		p.left += count(c.is[k])
		p.reshaped = true
	}
	return p
}

// places finds the children that are, and their groups.
func (e *editor) places(c *change, p *plan) {
	n := 0
	for i := c.node + 1; i < e.nodes[c.node].next; i = e.nodes[i].next {
		n++
	}
	p.places = make([]place, 0, n)
	var groups map[string]int32
	var last string
	of := same
	for i := c.node + 1; i < e.nodes[c.node].next; i = e.nodes[i].next {
		name := e.nameOf(i)
		if len(p.places) == 0 || name != last {
			last = name
			was, is := c.was[name], c.is[name]
			_, stays := c.is[name]
			known, ok := groups[name]
			switch {
			case ok:
				of = known
			case value.Same(was, is): // was is not null
				of = same
			case single(was) && stays && single(is):
				of = lone
			case single(was) && (!stays || count(is) == 0):
				of = gone
			default:
				if groups == nil {
					groups = make(map[string]int32)
				}
				of = int32(len(p.groups))
				groups[name] = of
				var g group
				g.was, _ = listOf(was)
				if stays {
					g.is, g.array = listOf(is)
				}
				g.nodes = make([]int32, 0, len(g.was))
				p.groups = append(p.groups, g)
			}
		}
		at := place{node: i, group: of}
		switch of {
		case same, lone:
			p.left++
		case gone:
			p.reshaped = true
		default:
			g := &p.groups[of]
			at.index = int32(len(g.nodes))
			g.nodes = append(g.nodes, i)
		}
		p.places = append(p.places, at)
	}
}

func (e *editor) nameOf(n int32) string {
	start := int(e.nodes[n].start) + 1
	return e.text[start : start+nameLength(e.text[start:])]
}

// single reports whether a member is one element.
func single(v codec.Value) bool { return count(v) == 1 }

// listOf is a member as the list of its elements, and whether it is an array.
func listOf(v codec.Value) ([]any, bool) {
	if a, ok := v.([]any); ok {
		return a, true
	}
	return []any{v}, false
}

// starts distributes elements over count places: the places of those that pair
// stay, and what is new goes behind the one before it. If none stays, all go to
// the first.
func starts(pairs []int, count int) []int {
	stays := make([]bool, count)
	some := false
	for _, j := range pairs {
		if j >= 0 {
			stays[j], some = true, true
		}
	}
	list := make([]int, 0, count+1)
	at := 0
	for i := range count {
		list = append(list, at)
		if some && !stays[i] {
			continue
		}
		// This place takes up to the one after the next that pairs, the first
		// also those before it.
		paired := 0
		for at < len(pairs) {
			if pairs[at] >= 0 {
				if paired == 1 {
					break
				}
				paired++
			}
			at++
		}
	}
	return append(list, at)
}

// at returns which elements of g.is come to place i.
func (g *group) at(i int32) (from, to int) {
	if g.starts == nil {
		return int(i), int(i) + 1
	}
	return g.starts[i], g.starts[i+1]
}

// place writes the elements that come to where a child was. In layout each has
// the white space before it that the child had, and goes with it.
func (e *editor) place(c *change, p *plan, at place, layout bool) error {
	if at.group == same {
		return nil
	}
	n := e.nodes[at.node]
	if at.group == lone {
		return e.lone(c, at.node)
	}
	lead := n.start
	if layout {
		lead = e.leadOf(n)
	}
	if at.group == gone {
		e.cut(int(lead), int(n.end))
		return nil
	}
	g := &p.groups[at.group]
	from, to := g.at(at.index)
	switch {
	case from == to:
		e.cut(int(lead), int(n.end))
		return nil
	case from+1 == to && g.pairs[from] == int(at.index):
		return e.paired(g, from)
	}
	e.cut(int(n.start), int(n.end))
	name := e.nameOf(at.node)
	for i := from; i < to; i++ {
		if i > from {
			e.out = append(e.out, e.text[lead:n.start]...)
		}
		var err error
		if j := g.pairs[i]; j >= 0 {
			e.pos = int(e.nodes[g.nodes[j]].start)
			err = e.paired(g, i)
			e.keepTo(int(e.nodes[g.nodes[j]].end))
		} else if err = e.writer.element(name, g.is[i]); err != nil {
			err = e.stepOf(g, i).within(err)
		}
		if err != nil {
			return err
		}
	}
	e.pos = int(n.end)
	return nil
}

// lone brings a child that is the only one of its name to what it shall be.
func (e *editor) lone(c *change, n int32) error {
	way := step{e.nameOf(n), -1}
	was, is := c.was[way.name], c.is[way.name]
	if a, ok := was.([]any); ok {
		was = a[0]
	}
	if a, ok := is.([]any); ok {
		is, way.index = a[0], 0
	}
	if err := e.element(n, was, is); err != nil {
		return way.within(err)
	}
	return nil
}

// paired brings the node that element i pairs with to it.
func (e *editor) paired(g *group, i int) error {
	j := g.pairs[i]
	if err := e.element(g.nodes[j], g.was[j], g.is[i]); err != nil {
		return e.stepOf(g, i).within(err)
	}
	return nil
}

func (e *editor) stepOf(g *group, i int) step {
	if !g.array {
		i = -1
	}
	return step{e.nameOf(g.nodes[0]), i}
}

// leadOf is the start of the white space before n.
func (e *editor) leadOf(n node) int32 {
	at := n.start
	for isSpace(e.text[at-1]) { // the tag of the parent is before it
		at--
	}
	return at
}

// added writes the children of new names, each behind lead.
func (e *editor) added(c *change, lead string) error {
	for _, k := range c.newChildren {
		if err := e.children(k, c.is[k], []byte(lead)); err != nil {
			return err
		}
	}
	return nil
}

// layout writes the children of an element that has and had children and no
// text.
func (e *editor) layout(c *change, p *plan) error {
	for _, at := range p.places {
		if err := e.place(c, p, at, true); err != nil {
			return err
		}
	}
	if len(c.newChildren) == 0 {
		return nil
	}
	at := p.places[len(p.places)-1]
	last := e.nodes[at.node]
	e.cut(int(last.end), int(last.end))
	return e.added(c, e.text[e.leadOf(last):last.start])
}

// stays reports whether a child is where at was.
func (p *plan) stays(at place) bool {
	if at.group < 0 {
		return at.group != gone
	}
	from, to := p.groups[at.group].at(at.index)
	return from < to
}
