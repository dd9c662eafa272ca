package plan

import "google.golang.org/protobuf/encoding/protowire"

// wireChoices makes programs and messages of kinds.All of bytes.
type wireChoices struct {
	choices
	old bool // of old.Old
}

func (c *wireChoices) path(loops bool) string {
	if c.old {
		known := []string{".id", ".name", ".Inner.x", ".Inner", ".level", `.["[old.note]"]`, `.["[old.marks]"]`, ".numbers", ".numbers[0]", ".Many", ".Many[0].y", ".Many[1].y"}
		if loops {
			known = append(known, ".Many[].y", ".numbers[]", `.["[old.marks]"][]`, ".Many[].y", ".Many[]")
		}
		return c.pick(known...)
	}
	known := []string{
		".text", ".i32", ".maybe", ".node.name", ".node.weight", ".node.next.name", ".node", ".node.next", ".maybe_text", ".flag", ".color", ".dbl", ".s64", ".u64",
		".flt", ".data", ".nodes[0].name", ".nodes[1].weight", ".nodes", ".words", ".words[0]", ".numbers[1]", ".pick_text", ".pick_number", ".pick_node.name", ".at",
		".took", ".wrapped", ".counts", ".by_id", ".missing", ".node.missing", ".counts.l", ".by_flag[\"true\"]", ".by_big[\"1\"]", ".by_big[\"18446744073709551615\"]", ".sf32", ".s32", ".u32", ".f64", ".value", ".colors[0]", ".loose", ".colors", ".times", ".mask", ".empty", ".object", ".counts.k", ".pick_node",
	}
	if loops {
		known = append(known, ".nodes[].name", ".nodes[].weight", ".nodes[].next.name", ".nodes[].next", ".nodes[].children[].name", ".words[]", ".numbers[]",
			".loose[]", ".colors[]", ".nodes[]", ".nodes[]?.name", ".nodes[].name", ".nodes[].weight", ".node.children[].weight", ".times[]")
	}
	return c.pick(known...)
}

func (c *wireChoices) literal() string {
	return c.pick(`"x"`, "1", "0", "null", "true", "false", `""`, "2.5", `"GREEN"`, `"RED"`, `"BLACK"`, "-3", `"X y"`, `"QUI="`, `"2024-01-02T03:04:05Z"`, `"1.5s"`, "[]", "{}",
		`["x"]`, `{name: "x"}`, "100000000000", "1e3", "7", `"é"`, "2")
}

func (c *wireChoices) expr() string {
	switch c.of(14) {
	case 0, 1, 2:
		return c.literal()
	case 3, 4:
		return c.path(false)
	case 5:
		return c.pick("$v.a", "$v.b", "$v.d", "$v.c", "$now")
	case 6, 7:
		return c.nested(func() string {
			return "(" + c.expr() + " " + c.pick("==", "!=", "<", ">=", "and", "or", "//", "+", "-", "*", "/", "%") + " " + c.expr() + ")"
		}, "1")
	case 8:
		return c.nested(func() string {
			return "(" + c.expr() + " | " + c.pick("not", "type", "length", "tostring", "tonumber", "ascii_downcase", "ascii_upcase", "trim", "floor", "round",
				`ltrimstr("x")`, `test("x|^1")`, `startswith("x")`, `contains("x")`) + ")"
		}, "2")
	case 9:
		return c.nested(func() string { return `"p\(` + c.expr() + `)q"` }, `"s"`)
	case 10:
		return c.nested(func() string { return "(if " + c.cond() + " then " + c.expr() + " else " + c.expr() + " end)" }, "3")
	case 11:
		if c.of(2) == 1 {
			return c.pick("([.nodes[].weight] | add)", "(.counts | add)", "([.nodes[] | .weight * 2] | add)", `([.nodes[] | select(.name == "x") | .weight] | add)`, "(.nodes | map(.weight) | add)", "(.words | add)", "([.nodes[] | .next.weight] | add)")
		}
		return "(" + c.path(false) + " | length)"
	case 12:
		return c.cond()
	}
	return "(" + c.path(false) + " | " + c.pick("tostring", "ascii_upcase", "length", "type") + ")"
}

func (c *wireChoices) cond() string {
	switch c.of(7) {
	case 0, 1:
		return c.path(false) + " " + c.pick("==", "!=", "<", ">") + " " + c.literal()
	case 2:
		return c.path(false)
	case 3:
		return c.pick(`has("text")`, `has("maybe")`, `has("missing")`, `(.node | has("name"))`, `has("node")`, `has("words")`)
	case 4:
		return c.pick("any", "all") + "(" + c.pick(`.nodes[]; .name == "x"`, ".nodes[]; .weight > 1", `.words[]; . == "x"`, ".nodes[]; .next", ".colors[]; . == \"RED\"", ".counts[]; . == 1") + ")"
	case 5:
		return "(" + c.path(false) + " | " + c.pick("not", `type == "string"`, `IN("x", 1, null)`) + ")"
	}
	return c.nested(func() string { return "(" + c.cond() + c.pick(" and ", " or ") + c.cond() + ")" }, "true")
}

