package plan

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-proxy/sluice/codec/plan"
	"github.com/sluice-proxy/sluice/codec/protobuf"
)

func kindsFiles(t testing.TB) *protobuf.Files {
	t.Helper()
	var sources []protobuf.File
	for _, name := range []string{"kinds.proto", "old.proto"} {
		data, err := os.ReadFile("../../../codec/protobuf/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, protobuf.File{Name: name, Data: data})
	}
	files, err := protobuf.NewFiles(sources...)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// wireCodecs are those of kinds.All and old.Old.
func wireCodecs(t testing.TB) (all, old plan.Editor) {
	t.Helper()
	files := kindsFiles(t)
	editor := func(message string) plan.Editor {
		c, err := files.Message(message)
		if err != nil {
			t.Fatal(err)
		}
		return c.(plan.Editor)
	}
	return editor("kinds.All"), editor("old.Old")
}

func TestPlansAreTheirProgramsOnWire(t *testing.T) {
	var n tally
	all, old := wireCodecs(t)
	random := rand.New(rand.NewPCG(5, 6))
	for i := range programs() {
		seed := make([]byte, 800)
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		c, of := &wireChoices{choices{bytes: seed}, i%4 == 3}, all
		if c.old {
			of = old
		}
		steps := c.steps()
		for range 3 {
			differ(t, of, steps, c.message(), &n)
		}
	}
	t.Logf("%+v", n)
}

func TestValuesAreTheirProgramsOnWire(t *testing.T) {
	var n tally
	all, old := wireCodecs(t)
	random := rand.New(rand.NewPCG(7, 8))
	for i := range programs() {
		seed := make([]byte, 800)
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		c, of := &wireChoices{choices{bytes: seed}, i%4 == 3}, all
		if c.old {
			of = old
		}
		src := c.cond()
		if c.of(2) == 1 {
			src = c.expr()
		}
		for range 3 {
			differValue(t, of, src, c.message(), &n)
		}
	}
	t.Logf("%+v", n)
}

// usualOnWire are programs as rule files have them, which must run as plan.
var usualOnWire = []string{
	`.text = "x"`, `.text = "masked" | del(.maybe_text)`, `.node.next.name = "x"`, `.i32 += 1`, `.s64 -= 1`, `.maybe = 0`, `.maybe = null`, `.flag = true`, `.color = "RED"`, `.dbl *= 2`,
	`.data = "QUI="`, `del(.node)`, `del(.nodes)`, `del(.counts)`, `.nodes[].name = "x"`, `del(.nodes[].weight)`, `.nodes[].weight += 1`, `.nodes |= map(select(.weight > 1))`, `del(.nodes[0])`,
	`.words[] |= ascii_upcase`, `del(.words[0])`, `.words |= map(select(. != "x"))`, `.numbers[] += 1`, `.at = "2024-01-02T03:04:05Z"`, `.wrapped = 5`, `.took = "1.5s"`, `select(.flag)`,
	`if .flag and .node.name == "x" then .text = .node.name else .i32 = 1 end`, `.text = "\(.i32) \(.flag)"`, `if any(.nodes[]; .name == "x") then .flag = true else . end`,
	`.nodes[].next.name = "x"`, `(.nodes[] | select(.name == "x")).weight = 1`, `.text = (.nodes | length | tostring)`, `.maybe_text //= "none"`, `. + {text: "a", i32: 2}`, `.node |= (.name = "x" | .weight = 7)`,
	`if has("maybe") then .maybe += 1 else . end`, `.text |= ascii_downcase`, `.text |= gsub("[aeiou]"; "*")`, `.nodes[].name |= sub("^x"; "y")`, `.text = $v.a`, `del(.missing)`, `.words = ["a", "b"]`, `.words += ["x"]`, `.numbers = []`, `.counts = {a: 1}`, `.counts += {a: 1, k: 2}`, `.node = {name: "x", next: {weight: 1}}`,
	`.mask = "a,b"`, `.words = $v.d`, `.colors = ["RED"]`, `.node = {}`, `.nodes += [{name: "x"}]`, `.nodes = [{name: "x"}, {weight: 5}]`, `.words = .words + .words`, `.object = {a: [1]}`, `.by_flag = {"true": "RED"}`,
	`.counts.k = 5`, `.counts.z = 1 | .counts.b = 2`, `del(.counts.k)`, `.counts.k += 1`, `.by_flag["true"] = "RED"`, `.by_big["1"] = "x"`,
	`if .counts.k == 1 then .counts = null else . end`, `.text = (.counts.k | tostring)`, `if .counts | has("k") then .flag = true else . end`,
	`if .at < "2024" then .flag = false else . end`,
}

func TestUsualProgramsRunOnWire(t *testing.T) {
	all, _ := wireCodecs(t)
	text := func(number protowire.Number, s string) string {
		return string(protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), s))
	}
	unknown := text(999, "kept")
	data := unknown + "\x08\x07" + text(22, text(1, "a")+unknown+"\x10\x05") + text(14, "Text") + text(22, text(1, "x")+text(3, text(1, "deep"))) + text(21, "w") + text(21, "x") +
		text(20, "\x01\x02\x03") + text(17, text(1, "x")+text(3, unknown)) + "\x68\x01" + text(19, "maybe") + text(30, "\x08\x01") + text(24, text(1, "k")+"\x10\x01") + unknown
	for _, src := range usualOnWire {
		for _, data := range []string{data, "", unknown} {
			var n tally
			differ(t, all, []Step{{JQ: src}}, []byte(data), &n)
			if n.sure == 0 && n.failed == 0 && !strings.HasPrefix(src, ".nodes +=") && !strings.HasPrefix(src, ".nodes =") { // elements that stand apart
				t.Errorf("%s on %q: %+v", src, data, n)
			}
		}
	}
}

// FuzzWire makes programs and messages of bytes and compares both routes.
func FuzzWire(f *testing.F) {
	f.Add([]byte{}, []byte{}, false)
	f.Add([]byte{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5}, []byte{8, 9, 7, 9, 3, 2, 3, 8, 4, 6}, true)
	all, old := wireCodecs(f)
	f.Fuzz(func(t *testing.T, program, message []byte, isOld bool) {
		var n tally
		of := all
		if isOld {
			of = old
		}
		steps := (&wireChoices{choices{bytes: program}, isOld}).steps()
		differ(t, of, steps, (&wireChoices{choices{bytes: message}, isOld}).message(), &n)
		differ(t, of, steps, message, &n)
		differValue(t, of, (&wireChoices{choices{bytes: program}, isOld}).cond(), message, &n)
	})
}
