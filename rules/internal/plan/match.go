package plan

import (
	"regexp"
	"regexp/syntax"
	"slices"

	"github.com/itchyny/gojq"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// test compiles test(expression) and test(expression; flags), both literals.
func (c *compiler) test(args []*gojq.Query, in operand) (*plan.Expr, error) {
	e := &plan.Expr{Op: plan.Test}
	if err := match(e, args[0], args[1:]); err != nil {
		return nil, err
	}
	a, err := c.expr(in)
	e.Args = []*plan.Expr{a}
	return e, err
}

// replace compiles sub and gsub with a replacement that is a literal too.
func (c *compiler) replace(f *gojq.Func, in operand) (*plan.Expr, error) {
	e := &plan.Expr{Op: plan.Replace, All: f.Name == "gsub"}
	if err := match(e, f.Args[0], f.Args[2:]); err != nil {
		return nil, err
	}
	by, _ := constant(f.Args[1])
	if _, ok := by.(string); !ok {
		return nil, refuse("replaces a match by what it works out")
	}
	a, err := c.expr(in)
	e.Args = []*plan.Expr{a, literal(by)}
	return e, err
}

// match sets what e matches.
func match(e *plan.Expr, expression *gojq.Query, flags []*gojq.Query) error {
	v, _ := constant(expression)
	text, ok := v.(string)
	if !ok {
		return refuse("matches a regular expression that is no literal")
	}
	for _, q := range flags {
		v, _ := constant(q)
		letters, ok := v.(string)
		if !ok {
			return refuse("matches with flags that it works out")
		}
		for _, f := range letters {
			switch f {
			case 'g':
				e.All = true
			case 'i':
				text = "(?i)" + text
			default:
				return refuse("matches with the flag %c", f)
			}
		}
	}
	var err error
	if e.Regex, err = regexp.Compile(text); err != nil {
		return refuse("matches what is no regular expression")
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil || e.Op == plan.Replace && e.All && !matchesSome(parsed) {
		return refuse("replaces matches that may be empty")
	}
	return nil
}

// matchesSome reports whether no match of e is empty. Readers differ in where
// an empty one may stand behind another.
func matchesSome(e *syntax.Regexp) bool {
	switch e.Op {
	case syntax.OpLiteral:
		return len(e.Rune) > 0
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	case syntax.OpPlus, syntax.OpCapture:
		return matchesSome(e.Sub[0])
	case syntax.OpRepeat:
		return e.Min > 0 && matchesSome(e.Sub[0])
	case syntax.OpConcat:
		return slices.ContainsFunc(e.Sub, matchesSome)
	case syntax.OpAlternate:
		return !slices.ContainsFunc(e.Sub, func(e *syntax.Regexp) bool { return !matchesSome(e) })
	}
	return false
}
