package yaml_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generated returns layouts, as those above, that nobody thought of: blocks and
// flow in one another at any indentation, with comments and blank lines between.
func generated(count int) []string {
	var list []string
	for seed := range count {
		g := generator{Rand: rand.New(rand.NewPCG(uint64(seed), 1))}
		if g.IntN(3) == 0 {
			g.b.WriteString("# head\n---\n")
		}
		if g.IntN(2) == 0 {
			g.mapping(0, 0)
		} else {
			g.sequence(0, 0)
		}
		if g.IntN(3) == 0 {
			g.b.WriteString("# end\n")
		}
		text := g.b.String()
		if g.IntN(4) == 0 && !strings.HasSuffix(text, "more›\n") { // "|" would keep no line break
			text = strings.TrimSuffix(text, "\n")
		}
		if g.IntN(4) == 0 {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		list = append(list, text)
	}
	return list
}

type generator struct {
	*rand.Rand
	b    strings.Builder
	last int // scalar
}

func (g *generator) spaces(n int) { g.b.WriteString(strings.Repeat(" ", n)) }

// between writes comments and blank lines between two lines at indent.
func (g *generator) between(indent int) {
	for g.IntN(5) == 0 {
		if g.IntN(2) == 0 {
			g.spaces(indent)
			g.b.WriteString("# between")
		}
		g.b.WriteByte('\n')
	}
}

// mapping writes a block mapping where a line has come to indent.
func (g *generator) mapping(indent, depth int) {
	for i := range 1 + g.IntN(4) {
		if i > 0 {
			g.between(indent)
			g.spaces(indent)
		}
		fmt.Fprintf(&g.b, "k%d%s:", i, strings.Repeat(" ", g.IntN(2)))
		switch kind := g.IntN(8); {
		case kind == 0 && depth < 4:
			g.below(g.mapping, indent+1+g.IntN(4), depth)
		case kind == 1 && depth < 4:
			g.below(g.sequence, indent+g.IntN(4), depth)
		default:
			g.spaces(1 + g.IntN(3))
			g.inline(indent, depth)
		}
	}
}

func (g *generator) below(block func(indent, depth int), indent, depth int) {
	g.comment()
	g.b.WriteByte('\n')
	g.between(indent)
	g.spaces(indent)
	block(indent, depth+1)
}

func (g *generator) comment() {
	if g.IntN(5) == 0 {
		g.b.WriteString("  # c: [")
	}
}

// sequence writes a block sequence where a line has come to indent.
func (g *generator) sequence(indent, depth int) {
	for i := range 1 + g.IntN(4) {
		if i > 0 {
			g.between(indent)
			g.spaces(indent)
		}
		n := 1 + g.IntN(3)
		g.b.WriteByte('-')
		g.spaces(n)
		switch kind := g.IntN(6); {
		case kind == 0 && depth < 4:
			g.mapping(indent+1+n, depth+1)
		case kind == 1 && depth < 4:
			g.sequence(indent+1+n, depth+1)
		default:
			g.inline(indent, depth)
		}
	}
}

// inline writes a value that ends its line, within a block at indent.
func (g *generator) inline(indent, depth int) {
	if g.IntN(8) == 0 {
		g.last++
		header, inner := "|", strings.Repeat(" ", indent+1+g.IntN(3))
		if g.IntN(2) == 0 {
			header = ">-"
		}
		fmt.Fprintf(&g.b, "‹%s\n%sv%d\n\n%smore›\n", header, inner, g.last, inner)
		return
	}
	g.flow(depth)
	g.comment()
	g.b.WriteByte('\n')
}

// flow writes a scalar or a flow collection on one line.
func (g *generator) flow(depth int) {
	kind := g.IntN(12)
	if depth > 4 {
		kind = 11
	}
	switch kind {
	case 0:
		g.b.WriteByte('{')
		for i := range g.IntN(4) {
			fmt.Fprintf(&g.b, "%sf%d: ", strings.Repeat(" ", g.IntN(2)), i)
			g.flow(depth + 1)
			g.b.WriteByte(',')
		}
		g.b.WriteByte('}')
	case 1:
		g.b.WriteByte('[')
		for range g.IntN(4) {
			g.flow(depth + 1)
			g.b.WriteString(" , ")
		}
		g.b.WriteByte(']')
	default:
		g.last++
		style := [...]string{"‹v%d›", "‹'v%d'›", "‹\"v%d\"›", "&a%[1]d ‹v%[1]d›"}[g.IntN(4)]
		fmt.Fprintf(&g.b, style, g.last)
	}
}
