package plan

import (
	"fmt"
	"strings"
)

// choices makes programs and texts of bytes: of equal bytes equal ones, and
// of no bytes the plainest.
type choices struct {
	bytes []byte
	deep  int
	under string // stands before the paths
}

func (c *choices) of(n int) int {
	if len(c.bytes) == 0 {
		return 0
	}
	b := int(c.bytes[0])
	c.bytes = c.bytes[1:]
	return b % n
}

func (c *choices) pick(options ...string) string { return options[c.of(len(options))] }

// nested calls f unless too much is nested already.
func (c *choices) nested(f func() string, instead string) string {
	if c.deep >= 3 {
		return instead
	}
	c.deep++
	defer func() { c.deep-- }()
	return f()
}

func (c *choices) key() string { return c.pick("a", "b", "c", "d") }

// path is mostly one that the texts have.
func (c *choices) path(loops bool) string {
	if c.of(4) > 0 {
		known := []string{".b", ".a.a", ".a.b", ".a.e", ".e", ".f", ".a.f.a", ".a", ".d[0]", ".c[1].a", ".c", ".d"}
		if loops {
			known = append(known, ".c[].a", ".c[].b", ".c[].e", ".c[]?.a", ".b[]?", ".f[]?.a", ".c[].f[].a", ".c[].f[]", ".c[].f[0].a", ".[].a", ".[]", ".[0].a", ".[].f[].a", ".d[]", ".c[]", ".a[]", ".c[].f.a")
		}
		return c.under + c.pick(known...)
	}
	p := c.under + "." + c.key()
	for range c.of(3) {
		switch c.of(7) {
		case 0, 1, 2:
			p += "." + c.key()
		case 3:
			p += `["` + c.pick("a", "b", `é"\"`[:2]) + `"]`
		case 4:
			p += "[" + c.pick("0", "1") + "]"
		case 5:
			if loops {
				p += "[]"
			}
		case 6:
			p += "?"
		}
	}
	return p
}

func (c *choices) literal() string {
	return c.pick("1", `"x"`, "null", "true", "false", "0", "2.5", `"X y"`, `"é\n\"<"`, "-3", "1.10", `""`, "[]", "{}", `[1,"x"]`, `{b: 1, a: "x"}`, "100000000000", "1e3")
}

func (c *choices) expr() string {
	path := func() string { return c.path(false) }
	switch c.of(16) {
	case 0:
		return c.literal()
	case 1, 2, 3:
		return path()
	case 4:
		return "."
	case 5:
		return "$v." + c.key()
	case 6:
		return c.nested(func() string {
			return "(" + c.expr() + " " + c.pick("==", "!=", "<", ">=", "and", "or", "//", "+", "-", "*", "/", "%", ">", "<=") + " " + c.expr() + ")"
		}, "1")
	case 7:
		return c.nested(func() string {
			return "(" + c.expr() + " | " + c.pick("not", "type", "length", "tostring", "tonumber", "ascii_downcase", "ascii_upcase", "trim", "ltrim", "rtrim",
				`ltrimstr("x")`, "floor", "round", "ceil", "trunc", `test("x|^1")`, `test("X.?Y"; "i")`, `sub("x";"yy")`, `gsub("[0-9]|x";"*")`, `gsub("";"-")`, `sub("X*";"é";"gi")`, `gsub("^x|$";"^")`, `rtrimstr("x")`, `startswith("x")`, `endswith("x")`, `contains("x")`) + ")"
		}, "2")
	case 8:
		return c.nested(func() string { return `"p\(` + c.expr() + `)q"` }, `"s"`)
	case 9:
		return c.nested(func() string { return "(if " + c.cond() + " then " + c.expr() + " else " + c.expr() + " end)" }, "3")
	case 10:
		return c.nested(func() string { return "{" + c.key() + ": " + c.expr() + "}" }, "{}")
	case 11:
		switch c.of(4) {
		case 1:
			return "([." + c.key() + "[] | " + c.nested(c.expr, ".a") + "] | add)"
		case 2:
			return "([." + c.key() + "[] | select(" + c.element() + ") | " + c.pick(".a", ".b * 2", ".a + .b", ".", ".a.b") + "] | add)"
		case 3:
			return "(" + c.path(false) + " | " + c.pick("add", "map(.a * .b) | add", "map(.a) | add | . * 2", "add(.[].a)", "map(.a // 0) | add") + ")"
		}
		return "(" + c.path(false) + " | length)"
	case 12:
		return c.nested(func() string { return "[" + c.expr() + ", " + c.expr() + "]" }, "[]")
	case 13:
		return c.cond()
	}
	return "(" + path() + " | " + c.pick("tostring", "tonumber", "ascii_downcase", "ascii_upcase", "length", "type") + ")"
}

