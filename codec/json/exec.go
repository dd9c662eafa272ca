package json

import "github.com/sluice-proxy/sluice/codec/plan"

// run does the statements at node at.
func (r *Runner) run(body []plan.Stmt, at int32) {
	for i := range body {
		if r.outcome != plan.Changed {
			return
		}
		r.stmt(&body[i], at)
	}
}

func (r *Runner) stmt(s *plan.Stmt, at int32) {
	if s.By != nil {
		r.by = r.eval(s.By, at)
		if r.outcome != plan.Changed {
			return
		}
	}
	switch s.Op {
	case plan.Set:
		v := r.eval(s.Expr, at)
		r.everywhere(s, at, &v)
	case plan.Modify, plan.Within, plan.Each, plan.Delete:
		r.everywhere(s, at, nil)
	case plan.If:
		if r.holds(s.Expr, at) {
			r.run(s.Then, at)
		} else {
			r.run(s.Else, at)
		}
	case plan.Select:
		if !r.holds(s.Expr, at) && r.outcome == plan.Changed {
			r.outcome = plan.Nothing
		}
	case plan.Stop:
		if r.holds(s.Expr, at) && r.outcome == plan.Changed {
			r.outcome, r.stop = plan.Stopped, s.Step
		}
	case plan.Note:
		r.ran |= 1 << s.Step
	case plan.Filter:
		r.filter(s, at)
	case plan.Rebuild, plan.Merge:
		r.rebuild(s, at)
	default:
		r.doubt()
	}
}

// everywhere does s at all of its places below node at.
func (r *Runner) everywhere(s *plan.Stmt, at int32, v *val) {
	loop := r.loopTo(s.Place, r.nodes[at].place)
	if loop == none {
		r.there(s, at, v)
		return
	}
	for c := r.elements(loop, at, s.Lists); c != 0 && r.outcome == plan.Changed; c = r.nodes[c].next {
		if r.isThere(c) {
			r.everywhere(s, c, v)
		}
	}
}

// elements returns the first node of every below node at, or 0 if there is none.
func (r *Runner) elements(every int, at int32, lists bool) int32 {
	p := &r.plan.Places[every]
	in := r.find(p.Parent, at)
	switch {
	case in == none:
	case r.nodes[in].state != isKept:
		r.doubt()
		return 0
	case r.nodes[in].kind == isArray, r.nodes[in].kind == isObject && !lists:
		return r.nodes[in].first
	}
	if !p.Lenient || lists {
		r.doubt()
	}
	return 0
}

// loopTo returns the first Every on the way from a place to one below it.
func (r *Runner) loopTo(place int, from int32) int {
	loop := none
	for int32(place) != from && place != 0 {
		p := &r.plan.Places[place]
		if p.Kind == plan.Every {
			loop = place
		}
		place = p.Parent
	}
	return loop
}

// there does s at its place, to which no loop leads from node at.
func (r *Runner) there(s *plan.Stmt, at int32, v *val) {
	switch s.Op {
	case plan.Delete:
		r.remove(s.Place, at)
		return
	case plan.Each:
		if target := r.find(s.Place, at); target != none {
			r.run(s.Then, target)
		} else {
			r.doubt()
		}
		return
	}
	target := r.ensure(s.Place, at)
	if target == none || r.outcome != plan.Changed {
		return
	}
	switch s.Op {
	case plan.Set:
		r.set(target, *v)
	case plan.Modify:
		r.set(target, r.eval(s.Expr, target))
	case plan.Within:
		r.run(s.Then, target)
		if !r.isThere(target) && r.nodes[target].state == isKept {
			r.set(target, val{})
		}
	}
}

// set puts v in the place of node at.
func (r *Runner) set(at int32, v val) {
	n := &r.nodes[at]
	if n.state == isMade { // what was put into it would be lost, which no plan means
		r.doubt()
	}
	r.touch(at)
	n.state, n.val = isSet, int32(len(r.vals))
	r.vals = append(r.vals, v)
}

func (r *Runner) remove(place int, at int32) {
	target := r.find(place, at)
	if target != none {
		r.nodes[target].state = isGone
		r.touch(target)
		return
	}
	for p := place; int32(p) != r.nodes[at].place && r.outcome == plan.Changed; {
		p = r.plan.Places[p].Parent
		if parent := r.find(p, at); parent != none { // in jq it is another now, if an equal one
			r.touch(parent)
			return
		}
	}
}

// filter takes the elements out of an array for which a condition does not hold.
func (r *Runner) filter(s *plan.Stmt, at int32) {
	in := r.find(s.Place, at)
	if in == none || r.nodes[in].state != isKept || r.nodes[in].kind != isArray {
		r.doubt()
		return
	}
	for c := r.nodes[in].first; c != 0 && r.outcome == plan.Changed; c = r.nodes[c].next {
		if !r.holds(s.Expr, c) {
			r.nodes[c].state = isGone
			r.touch(c)
		}
	}
	r.touch(in) // it is another array, if an equal one
}

// rebuild sets some members of the object at node at, and for a Rebuild takes
// out the others.
func (r *Runner) rebuild(s *plan.Stmt, at int32) {
	n := &r.nodes[at]
	if n.state != isKept || n.kind != isObject || n.start == none {
		r.doubt()
		return
	}
	base := len(r.vals)
	for _, e := range s.Exprs {
		v := r.eval(e, at)
		r.vals = append(r.vals, v)
	}
	r.touch(at)
	if s.Op == plan.Rebuild {
		n.alone = true
		for c := n.first; c != 0; c = r.nodes[c].next {
			r.nodes[c].state = isGone
		}
	}
	for i, place := range s.Keys {
		child := r.child(at, place)
		if child == none {
			child = r.add(int32(place), at)
		}
		r.set(child, r.vals[base+i])
	}
}
