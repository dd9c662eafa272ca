package jq

import (
	"errors"

	"github.com/itchyny/gojq"
)

func pipeFilter(l, r filter) filter {
	switch {
	case l.identity:
		return r
	case r.identity:
		return l
	case l.one != nil && r.one != nil:
		return filter{one: chain(l.one, l.sparse, r.one), sparse: l.sparse || r.sparse}
	case l.one != nil:
		if r.each != nil && !l.sparse {
			return eachFilter(chain(l.one, false, r.source), r.each, r.sparseEach)
		}
		return filter{stream: func(m *machine, v any, yield func(any) error) error {
			x, err := l.one(m, v)
			if err != nil || l.sparse && isNothing(x) {
				return err
			}
			return r.stream(m, x, yield)
		}}
	case l.each != nil && r.one != nil:
		return eachFilter(l.source, chain(l.each, l.sparseEach, r.one), l.sparseEach || r.sparse)
	}
	return filter{stream: func(m *machine, v any, yield func(any) error) error {
		return l.stream(m, v, func(x any) error { return r.run(m, x, yield) })
	}}
}

// chain is r behind l.
func chain(l one, sparse bool, r one) one {
	if sparse {
		return func(m *machine, v any) (any, error) {
			x, err := l(m, v)
			if err != nil || isNothing(x) {
				return x, err
			}
			return r(m, x)
		}
	}
	return func(m *machine, v any) (any, error) {
		x, err := l(m, v)
		if err != nil {
			return nil, err
		}
		return r(m, x)
	}
}

func commaFilter(l, r filter) filter {
	return filter{stream: func(m *machine, v any, yield func(any) error) error {
		if err := m.take(2); err != nil {
			return err
		}
		if err := l.run(m, v, yield); err != nil {
			return err
		}
		return r.run(m, v, yield)
	}}
}

// alternative is l // r.
func alternative(l, r filter) filter {
	if l.one != nil && r.one != nil {
		return filter{sparse: r.sparse, one: func(m *machine, v any) (any, error) {
			x, err := l.one(m, v)
			if err != nil || truth(x) && !isNothing(x) {
				return x, err
			}
			return r.one(m, v)
		}}
	}
	return filter{stream: func(m *machine, v any, yield func(any) error) error {
		found := false
		err := l.run(m, v, func(x any) error {
			if !truth(x) {
				return nil
			}
			found = true
			return yield(x)
		})
		if err != nil || found {
			return err
		}
		return r.run(m, v, yield)
	}}
}

func asBool(f filter) filter {
	return condition(f, constantFilter(true), constantFilter(false))
}

// condition is if c then yes else no end.
func condition(c, yes, no filter) filter {
	if c.one != nil && yes.one != nil && no.one != nil {
		return filter{sparse: c.sparse || yes.sparse || no.sparse, one: func(m *machine, v any) (any, error) {
			x, err := c.one(m, v)
			if err != nil || c.sparse && isNothing(x) {
				return x, err
			}
			if truth(x) {
				return yes.one(m, v)
			}
			return no.one(m, v)
		}}
	}
	return filter{stream: func(m *machine, v any, yield func(any) error) error {
		return c.run(m, v, func(x any) error {
			if truth(x) {
				return yes.run(m, v, yield)
			}
			return no.run(m, v, yield)
		})
	}}
}

// selects is select(c).
func selects(c filter) filter { return condition(c, identityFilter(), emptyFilter()) }

// caught reports whether a program may go on after err.
func (m *machine) caught(err error) bool {
	_, broke := err.(*breakError)
	return !broke && m.over == nil
}

// attempt is try f catch instead.
func attempt(f, instead filter) filter {
	if f.one != nil && instead.one != nil {
		return filter{sparse: f.sparse || instead.sparse, one: func(m *machine, v any) (any, error) {
			x, err := f.one(m, v)
			if err != nil && m.caught(err) {
				return instead.one(m, v)
			}
			return x, err
		}}
	}
	return filter{stream: func(m *machine, v any, yield func(any) error) error {
		var after error // of what follows: not ours to catch
		err := f.run(m, v, func(x any) error {
			after = yield(x)
			return after
		})
		if err == nil || after != nil || !m.caught(err) {
			return err
		}
		return instead.run(m, v, yield)
	}}
}