// element is a condition on what is in an array.
func (c *choices) element() string {
	return c.pick(".a == 1", `.b == "x"`, ".e", `has("a")`, ".", ". == 1", `. != "x"`, "type == \"number\"", ".a < 2", ".c | not", c.nested(c.cond, "true"))
}

func (c *choices) cond() string {
	switch c.of(9) {
	case 0, 1:
		return c.path(false) + " == " + c.literal()
	case 2:
		return c.path(false)
	case 3:
		return `has("` + c.key() + `")`
	case 4:
		return c.pick("any", "all") + "(." + c.key() + "[]; " + c.nested(c.cond, ".") + ")"
	case 5:
		return c.path(false) + " " + c.pick("<", ">", "<=", "!=") + " " + c.literal()
	case 6:
		return "(" + c.path(false) + " | " + c.pick("not", `type == "string"`, `IN("x", 1, null)`, `startswith("x")`) + ")"
	case 7:
		return c.nested(func() string { return "(" + c.cond() + c.pick(" and ", " or ") + c.cond() + ")" }, "true")
	}
	return ". " + c.pick("==", "!=", "<") + " " + c.literal()
}

func (c *choices) edit() string {
	switch c.of(16) {
	case 0, 1, 2:
		return c.path(true) + " = " + c.expr()
	case 3:
		return "(" + c.path(true) + ", " + c.path(true) + ")" + c.pick(" = ", " |= ", " += ") + c.expr()
	case 4:
		return c.path(true) + " |= " + c.expr()
	case 5:
		return c.path(true) + " " + c.pick("+=", "-=", "*=", "//=", "/=", "%=") + " " + c.expr()
	case 6:
		return "del(" + c.path(true) + ")"
	case 7:
		return "del(" + c.path(true) + ", " + c.path(true) + ")"
	case 8:
		return "if " + c.cond() + " then " + c.nested(c.edits, ".") + c.pick(" else . end", " end", " else "+c.nested(c.edits, ".")+" end")
	case 9:
		return c.path(true) + " |= (" + c.nested(c.edits, ".") + ")"
	case 10:
		return c.path(false) + " |= " + c.pick("map", "map_values") + "(" + c.nested(c.edits, ".") + ")"
	case 11:
		return c.pick(".c", ".d", c.path(false)) + " |= map(select(" + c.element() + "))"
	case 12:
		return "del(" + c.pick(".c", ".d", c.path(false)) + "[] | select(" + c.element() + ")" + c.pick("", " | ."+c.key()) + ")"
	case 13:
		return "(" + c.pick(".c", ".d", c.path(false)) + "[] | select(" + c.element() + ")" + c.pick(" | ."+c.key()+")", ")."+c.key(), ")") + c.pick(" = ", " |= ", " += ") + c.expr()
	case 14:
		return c.path(false) + " |= map(" + c.expr() + ")"
	}
	return c.path(true) + " |= {" + c.key() + ", b: " + c.expr() + "}"
}

func (c *choices) edits() string {
	out := c.edit()
	for range c.of(3) {
		out += " | " + c.edit()
	}
	return out
}

func (c *choices) program() string {
	out := c.edits()
	switch c.of(12) {
	case 1:
		return c.expr()
	case 2:
		return "select(" + c.cond() + ") | " + out
	case 3:
		return "{a, d: " + c.expr() + "}"
	case 4:
		return out + " | " + c.expr()
	case 5:
		return "map(" + c.edit() + ")"
	case 7:
		return "if " + c.cond() + " then " + c.pick("empty", `error("x")`, ".a |= error", "error(.a)") + " else " + c.edit() + " end"
	case 6:
		return ". " + c.pick("+", "+=") + " {" + c.key() + ": " + c.expr() + ", e: " + c.expr() + "} | " + c.edit()
	}
	return out
}

