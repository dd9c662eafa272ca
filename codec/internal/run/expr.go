package run

import (
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// eval works out e at node at. The result means nothing if the run is in doubt.
func (m *Machine[S]) eval(e *plan.Expr, at int32) Val {
	if m.Measure(m.Scratch); m.Outcome != plan.Changed {
		return Val{}
	}
	switch e.Op {
	case plan.Read:
		return m.ValOf(m.find(e.Place, at))
	case plan.Literal:
		if e.Text != nil {
			return StringVal(e.Text)
		}
		return m.FromValue(e.Value)
	case plan.Variable:
		return m.variable(e)
	case plan.Operand:
		return m.by
	case plan.Object, plan.Array:
		return m.construct(e, at)
	case plan.Has:
		return m.has(e.Place, at)
	case plan.Any, plan.All:
		return m.quantify(e, at)
	case plan.Sum:
		return m.sum(e, at)
	case plan.Join:
		return m.join(e, at)
	}
	a := m.eval(e.Args[0], at)
	switch e.Op {
	case plan.And:
		return BoolVal(a.holds() && m.holds(e.Args[1], at))
	case plan.Or:
		return BoolVal(a.holds() || m.holds(e.Args[1], at))
	case plan.Not:
		return BoolVal(!a.holds())
	case plan.Bool:
		if a.Kind != True && a.Kind != False {
			m.Doubt()
		}
		return a
	case plan.Alt:
		if a.holds() {
			return a
		}
		return m.eval(e.Args[1], at)
	case plan.Cond:
		if a.holds() {
			return m.eval(e.Args[1], at)
		}
		return m.eval(e.Args[2], at)
	case plan.Test:
		return BoolVal(m.test(e.Regex, &a))
	case plan.Length:
		return m.length(&a)
	}
	if len(e.Args) == 1 {
		return m.unary(e.Op, a)
	}
	b := m.eval(e.Args[1], at)
	if e.Op == plan.Add && a.Kind == b.Kind && a.IsContainer() {
		return m.combine(e, a, b)
	}
	return m.binary(e, a, b)
}

// ValOf is what is in node at by now, null for None.
func (m *Machine[S]) ValOf(at int32) Val {
	if at == None {
		return Val{}
	}
	n := &m.Nodes[at]
	switch {
	case n.State == Set:
		return m.Vals[n.Val]
	case n.State != Kept:
		m.Doubt()
		return Val{}
	case !n.There:
		return Val{}
	}
	v := m.format.Was(at)
	if v.IsContainer() && n.Touched { // what it is now stands nowhere
		m.Doubt()
	}
	return v
}

// ValueOf is v as everyone else works with it.
func (m *Machine[S]) ValueOf(v Val) codec.Value {
	switch {
	case v.Kind == Null:
		return nil
	case v.Kind <= True:
		return v.Kind == True
	case v.Kind == String:
		return string(v.Text)
	case v.Kind == Number && v.Form == Int:
		return v.Int
	case v.Kind == Number && v.Form == Float:
		return v.Float
	case v.Kind == Number && v.Form == Other, v.Node == None && v.Text == nil:
		return v.Value
	}
	return m.format.Value(v)
}

func (m *Machine[S]) holds(e *plan.Expr, at int32) bool {
	v := m.eval(e, at)
	return v.holds()
}

// has tells whether the object that place is a member of has it.
func (m *Machine[S]) has(place int, at int32) Val {
	parent := m.find(m.Plan.Places[place].Parent, at)
	if parent == None || !m.Nodes[parent].holds(plan.Member) {
		m.Doubt()
		return Val{}
	}
	return BoolVal(m.find(place, at) != None)
}

// quantify is any and all over the elements of an array or the members of an
// object. jq stops at the first that decides, but takes members in the order of
// their names: they are all asked, as one behind may be an error to jq.
func (m *Machine[S]) quantify(e *plan.Expr, at int32) Val {
	decided := false
	for c := m.elements(e.Place, at, false); c != 0; c = m.Nodes[c].Next {
		if !m.IsThere(c) || m.holds(e.Args[0], c) != (e.Op == plan.Any) {
			continue
		}
		if decided = true; m.Nodes[m.Nodes[c].Parent].Kind == Array {
			break
		}
	}
	return BoolVal(decided == (e.Op == plan.Any))
}

// sum adds up what an expression is at the elements of an array.
func (m *Machine[S]) sum(e *plan.Expr, at int32) (total Val) {
	for c := m.elements(e.Place, at, true); c != 0 && m.Outcome == plan.Changed; c = m.Nodes[c].Next {
		if !m.IsThere(c) || len(e.Args) > 1 && !m.holds(e.Args[1], c) {
			continue
		}
		v := m.eval(e.Args[0], c)
		if v.Kind != Number && v.Kind != Null {
			m.Doubt()
			break
		}
		total = m.arithmetic(plan.Add, total, v)
	}
	return total
}

// construct makes an object or an array.
func (m *Machine[S]) construct(e *plan.Expr, at int32) Val {
	base := len(m.Vals)
	for _, a := range e.Args {
		v := m.eval(a, at) // may need Vals too
		m.Vals = append(m.Vals, v)
	}
	return m.combined(e, base)
}

func (m *Machine[S]) combine(e *plan.Expr, a, b Val) Val {
	base := len(m.Vals)
	m.Vals = append(m.Vals, a, b)
	return m.combined(e, base)
}

// combined works out e of the Vals from base on, and takes them off.
func (m *Machine[S]) combined(e *plan.Expr, base int) Val {
	var v Val
	if m.Outcome == plan.Changed {
		v = m.format.Combine(e, m.Vals[base:])
	}
	m.drop(base)
	return v
}

// drop takes the Vals from base on off, with what they hold on to.
func (m *Machine[S]) drop(base int) {
	clear(m.Vals[base:])
	m.Vals = m.Vals[:base]
}

// join puts the texts of all operands one behind the other.
func (m *Machine[S]) join(e *plan.Expr, at int32) Val {
	base := len(m.Vals)
	for _, a := range e.Args {
		v := m.toString(m.eval(a, at))
		m.Vals = append(m.Vals, v)
	}
	from := len(m.Scratch)
	for i := base; i < len(m.Vals); i++ {
		m.Scratch = append(m.Scratch, m.Vals[i].Text...)
	}
	m.drop(base)
	return StringVal(m.Made(from))
}

func (m *Machine[S]) length(v *Val) Val {
	switch {
	case v.Kind == Null:
		return IntVal(0)
	case v.Kind == String:
		return IntVal(utf8.RuneCount(v.Text))
	case v.Kind == Array && v.Node != None && v.Value == nil:
		if n := &m.Nodes[v.Node]; n.Kind == Array && m.LooksInto(n.Place) {
			return IntVal(int(n.Count))
		}
	}
	m.Doubt()
	return Val{}
}