func (c *wireChoices) element() string {
	return c.pick(`.name == "x"`, ".weight > 1", ".next", `has("next")`, ". == 1", `. != "x"`, `. == "RED"`, "type == \"number\"", ". < 2", "true", "false", ".name")
}

func (c *wireChoices) edit() string {
	if !c.old && c.of(2) == 1 {
		return c.pick(usualOnWire...)
	}
	switch c.of(15) {
	case 0, 1, 2, 3:
		return c.path(true) + " = " + c.expr()
	case 4:
		return "(" + c.path(true) + ", " + c.path(true) + ")" + c.pick(" = ", " |= ") + c.expr()
	case 5:
		return c.path(true) + " |= " + c.pick(c.expr(), ". + 1", ". + \"x\"", "ascii_upcase", ". // \"x\"", ".")
	case 6, 7:
		return c.path(true) + " " + c.pick("+=", "-=", "*=", "//=") + " " + c.expr()
	case 8:
		return "del(" + c.path(true) + ")"
	case 9:
		return "del(" + c.path(true) + ", " + c.path(true) + ")"
	case 10:
		return "if " + c.cond() + " then " + c.nested(c.edits, ".") + c.pick(" else . end", " end", " else "+c.nested(c.edits, ".")+" end")
	case 11:
		return c.pick(".node", ".nodes[]", ".node.next", ".nodes[].next", ".pick_node") + " |= (" + c.pick(`.name = "x"`, ".weight = 1", ".weight += 1", "del(.name)", ".next.name = .name", "if .name == \"x\" then .weight = 2 else . end", ". + {name: \"x\", weight: 7}") + ")"
	case 12:
		return c.pick(".nodes", ".words", ".numbers", ".colors", ".node.children", ".times", ".loose") + " |= map(" + c.pick("select("+c.element()+")", ".", ". + 1", `.name = "x"`, `ascii_upcase`) + ")"
	case 13:
		return "del(" + c.pick(".nodes", ".words", ".numbers") + "[] | select(" + c.element() + ")" + c.pick("", " | .name") + ")"
	}
	return "(" + c.pick(".nodes", ".words", ".nodes[0].children") + "[] | select(" + c.element() + ")" + c.pick(").name", ").weight", ")") + c.pick(" = ", " |= ", " += ") + c.expr()
}

func (c *wireChoices) edits() string {
	out := c.edit()
	for range c.of(3) {
		out += " | " + c.edit()
	}
	return out
}

func (c *wireChoices) program() string {
	switch c.of(12) {
	case 1:
		return "select(" + c.cond() + ") | " + c.edits()
	case 2:
		return ". + {" + c.pick("text", "i32", "maybe", "flag") + ": " + c.expr() + "} | " + c.edit()
	case 3:
		return "if " + c.cond() + " then " + c.pick("empty", `error("x")`) + " else " + c.edit() + " end"
	case 4:
		return c.pick("{text, i32: "+c.expr()+"}", "{node}", c.expr())
	}
	return c.edits()
}

func (c *wireChoices) steps() []Step {
	var steps []Step
	for {
		s := Step{}
		if c.of(4) == 3 {
			s.When = c.cond()
		}
		if s.Stop = c.of(8) == 7; !s.Stop {
			s.JQ = c.program()
		}
		if steps = append(steps, s); c.of(4) < 3 {
			return steps
		}
	}
}

func (c *wireChoices) varint(n uint64) []byte {
	b := protowire.AppendVarint(nil, n)
	if c.of(24) == 23 { // a longer spelling
		b[len(b)-1] |= 0x80
		b = append(b, 0)
	}
	return b
}

func (c *wireChoices) tagged(number protowire.Number, typ protowire.Type, value []byte) []byte {
	b := c.varint(protowire.EncodeTag(number, typ))
	if typ == protowire.BytesType {
		b = append(b, c.varint(uint64(len(value)))...)
	}
	return append(b, value...)
}

func (c *wireChoices) number() []byte {
	return c.varint([]uint64{1, 2, 0, 7, 300, 1 << 40, 1<<64 - 1, 1 << 63}[c.of(8)])
}

func (c *wireChoices) words() []byte { return []byte(c.pick("x", "", "abc", "X y", "é", "7", "x")) }

func (c *wireChoices) node(depth int) []byte {
	var b []byte
	for range c.of(4) {
		switch c.of(6) {
		case 0, 1:
			b = append(b, c.tagged(1, protowire.BytesType, c.words())...)
		case 2:
			b = append(b, c.tagged(2, protowire.VarintType, c.number())...)
		case 3:
			if depth > 0 {
				b = append(b, c.tagged(3, protowire.BytesType, c.node(depth-1))...)
			}
		case 4:
			if depth > 0 {
				b = append(b, c.tagged(4, protowire.BytesType, c.node(depth-1))...)
			}
		case 5:
			b = append(b, c.tagged(999, protowire.BytesType, []byte{byte('a' + c.of(9))})...)
		}
	}
	return b
}