// steps are mostly one.
func (c *choices) steps() []Step {
	var steps []Step
	for {
		s := Step{}
		if c.of(4) == 3 {
			s.When = c.cond()
		}
		if c.of(8) == 7 {
			s.Stop = true
		} else {
			s.JQ = c.program()
		}
		steps = append(steps, s)
		if c.of(4) < 3 {
			return steps
		}
	}
}

func (c *choices) space() string {
	if c.of(4) > 0 {
		return ""
	}
	return c.pick(" ", "\n\t", "  ", "\r")
}

func (c *choices) scalar() string {
	return c.pick("1", `"x"`, "null", "true", "false", "0", "-0", "2.5", "1.0", "1.10", `"X"`, `"\u0078"`, `"é"`, `"a\nb"`, `"\ud800"`, "12345678901234567890", "1e400", "1E2", `""`, `"x y"`, "-3", "2.50", `"7"`)
}

func (c *choices) plainScalar() string {
	if c.of(5) == 0 {
		return c.scalar()
	}
	return c.pick("1", "2", `"x"`, `"X y"`, "null", "true", "7")
}

func (c *choices) value(depth int) string {
	kind := c.of(6)
	if depth == 0 || kind < 2 {
		return c.scalar()
	}
	var b strings.Builder
	b.WriteString(c.pick("{", "[", "{"))
	object := b.String() == "{"
	count := c.of(5)
	same := ""
	for i := range count {
		if i > 0 {
			b.WriteString(c.space() + ",")
		}
		b.WriteString(c.space())
		if object {
			key := c.pick("a", "b", "c", "d", "e", "f", `\u0061`)
			if c.of(16) > 0 { // rarely twice the same
				key = []string{"a", "b", "c", "d", "e"}[(i+c.of(2))%5]
			}
			fmt.Fprintf(&b, "\"%s\"%s:%s", key, c.space(), c.space())
		}
		if same == "" || c.of(3) > 0 {
			same = c.value(depth - 1)
		}
		b.WriteString(same)
	}
	b.WriteString(c.space())
	if object {
		return b.String() + "}"
	}
	return b.String() + "]"
}

// text is a JSON text, at times a broken one.
func (c *choices) text() string {
	t := c.space()
	if c.of(3) > 0 {
		object := func() string {
			members := ""
			for _, key := range []string{"a", "b", "c", "e"} {
				if c.of(4) > 0 {
					if members != "" {
						members += c.space() + ","
					}
					members += c.space() + `"` + key + `"` + c.space() + ":" + c.space() + c.plainScalar()
				}
			}
			return "{" + members + c.space() + "}"
		}
		if c.of(3) == 0 { // elements that are easily taken for one another
			object = func() string {
				return "{" + c.space() + `"a":` + c.space() + c.pick("1", "2", "1.0", `"x"`, "null") + c.pick("", "", `,"b":1`, `,"b": "x"`) + "}"
			}
		}
		flat := object
		object = func() string {
			if c.of(4) > 0 {
				return flat()
			}
			return `{"a":` + c.plainScalar() + `,"f": [` + flat() + "," + c.space() + flat() + "]" + c.space() + "}"
		}
		array := func(element func() string) string {
			elements := ""
			for i := range c.of(5) {
				if i > 0 {
					elements += c.space() + ","
				}
				elements += c.space() + element()
			}
			return "[" + elements + c.space() + "]"
		}
		if c.of(5) == 4 {
			return t + array(object) + c.space()
		}
		t += `{"a":` + object() + `,"b":` + c.plainScalar() + `, "c":` + array(object) + `,"d": ` + array(c.plainScalar) + "}"
	} else if c.of(8) > 0 {
		t += "{"
		for i, key := range []string{"a", "b", "c"} {
			if i > 0 {
				t += "," + c.space()
			}
			t += `"` + key + `":` + c.space() + c.value(3)
		}
		t += c.pick("", `,"e": 1`, ` ,"z":[1, 2]`, `,"a":3`) + "}"
	} else {
		t += c.value(3)
	}
	if c.of(40) == 39 {
		at := c.of(len(t) + 1)
		t = t[:at] + c.pick("", ",", `"`, "}", "\x00", "\xff", "1") + t[min(at+1, len(t)):]
	}
	return t + c.space()
}
