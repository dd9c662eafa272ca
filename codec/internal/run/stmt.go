package run

import "github.com/sluice-proxy/sluice/codec/plan"

// run does the statements at node at.
func (m *Machine[S]) run(body []plan.Stmt, at int32) {
	for i := range body {
		if m.Outcome != plan.Changed {
			return
		}
		m.stmt(&body[i], at)
	}
}

func (m *Machine[S]) stmt(s *plan.Stmt, at int32) {
	if s.By != nil {
		m.by = m.eval(s.By, at)
		if m.Outcome != plan.Changed {
			return
		}
	}
	switch s.Op {
	case plan.Set:
		v := m.eval(s.Expr, at)
		m.everywhere(s, at, &v)
	case plan.Modify, plan.Within, plan.Each, plan.Delete:
		m.everywhere(s, at, nil)
	case plan.If:
		if m.holds(s.Expr, at) {
			m.run(s.Then, at)
		} else {
			m.run(s.Else, at)
		}
	case plan.Select:
		if !m.holds(s.Expr, at) && m.Outcome == plan.Changed {
			m.Outcome = plan.Nothing
		}
	case plan.Stop:
		if m.holds(s.Expr, at) && m.Outcome == plan.Changed {
			m.Outcome, m.stop = plan.Stopped, s.Step
		}
	case plan.Note:
		m.ran |= 1 << s.Step
	case plan.Filter:
		m.filter(s, at)
	case plan.Rebuild, plan.Merge:
		m.rebuild(s, at)
	default:
		m.Doubt()
	}
}

// everywhere does s at all of its places below node at.
func (m *Machine[S]) everywhere(s *plan.Stmt, at int32, v *Val) {
	loop := m.loopTo(s.Place, m.Nodes[at].Place)
	if loop == None {
		m.once(s, at, v)
		return
	}
	for c := m.elements(loop, at, s.Lists); c != 0 && m.Outcome == plan.Changed; c = m.Nodes[c].Next {
		if m.IsThere(c) {
			m.everywhere(s, c, v)
		}
	}
}

// once does s at its place, to which no loop leads from node at.
func (m *Machine[S]) once(s *plan.Stmt, at int32, v *Val) {
	switch s.Op {
	case plan.Delete:
		m.remove(s.Place, at)
		return
	case plan.Each:
		if target := m.find(s.Place, at); target != None {
			m.run(s.Then, target)
		} else {
			m.Doubt()
		}
		return
	}
	target := m.ensure(s.Place, at)
	if target == None || m.Outcome != plan.Changed {
		return
	}
	switch s.Op {
	case plan.Set:
		m.set(target, *v)
	case plan.Modify:
		m.set(target, m.eval(s.Expr, target))
	case plan.Within:
		m.run(s.Then, target)
		if !m.IsThere(target) && m.Nodes[target].State == Kept {
			m.set(target, Val{})
		}
	}
}

// set puts v in the place of node at.
func (m *Machine[S]) set(at int32, v Val) {
	n := &m.Nodes[at]
	if n.State == Made { // what was put into it would be lost, which no plan means
		m.Doubt()
	}
	m.touch(at)
	n.State, n.Val = Set, int32(len(m.Vals))
	m.Vals = append(m.Vals, v)
}

func (m *Machine[S]) remove(place int, at int32) {
	target := m.find(place, at)
	if target != None {
		m.Nodes[target].State = Gone
		m.touch(target)
		return
	}
	for p := place; int32(p) != m.Nodes[at].Place && m.Outcome == plan.Changed; {
		p = m.Plan.Places[p].Parent
		if parent := m.find(p, at); parent != None { // in jq it is another now, if an equal one
			m.touch(parent)
			return
		}
	}
}

// filter takes the elements out of an array for which a condition does not hold.
func (m *Machine[S]) filter(s *plan.Stmt, at int32) {
	in := m.find(s.Place, at)
	if in == None || m.Nodes[in].State != Kept || m.Nodes[in].Kind != Array {
		m.Doubt()
		return
	}
	for c := m.Nodes[in].First; c != 0 && m.Outcome == plan.Changed; c = m.Nodes[c].Next {
		if !m.holds(s.Expr, c) {
			m.Nodes[c].State = Gone
			m.touch(c)
		}
	}
	m.touch(in) // it is another array, if an equal one
}

// rebuild sets some members of the object at node at, and for a Rebuild takes
// out the others.
func (m *Machine[S]) rebuild(s *plan.Stmt, at int32) {
	n := &m.Nodes[at]
	if n.State != Kept || n.Kind != Object {
		m.Doubt()
		return
	}
	base := len(m.Vals)
	for _, e := range s.Exprs {
		v := m.eval(e, at)
		m.Vals = append(m.Vals, v)
	}
	m.touch(at)
	if s.Op == plan.Rebuild {
		n.Alone = true
		for c := n.First; c != 0; c = m.Nodes[c].Next {
			m.Nodes[c].State = Gone
		}
	}
	for i, place := range s.Keys {
		child := m.member(place, at)
		if child == None {
			m.Doubt()
			return
		}
		m.set(child, m.Vals[base+i])
	}
}