// message is a kinds.All or an old.Old, at times a broken one.
func (c *wireChoices) message() []byte {
	var b []byte
	if c.old {
		b = c.tagged(1, protowire.VarintType, c.number())
		for range c.of(8) {
			number := []protowire.Number{2, 3, 4, 4, 4, 5, 5, 6, 100, 101, 5, 101, 999}[c.of(13)]
			switch number {
			case 2, 100, 999:
				b = append(b, c.tagged(number, protowire.BytesType, c.words())...)
			case 3, 4:
				b = append(b, c.tagged(number, protowire.StartGroupType, nil)...)
				if c.of(4) > 0 {
					b = append(b, c.tagged(1, protowire.VarintType, c.number())...)
				}
				if c.of(4) == 3 {
					b = append(b, c.tagged(999, protowire.BytesType, c.words())...)
				}
				b = append(b, c.tagged(number, protowire.EndGroupType, nil)...)
			default:
				if number == 5 && c.of(2) == 1 {
					b = append(b, c.tagged(number, protowire.BytesType, c.number())...)
				} else {
					b = append(b, c.tagged(number, protowire.VarintType, c.number())...)
				}
			}
		}
		return b
	}
	count := c.of(12)
	for range count {
		var r []byte
		switch c.of(22) {
		case 0, 1, 2, 3, 4:
			r = c.tagged(22, protowire.BytesType, c.node(2))
		case 5:
			r = c.tagged(14, protowire.BytesType, c.words())
		case 6:
			r = c.tagged(17, protowire.BytesType, c.node(2))
		case 7:
			r = c.tagged([]protowire.Number{1, 2, 3, 6, 7, 8, 13, 16, 18, 29, 39}[c.of(11)], protowire.VarintType, c.number())
		case 8:
			r = c.tagged([]protowire.Number{4, 5, 11}[c.of(3)], protowire.Fixed32Type, []byte{0, byte(c.of(3)), 192, 63 + byte(c.of(4))*64})
		case 9:
			r = c.tagged([]protowire.Number{9, 10, 12}[c.of(3)], protowire.Fixed64Type, []byte{0, 0, 0, 0, 0, byte(c.of(2)), 248 * byte(c.of(2)), 63 + byte(c.of(3))*64})
		case 10, 11:
			r = c.tagged(21, protowire.BytesType, c.words())
		case 12:
			packed := c.number()
			for range c.of(3) {
				packed = append(packed, c.number()...)
			}
			r = c.tagged([]protowire.Number{20, 23, 42}[c.of(3)], protowire.BytesType, packed)
		case 13:
			r = c.tagged([]protowire.Number{20, 23, 42}[c.of(3)], protowire.VarintType, c.number())
		case 14:
			r = c.tagged([]protowire.Number{19, 27, 15}[c.of(3)], protowire.BytesType, c.words())
		case 15:
			r = c.tagged(28, protowire.BytesType, c.node(1))
		case 16:
			r = c.tagged([]protowire.Number{30, 31, 41}[c.of(3)], protowire.BytesType, c.tagged(1, protowire.VarintType, c.number()))
		case 17:
			r = c.tagged(24, protowire.BytesType, append(c.tagged(1, protowire.BytesType, []byte(c.pick("k", "l"))), c.tagged(2, protowire.VarintType, c.number())...))
		case 18:
			if c.of(3) == 0 {
				r = c.tagged(38, protowire.BytesType, append(c.tagged(1, protowire.VarintType, c.number()), c.tagged(2, protowire.BytesType, c.words())...))
				break
			}
			if c.of(3) == 0 {
				r = c.tagged(26, protowire.BytesType, append(c.tagged([]protowire.Number{2, 9}[c.of(2)], protowire.VarintType, []byte{byte(c.of(3))}), c.tagged(1, protowire.VarintType, []byte{1})...))
				break
			}
			r = c.tagged(25, protowire.BytesType, append(c.tagged(1, protowire.VarintType, c.number()), c.tagged(2, protowire.BytesType, c.node(1))...))
		case 19:
			r = c.tagged(35, protowire.BytesType, c.tagged(1, protowire.VarintType, c.number()))
		case 20:
			r = c.tagged(999, protowire.BytesType, c.words())
		case 21:
			r = c.tagged(33, protowire.BytesType, c.tagged(3, protowire.BytesType, c.words()))
		}
		if len(r) > 0 && c.of(200) == 199 {
			r[c.of(len(r))] ^= byte(1 << c.of(8))
		}
		b = append(b, r...)
	}
	return b
}