// bound is body with the results of source, each put by set where body finds it.
func bound(source filter, set func(*machine, any) error, body filter) filter {
	if source.one != nil && body.one != nil {
		return filter{sparse: source.sparse || body.sparse, one: func(m *machine, v any) (any, error) {
			x, err := source.one(m, v)
			if err != nil || source.sparse && isNothing(x) {
				return x, err
			}
			if err := set(m, x); err != nil {
				return nil, err
			}
			return body.one(m, v)
		}}
	}
	return filter{stream: func(m *machine, v any, yield func(any) error) error {
		return source.run(m, v, func(x any) error {
			if err := set(m, x); err != nil {
				return err
			}
			return body.run(m, v, yield)
		})
	}}
}

func (d *director) bind(q *gojq.Query, scope *known) filter {
	source := d.query(q.Left, scope)
	if len(q.Patterns) != 1 {
		return d.not()
	}
	set, scope := d.pattern(q.Patterns[0], scope)
	return bound(source, set, d.query(q.Right, scope))
}

// pattern returns what puts a value into the variables of p.
func (d *director) pattern(p *gojq.Pattern, scope *known) (func(*machine, any) error, *known) {
	if p.Name != "" {
		scope = d.variable(p.Name, scope)
		slot := scope.slot
		return func(m *machine, v any) error {
			m.slots[slot] = v
			return m.take(2)
		}, scope
	}
	var parts []func(*machine, any) error
	part := func(get one, p *gojq.Pattern) {
		var set func(*machine, any) error
		set, scope = d.pattern(p, scope)
		parts = append(parts, func(m *machine, v any) error {
			x, err := get(m, v)
			if err != nil {
				return err
			}
			return set(m, x)
		})
	}
	for i, e := range p.Array {
		part(func(m *machine, v any) (any, error) {
			switch v.(type) {
			case nil, []any:
				return m.elementOf(v, i)
			}
			return nil, &gojqError{"expected an array but got", v}
		}, e)
	}
	for _, member := range p.Object {
		key, ok := member.Key, true
		switch {
		case key != "" && key[0] == '$':
			part(memberOf(key[1:]), &gojq.Pattern{Name: key})
			key = key[1:]
		case key == "" && member.KeyString != nil && member.KeyString.Queries == nil && member.KeyString.Str != "":
			key = member.KeyString.Str
		case key == "":
			ok = false
		}
		if !ok {
			d.not()
			continue
		}
		if member.Val != nil {
			part(memberOf(key), member.Val)
		}
	}
	return func(m *machine, v any) error {
		for _, set := range parts {
			if err := set(m, v); err != nil {
				return err
			}
		}
		return nil
	}, scope
}

// fold is reduce, or foreach if extract is not nil.
func (d *director) fold(source *gojq.Query, patterns []*gojq.Pattern, start, update, extract *gojq.Query, scope *known) filter {
	from, items := d.query(start, scope), d.query(source, scope)
	if len(patterns) != 1 || !from.strict() {
		return d.not()
	}
	set, inner := d.pattern(patterns[0], scope)
	step := d.query(update, inner)
	if extract == nil {
		return filter{one: func(m *machine, v any) (any, error) {
			state, err := from.one(m, v)
			if err != nil {
				return nil, err
			}
			err = items.run(m, v, func(x any) error {
				if err := m.take(2); err != nil {
					return err
				}
				if err := set(m, x); err != nil {
					return err
				}
				if step.strict() {
					state, err = step.one(m, state)
					return err
				}
				return step.run(m, state, func(x any) error {
					state = x
					return nil
				})
			})
			return state, err
		}}
	}
	out := d.query(extract, inner)
	return filter{stream: func(m *machine, v any, yield func(any) error) error {
		state, err := from.one(m, v)
		if err != nil {
			return err
		}
		return items.run(m, v, func(x any) error {
			if err := m.take(2); err != nil {
				return err
			}
			if err := set(m, x); err != nil {
				return err
			}
			return step.run(m, state, func(x any) error {
				state = x
				return out.run(m, x, yield)
			})
		})
	}}
}

func (d *director) labelled(l *gojq.Label, scope *known) filter {
	signal := &breakError{}
	body := d.query(l.Body, &known{up: scope, name: l.Ident, arity: label, label: signal})
	return filter{stream: func(m *machine, v any, yield func(any) error) error {
		err := body.run(m, v, yield)
		if errors.Is(err, signal) {
			return nil
		}
		return err
	}}
}
