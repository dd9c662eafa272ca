package plan

// Members returns the names of the members of the message that the plan reads or
// writes. ok is false if it looks at the message as a whole, or if nothing may
// come of it: only then can a member that is not named make a difference.
func (p *Plan) Members() (names []string, ok bool) {
	root := p.Places[0]
	if p.Result != nil || root.Counted || root.Members || looksAtWhole(p.Body) {
		return nil, false
	}
	for _, i := range root.Children {
		if p.Places[i].Kind != Member {
			return nil, false
		}
		names = append(names, p.Places[i].Key)
	}
	return names, true
}

// looksAtWhole reports whether a statement is about the message itself.
func looksAtWhole(body []Stmt) bool {
	for i := range body {
		s := &body[i]
		switch s.Op {
		case Set, Modify, Within, Each, Delete, Filter, Rebuild:
			if s.Place == 0 {
				return true
			}
		case Select:
			return true
		case Merge, If, Leave, Note, Stop:
		}
		if readsWhole(s.Expr) || readsWhole(s.By) || looksAtWhole(s.Then) || looksAtWhole(s.Else) {
			return true
		}
		for _, e := range s.Exprs {
			if readsWhole(e) {
				return true
			}
		}
	}
	return false
}

func readsWhole(e *Expr) bool {
	if e == nil {
		return false
	}
	if (e.Op == Read || e.Op == Has || e.Op == Any || e.Op == All || e.Op == Sum) && e.Place == 0 {
		return true
	}
	for _, arg := range e.Args {
		if readsWhole(arg) {
			return true
		}
	}
	return false
}
