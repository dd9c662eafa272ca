package plan

import (
	"github.com/itchyny/gojq"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// block compiles edits of what is at a place.
func (c *compiler) block(q *gojq.Query, at int) ([]plan.Stmt, error) {
	if err := plain(q); err != nil {
		return nil, err
	}
	switch {
	case q.Term != nil:
		return c.term(q.Term, at)
	case q.Op == gojq.OpPipe:
		left, err := c.block(q.Left, at)
		if err != nil {
			return nil, err
		}
		right, err := c.block(q.Right, at)
		return append(left, right...), err
	case isMerge(q):
		return c.rebuild(q.Right.Term.Object, plan.Merge, at)
	case q.Op == gojq.OpAssign:
		return c.assign(q, at)
	case q.Op == gojq.OpModify:
		return c.modify(q, at)
	case q.Op > gojq.OpModify:
		return c.updateBy(q, at)
	}
	return nil, refuse("has another value in place of the message")
}

func (c *compiler) term(t *gojq.Term, at int) ([]plan.Stmt, error) {
	switch {
	case len(t.SuffixList) > 0:
	case t.Type == gojq.TermTypeIdentity:
		return nil, nil
	case t.Type == gojq.TermTypeQuery:
		return c.block(t.Query, at)
	case t.Type == gojq.TermTypeIf:
		return c.branch(t.If, 0, at)
	case t.Type == gojq.TermTypeObject:
		return c.rebuild(t.Object, plan.Rebuild, at)
	case t.Type == gojq.TermTypeFunc && t.Func.Name == "error":
		return []plan.Stmt{{Op: plan.Leave}}, nil
	case t.Type == gojq.TermTypeFunc && t.Func.Name == "empty":
		if c.loops > 0 {
			return nil, refuse("drops a part of the message with empty")
		}
		return []plan.Stmt{{Op: plan.Select, Expr: literal(false)}}, nil
	case t.Type == gojq.TermTypeFunc && len(t.Func.Args) == 1:
		switch arg := t.Func.Args[0]; t.Func.Name {
		case "del":
			return c.del(arg, at)
		case "select":
			if c.loops > 0 {
				return nil, refuse("drops a part of the message with select")
			}
			when, err := c.value(arg, operand{place: at})
			return []plan.Stmt{{Op: plan.Select, Expr: when}}, err
		case "map", "map_values":
			if t.Func.Name == "map" && isSelect(arg) {
				return c.filter(arg.Term.Func.Args[0], at)
			}
			every := c.place(plan.Place{Parent: at, Kind: plan.Every})
			return c.update(arg, every, t.Func.Name == "map")
		}
	}
	return nil, refuse("has another value in place of the message")
}

func isSelect(q *gojq.Query) bool {
	return q.Term != nil && q.Term.Type == gojq.TermTypeFunc && len(q.Term.SuffixList) == 0 &&
		q.Term.Func.Name == "select" && len(q.Term.Func.Args) == 1 && len(q.FuncDefs) == 0
}

// branch compiles an if from its condition i on, the first being 0.
func (c *compiler) branch(b *gojq.If, i, at int) ([]plan.Stmt, error) {
	cond, then := b.Cond, b.Then
	if i > 0 {
		cond, then = b.Elif[i-1].Cond, b.Elif[i-1].Then
	}
	when, err := c.value(cond, operand{place: at})
	if err != nil {
		return nil, err
	}
	s := plan.Stmt{Op: plan.If, Expr: when}
	if s.Then, err = c.block(then, at); err != nil {
		return nil, err
	}
	switch {
	case i < len(b.Elif):
		s.Else, err = c.branch(b, i+1, at)
	case b.Else != nil:
		s.Else, err = c.block(b.Else, at)
	}
	return []plan.Stmt{s}, err
}

// rebuild compiles an object in the place of the one at a place, or that is
// merged into it.
func (c *compiler) rebuild(o *gojq.Object, op plan.StmtOp, at int) ([]plan.Stmt, error) {
	e, err := c.object(o, operand{place: at})
	if err != nil {
		return nil, err
	}
	s := plan.Stmt{Op: op, Place: at}
	if len(e.Keys) == 0 {
		return nil, refuse("has another value in place of the message")
	}
	for i, key := range e.Keys {
		place := c.place(plan.Place{Parent: at, Kind: plan.Member, Key: key})
		s.Keys, s.Exprs = append(s.Keys, place), append(s.Exprs, e.Args[i])
	}
	for _, w := range c.written {
		if w == at || c.below(at, w) || op == plan.Rebuild && c.below(w, at) {
			return nil, refuse("changes what it has changed before")
		}
	}
	for _, place := range s.Keys {
		if err := c.writes(place, false); err != nil {
			return nil, err
		}
	}
	return []plan.Stmt{s}, nil
}

// assign compiles path = value.
func (c *compiler) assign(q *gojq.Query, at int) ([]plan.Stmt, error) {
	v, err := c.value(q.Right, operand{place: at})
	if err != nil {
		return nil, err
	}
	body, err := c.along(q.Left, at, func(place int) ([]plan.Stmt, error) {
		return []plan.Stmt{{Op: plan.Set, Place: place, Expr: &plan.Expr{Op: plan.Operand}}}, c.writes(place, false)
	})
	if err == nil {
		body[0].By = v
	}
	return body, err
}

// modify compiles path |= program.
func (c *compiler) modify(q *gojq.Query, at int) ([]plan.Stmt, error) {
	return c.along(q.Left, at, func(place int) ([]plan.Stmt, error) {
		return c.update(q.Right, place, false)
	})
}

// update compiles a program that stands in for what is at each place.
func (c *compiler) update(q *gojq.Query, place int, lists bool) ([]plan.Stmt, error) {
	s := plan.Stmt{Op: plan.Modify, Place: place, Lists: lists}
	var err error
	if isBlock(q) {
		s.Op = plan.Within
		c.loops++
		s.Then, err = c.block(q, place)
		c.loops--
		return []plan.Stmt{s}, err
	}
	if s.Expr, err = c.value(q, operand{place: place}); err != nil {
		return nil, err
	}
	return []plan.Stmt{s}, c.writes(place, false)
}

// updateBy compiles path op= value.
func (c *compiler) updateBy(q *gojq.Query, at int) ([]plan.Stmt, error) {
	by, err := c.value(q.Right, operand{place: at})
	if err != nil {
		return nil, err
	}
	op := plan.Alt
	if q.Op != gojq.OpUpdateAlt { // the update operators stand in the order of the plain ones
		op = arithmetic[q.Op-gojq.OpUpdateAdd+gojq.OpAdd]
	}
	body, err := c.along(q.Left, at, func(place int) ([]plan.Stmt, error) {
		if err := c.reads(place); err != nil {
			return nil, err
		}
		e := &plan.Expr{Op: op, Args: []*plan.Expr{{Op: plan.Read, Place: place}, {Op: plan.Operand}}}
		return []plan.Stmt{{Op: plan.Modify, Place: place, Expr: e}}, c.writes(place, false)
	})
	if err == nil {
		body[0].By = by
	}
	return body, err
}

// del compiles the paths that q lists.
func (c *compiler) del(q *gojq.Query, at int) ([]plan.Stmt, error) {
	body, err := c.along(q, at, func(place int) ([]plan.Stmt, error) {
		if place == at {
			return nil, refuse("deletes the message itself")
		}
		return []plan.Stmt{{Op: plan.Delete, Place: place}}, nil
	})
	if err != nil {
		return nil, err
	}
	return body, c.deleted(body, len(c.written))
}

// deleted remembers what deletions take out, after all of them. The first
// before of c.written were there before.
func (c *compiler) deleted(body []plan.Stmt, before int) error {
	for _, s := range body {
		if s.Op != plan.Delete {
			if err := c.deleted(s.Then, before); err != nil {
				return err
			}
			continue
		}
		if err := c.writes(s.Place, true); err != nil {
			return err
		}
	}
	for _, s := range body {
		p := c.plan.Places[s.Place]
		if s.Op != plan.Delete || p.Kind == plan.Member {
			continue
		}
		for _, w := range c.written[:before] {
			if c.below(w, p.Parent) {
				return refuse("changes elements of an array and takes others out")
			}
		}
		if p.Kind == plan.Element {
			c.plan.Places[p.Parent].Members = true
		}
		c.shrunk = append(c.shrunk, p.Parent)
	}
	return nil
}

// list takes q apart at its commas.
func list(q *gojq.Query, into *[]*gojq.Query) {
	if q.Op == gojq.OpComma && len(q.FuncDefs) == 0 {
		list(q.Left, into)
		list(q.Right, into)
		return
	}
	*into = append(*into, q)
}

// filter compiles what takes the elements out of the array at a place for
// which q does not hold.
func (c *compiler) filter(q *gojq.Query, at int) ([]plan.Stmt, error) {
	every := c.place(plan.Place{Parent: at, Kind: plan.Every})
	when, err := c.value(q, operand{place: every})
	if err != nil {
		return nil, err
	}
	for _, w := range c.written {
		if c.below(at, w) || at == w {
			return nil, refuse("changes what it has changed before")
		}
	}
	return []plan.Stmt{{Op: plan.Filter, Place: at, Expr: when}}, c.shrinks(at)
}

// along compiles a path, and has end compile what is done at its end. The
// first statement is the first to run.
func (c *compiler) along(q *gojq.Query, at int, end func(place int) ([]plan.Stmt, error)) ([]plan.Stmt, error) {
	var stages []*gojq.Query
	pipes(q, &stages)
	if len(stages) == 1 && stages[0].Op == gojq.OpComma {
		return c.beside(stages[0], at, end)
	}
	place := at
	for i, stage := range stages {
		if isSelect(stage) {
			when, err := c.value(stage.Term.Func.Args[0], operand{place: place})
			if err != nil {
				return nil, err
			}
			rest := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}}
			for _, s := range stages[i+1:] {
				rest = &gojq.Query{Left: rest, Op: gojq.OpPipe, Right: s}
			}
			inner, err := c.along(rest, place, end)
			return []plan.Stmt{{Op: plan.Each, Place: place, Then: []plan.Stmt{{Op: plan.If, Expr: when, Then: inner}}}}, err
		}
		var err error
		if place, err = c.path(stage, place); err != nil {
			return nil, err
		}
	}
	return end(place)
}

// beside is along for several paths. None of them may depend on what is done
// at another.
func (c *compiler) beside(q *gojq.Query, at int, end func(place int) ([]plan.Stmt, error)) ([]plan.Stmt, error) {
	var paths []*gojq.Query
	list(q, &paths)
	var body []plan.Stmt
	for _, p := range paths {
		place, err := c.path(p, at)
		if err != nil {
			return nil, err
		}
		stmts, err := end(place)
		if err != nil {
			return nil, err
		}
		body = append(body, stmts...)
	}
	return body, nil
}

// pipes takes q apart at its pipes, and (a | b).c into a, b and .c.
func pipes(q *gojq.Query, into *[]*gojq.Query) {
	if len(q.FuncDefs) > 0 || len(q.Patterns) > 0 {
		*into = append(*into, q)
		return
	}
	switch {
	case q.Op == gojq.OpPipe:
		pipes(q.Left, into)
		pipes(q.Right, into)
	case q.Term != nil && q.Term.Type == gojq.TermTypeQuery:
		pipes(q.Term.Query, into)
		if suffixes := q.Term.SuffixList; len(suffixes) > 0 {
			*into = append(*into, &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: suffixes}})
		}
	default:
		*into = append(*into, q)
	}
}
