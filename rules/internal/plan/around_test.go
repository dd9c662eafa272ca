package plan

import (
	"maps"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/rules/internal/jq"
)

func TestWhatStandsAroundAMessageHasAPlan(t *testing.T) {
	for src, want := range map[string]string{
		`.status >= 500 or (.body.errors | length) > 0`: "", `.body.error != null`: "", `.body == null`: "", `.headers["x-a"] == "1" and .body.a.b`: "", `any(.body.errors[]; .fatal)`: "", `.body | (.a == 1 and .b)`: "", `.grpc_status | IN("A", "B")`: "", `{a: .body.a, s: .status}`: "", `.body[]? == 1`: "yields more than one result", `.["body"].a`: "", `$v.a == .body.a`: "", `.body | any(.[]; . == 1)`: "", `.headers | .a`: "",

		`.`: "looks at its input as a whole", `. == {}`: "looks at its input as a whole", `length > 0`: "looks at its input as a whole", `any(.[]; .)`: "looks at its input as a whole", `if . then 1 else 2 end`: "looks at its input as a whole", `if .status then 1 end`: "looks at its input as a whole",
		`any(.headers[]; .)`: "looks at elements of what is not the message", `any(.; .)`: "asks any of other than the elements of one array", `has("body")`: "asks has of other than a name", `keys`: "calls keys/0", `.body as $x | $x`: "binds a variable", `.status = 1`: "edits a part of the message to make a value of it",
	} {
		if _, problems := jq.Compile(src, testVariables); len(problems) > 0 {
			t.Errorf("%s: %v", src, problems)
		}
		if p, why := Around(src, "body", testVariables); why != want || (p == nil) == (want == "") {
			t.Errorf("%s: why %q, want %q", src, why, want)
		}
	}
	for _, src := range []string{`.`, `. == null`, `.body.a == 1`, `any(.body[]; .)`, `.[""]`} {
		p, _ := Around(src, "", testVariables)
		if p != nil && len(p.Places) > 1 {
			t.Errorf("%s: looks at a message that is none", src)
		}
	}
}

// surroundings are what may stand around a message.
func surroundings() []map[string]any {
	return []map[string]any{
		{"status": 200, "error": nil, "headers": map[string]any{"a": "x", "b": "1, 2", "c": []any{"u", "v"}}, "f": 0.25},
		{"status": 503, "error": "reset", "headers": map[string]any{}, "f": 2.0, "e": ""},
		{"status": nil, "error": "x\xffX", "headers": map[string]any{"a": "\xff\xfe"}, "f": math.Copysign(0, -1), "e": "X y"},
		{},
	}
}

// judgement is a condition on a message and what stands around it.
func (c *choices) judgement() string {
	around := func() string {
		return c.pick(".status", ".error", ".headers.a", `.headers["b"]`, ".headers.c[1]", ".f", ".e", ".headers", ".g.h", "$v.a", ".body."+c.key(), ".body"+c.path(false))
	}
	switch c.of(7) {
	case 0, 1:
		return ".body" + c.path(false) + c.pick(" == ", " != ", " < ", " >= ") + c.literal()
	case 2:
		return around() + c.pick(" == ", " < ", " >= ", " and ", " or ", " // ", " + ") + around()
	case 3:
		return "(.body | " + c.cond() + ")"
	case 4:
		return "(" + c.judgement() + c.pick(" or ", " and ") + c.judgement() + ")"
	case 5:
		return c.pick("any", "all") + "(.body." + c.key() + "[]; " + c.element() + ")"
	}
	return "(" + around() + " | " + c.pick("not", `type == "string"`, `IN("x", 1, null)`, `startswith("x")`, `test("x"; "i")`, "length > 1", "ascii_downcase", "tostring", "tonumber", "floor", `. == null`) + ")"
}

// differAround compares a plan with its program on one text and what is around it.
func differAround(t testing.TB, src, member string, text []byte, rest map[string]any, n *tally) {
	p, why := Around(src, member, testVariables)
	differQuery(t, json.Codec{}, src, p, why, text, append(testValues(), rest), n, func(v any) any {
		input := maps.Clone(rest)
		if member != "" {
			input[member] = v
		}
		return input
	})
}

func TestPlansOfWhatIsAroundAreTheirPrograms(t *testing.T) {
	var n tally
	random := rand.New(rand.NewPCG(5, 6))
	for range programs() {
		seed := make([]byte, 400)
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		c := &choices{bytes: seed}
		src := c.judgement()
		for _, rest := range surroundings() {
			differAround(t, src, "body", []byte(c.text()), rest, &n)
			differAround(t, src, "", []byte("null"), rest, &n)
		}
	}
	t.Logf("%+v", n)
	if n.sure < n.compiled/3 {
		t.Errorf("mostly unsure: %+v", n)
	}
}

// FuzzAround makes conditions and texts of bytes and compares both routes.
func FuzzAround(f *testing.F) {
	f.Add([]byte{2, 7, 1, 8}, []byte{2, 8, 1, 8}, uint8(0))
	f.Fuzz(func(t *testing.T, program, text []byte, rest uint8) {
		var n tally
		around := surroundings()
		differAround(t, (&choices{bytes: program}).judgement(), "body", []byte((&choices{bytes: text}).text()), around[int(rest)%len(around)], &n)
	})
}
