package plan

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/sluice-proxy/sluice/codec/plan"
	"github.com/sluice-proxy/sluice/rules/internal/regex"
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
	re, err := compileRegex(text)
	if err != nil {
		return err
	}
	if e.Op == plan.Replace && e.All && re.Least == 0 {
		return refuse("replaces matches that may be empty")
	}
	e.Regex = re
	return nil
}

func compileRegex(text string) (*plan.Regex, error) {
	find, err := regexp.Compile(text)
	if err != nil {
		return nil, refuse("matches what is no regular expression")
	}
	cost, err := regex.CostOf(text)
	if err != nil {
		return nil, refuse("matches what is no regular expression")
	}
	re := &plan.Regex{Find: find, Weight: cost.Weight, Reach: cost.Reach, Least: cost.Least}
	if literal, whole := find.LiteralPrefix(); whole && literal != "" && find.NumSubexp() == 0 && !strings.ContainsRune(literal, utf8.RuneError) {
		re.Literal = []byte(literal)
	}
	return re, nil
}
