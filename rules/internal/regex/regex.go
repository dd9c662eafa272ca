// Package regex says what it costs at most to look for a regular expression. Go's
// engine is linear in the text for one match, but not for all of them: each may
// look far beyond its own end, and the next begins there again.
package regex

import "regexp/syntax"

// Cost is what a search may cost. A search for one match costs Weight steps for
// each byte of the text.
type Cost struct {
	Weight int
	// Reach is how often the search for all matches looks at a byte, at most. Zero:
	// as often as there are matches.
	Reach int
	// Least is the length of the shortest match, in characters.
	Least int
}

// unbounded is the length of what may be of any.
const unbounded = -1

// CostOf returns the cost of an expression in Perl's syntax. It errs if it is none.
func CostOf(text string) (Cost, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return Cost{}, err
	}
	c := Cost{Weight: 1}
	if program, err := syntax.Compile(parsed.Simplify()); err == nil {
		c.Weight += len(program.Inst) / 16
	}
	var longest int
	c.Least, longest = lengths(parsed)
	switch {
	case isClass(parsed), parsed.Op == syntax.OpPlus && isClass(parsed.Sub[0]) && parsed.Flags&syntax.NonGreedy == 0:
		c.Reach = 1
	case longest != unbounded:
		c.Reach = reach(longest, c.Least)
	default:
		if head, ok := beforeRow(parsed); ok {
			c.Reach = reach(head, c.Least)
		}
	}
	return c, nil
}

// reach is for matches beyond whose end a search looks at most ahead characters:
// what began before a match, or with it, and came to nothing, was no longer.
func reach(ahead, least int) int {
	return 1 + (2*(ahead+1)+max(least, 1)-1)/max(least, 1)
}

// beforeRow returns the most characters that stand before the row of characters of
// one class in which e ends: such as 7 for secret=[^&]+. What is in the row is a
// match already, so that nothing is looked at for longer without being one.
func beforeRow(e *syntax.Regexp) (longest int, ok bool) {
	for e.Op == syntax.OpCapture {
		e = e.Sub[0]
	}
	if e.Op != syntax.OpConcat {
		return 0, isRow(e)
	}
	last := len(e.Sub) - 1
	if !isRow(e.Sub[last]) {
		return 0, false
	}
	for _, sub := range e.Sub[:last] {
		_, most := lengths(sub)
		if most == unbounded {
			return 0, false
		}
		longest += most
	}
	return longest, true
}

// isRow reports whether e is any number of characters of one class.
func isRow(e *syntax.Regexp) bool {
	for e.Op == syntax.OpCapture {
		e = e.Sub[0]
	}
	switch e.Op {
	case syntax.OpStar, syntax.OpPlus:
		return isClass(e.Sub[0])
	case syntax.OpRepeat:
		return e.Max < 0 && e.Min <= 1 && isClass(e.Sub[0])
	}
	return false
}

func isClass(e *syntax.Regexp) bool {
	switch e.Op {
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	case syntax.OpLiteral:
		return len(e.Rune) == 1
	}
	return false
}

// lengths are those of the shortest and the longest match of e, in characters.
func lengths(e *syntax.Regexp) (least, most int) {
	switch e.Op {
	case syntax.OpLiteral:
		return len(e.Rune), len(e.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1, 1
	case syntax.OpCapture:
		return lengths(e.Sub[0])
	case syntax.OpStar:
		return 0, unbounded
	case syntax.OpPlus:
		least, _ = lengths(e.Sub[0])
		return least, unbounded
	case syntax.OpQuest:
		_, most = lengths(e.Sub[0])
		return 0, most
	case syntax.OpRepeat:
		least, most = lengths(e.Sub[0])
		if e.Max < 0 || most == unbounded {
			return least * e.Min, unbounded
		}
		return least * e.Min, most * e.Max
	case syntax.OpConcat:
		for _, sub := range e.Sub {
			l, m := lengths(sub)
			least += l
			if m == unbounded || most == unbounded {
				most = unbounded
			} else {
				most += m
			}
		}
		return least, most
	case syntax.OpAlternate:
		least, most = lengths(e.Sub[0])
		for _, sub := range e.Sub[1:] {
			l, m := lengths(sub)
			least = min(least, l)
			if m == unbounded || most == unbounded {
				most = unbounded
			} else {
				most = max(most, m)
			}
		}
		return least, most
	}
	return 0, 0 // what is empty
}
