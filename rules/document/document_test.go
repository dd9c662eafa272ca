package document

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
)

// scalars calls visit with every scalar of n.
func scalars(n *Node, visit func(*Node)) {
	if n.Kind == Scalar {
		visit(n)
	}
	for _, item := range n.Items {
		scalars(item, visit)
	}
	for _, p := range n.Pairs {
		scalars(p.Key, visit)
		scalars(p.Value, visit)
	}
}

// checkPlaces finds each character of a scalar in the source where place says
// it stands, but for what YAML folded or unescaped.
//
// Where white space is more than blanks, places are somewhere near.
func checkPlaces(t *testing.T, n *Node) {
	exact := !strings.ContainsAny(strings.Join(n.doc.lines, ""), "\t\r\u0085\u00a0\u2028\u2029\ufeff")
	for _, line := range n.doc.lines {
		exact = exact && (line == "" || strings.TrimSpace(line) != "")
	}
	for at, r := range n.Text {
		p := n.place(at)
		if p.line < 1 || p.line > len(n.doc.lines)+1 || p.column < 1 {
			t.Fatalf("%q at %d: no such place: %v", n.Text, at, p)
		}
		line := []rune(n.doc.line(p.line))
		if p.column > len(line) {
			if exact && !unicode.IsSpace(r) {
				t.Fatalf("%q at %d: %q is behind line %d", n.Text, at, r, p.line)
			}
			continue
		}
		if found := line[p.column-1]; exact && found != r && found != '\\' && !unicode.IsSpace(r) && r != utf8.RuneError {
			t.Fatalf("%q at %d: %q is not at %d:%d of %q", n.Text, at, r, p.line, p.column, string(line))
		}
	}
}

const styles = "plain: a é b\n" +
	"folded plain: one\n  two\n\n\n  three  # comment\n" +
	"single: 'it''s é'\n" +
	"single folded: 'a  \n  b\n\n  c '\n" +
	"double: \"a \\\"é\\\" \\u00e9\\x41\\U0001F600 b\"\n" +
	"double folded: \"a\n  b \\\n  c\n\n  d\"\n" +
	"literal: |\n  one\n    two\n\n  three\n\n" +
	"literal strip: |-\n\n  é one\n  two\n" +
	"literal indent: |2\n    one\n  two\n" +
	"folded: >\n  one\n  two\n\n  three\n    four\n    five\n\n  six\n" +
	"folded keep: >+\n\n  one\n  two\n\n" +
	"flow: {a: [x y, 'z'], \"b\": c}\n" +
	"'quoted key': last"

func TestPlaces(t *testing.T) {
	for _, newline := range []string{"\n", "\r\n"} {
		d := Parse("a.yaml", []byte(strings.ReplaceAll(styles, "\n", newline)), nil)
		if d.Root == nil || len(d.Problems()) > 0 {
			t.Fatal(d.Problems())
		}
		scalars(d.Root, func(n *Node) { checkPlaces(t, n) })
	}
}

func TestPlacesInOneLine(t *testing.T) {
	for _, tt := range []struct{ text, mark string }{
		{"p: .a | nope", "nope"},
		{"p: '.a == ''x'' | nope'", "nope"},
		{`p: ".a == \"\u00e9\" | nope"`, "nope"},
		{"p: |\n  .a\n    | nope", "nope"},
		{"p: >-\n\n  .a\n\n  | .b\n  | nope", "nope"},
		{"p: .a\n  | .b\n  | nope", "nope"},
		{"é: {p: .é | nope}", "nope"},
	} {
		d := Parse("a.yaml", []byte(tt.text), nil)
		found := false
		scalars(d.Root, func(n *Node) {
			at := strings.Index(n.Text, tt.mark)
			if at < 0 {
				return
			}
			n.ReportAt(at, at+len(tt.mark), "code", "", "here")
			found = true
		})
		if !found {
			t.Fatalf("%q: no mark in it", tt.text)
		}
		p := d.Problems()[0]
		if got := string([]rune(p.Source)[p.Column-1 : p.EndColumn-1]); got != tt.mark {
			t.Errorf("%q: marked %q at %d:%d", tt.text, got, p.Line, p.Column)
		}
	}
}

// everything has a field of each type.
type everything struct {
	text     Value[string]
	program  Value[string]
	enum     Value[string]
	flag     Value[bool]
	count    Value[int64]
	duration Value[time.Duration]
	size     Value[codec.Bytes]
	any      Value[codec.Value]
	list     Value[[]Value[string]]
	many     Value[[]Value[int64]]
	entries  Value[[]Entry[string]]
	inner    Value[shorty]
	short    Value[shorty]
}

type shorty struct{ name Value[string] }

func everythingType() Type[everything] {
	type e = everything
	name := Object(Table[shorty]{
		Required(Key("name", String(), func(s *shorty) *Value[string] { return &s.name }, "a")),
	})
	return Object(Table[e]{
		Key("text", String(), func(t *e) *Value[string] { return &t.text }, "a"),
		Key("program", Program(), func(t *e) *Value[string] { return &t.program }, "a"),
		Key("enum", Enum("on", "off"), func(t *e) *Value[string] { return &t.enum }, "a"),
		Key("flag", Bool(), func(t *e) *Value[bool] { return &t.flag }, "a"),
		Key("count", Int(0, 10), func(t *e) *Value[int64] { return &t.count }, "a"),
		Key("duration", Duration(), func(t *e) *Value[time.Duration] { return &t.duration }, "a"),
		Key("size", Size(), func(t *e) *Value[codec.Bytes] { return &t.size }, "a"),
		Key("any", Any(), func(t *e) *Value[codec.Value] { return &t.any }, "a"),
		Key("list", ListOf(String()), func(t *e) *Value[[]Value[string]] { return &t.list }, "a"),
		Key("many", OneOrList(Int(0, 10)), func(t *e) *Value[[]Value[int64]] { return &t.many }, "a"),
		Key("entries", MapOf(String()), func(t *e) *Value[[]Entry[string]] { return &t.entries }, "a"),
		Key("short", ObjectOr(name, String(), func(v Value[string]) shorty { return shorty{v} }), func(t *e) *Value[shorty] { return &t.short }, "a"),
		Key("inner", name, func(t *e) *Value[shorty] { return &t.inner }, "a"),
		LaterKey[e]("later", "a"),
	})
}

func TestRead(t *testing.T) {
	d := Parse("a.yaml", []byte(`
text: a b
program: true
enum: off
flag: true
count: 0x0a
duration: 1m30s
size: 8MiB
any: {a: [1, 2.50, 12345678901234567890, null, yes, 2020-01-01], b: "1"}
list: [a, b]
many: 3
entries: {b: x, a: y}
short: s
inner: {name: deep}
`), nil)
	e, ok := everythingType().Read(d.Root)
	if problems := d.Problems(); !ok || len(problems) > 0 {
		t.Fatal(problems)
	}
	got := fmt.Sprintln(e.text.V, e.program.V, e.enum.V, e.flag.V, e.count.V, e.duration.V, e.size.V, e.any.V,
		len(e.list.V), e.many.V[0].V, e.entries.V[0].Key.V, e.entries.V[1].Value.V, e.short.V.name.V, e.inner.V.name.V)
	want := "a b true off true 10 1m30s 8388608 map[a:[1 2.50 12345678901234567890 <nil> yes 2020-01-01] b:1] 2 3 b y s deep"
	if got != want+"\n" {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if p := e.inner.V.name.At.Position(); p != (Position{"a.yaml", 14, 15}) {
		t.Errorf("deep stands at %v", p)
	}
}

func TestReadProblems(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"text: 5", `1:7-8 text wrong-type write "5"`},
		{"text: [a]", "1:7-10 text wrong-type "},
		{"txt: a", "1:1-4 txt unknown-key did you mean text?"},
		{"enum: of", "1:7-9 enum bad-value did you mean on?"},
		{"flag: yes", "1:7-10 flag wrong-type "},
		{"count: 11", "1:8-10 count bad-value "},
		{"count: '1'", "1:8-11 count wrong-type "},
		{"duration: 5", "1:11-12 duration wrong-type write 5s or 5ms"},
		{"duration: soon", "1:11-15 duration bad-value such as 800ms, 2s, 1m30s"},
		{"duration: 5x", "1:12-13 duration bad-value one of ms, s, m, h"},
		{"duration: 30 s", "1:13-15 duration bad-value write 30s"},
		{"duration: 1m30", "1:13-15 duration bad-value write 30s or 30ms"},
		{"duration: '1h 5m'", "1:11-18 duration bad-value such as 800ms, 2s, 1m30s"},
		{"duration: 1m30sec", "1:15-18 duration bad-value write 30s"},
		{"duration: 2d", "1:12-13 duration bad-value the longest unit is h: a day is 24h"},
		{"duration: 99999999h", "1:11-20 duration bad-value such as 800ms, 2s, 1m30s"},
		{"duration: -5s", "1:11-14 duration bad-value "},
		{"size: 8MB", "1:8-10 size bad-value write 8MiB"},
		{"size: 8 MiB", "1:8-12 size bad-value write 8MiB"},
		{"size: 512k", "1:10-11 size bad-value write 512KiB"},
		{"size: 8TiB", "1:7-11 size bad-value such as 512KiB, 8MiB"},
		{"size: 99999999999GiB", "1:7-21 size bad-value "},
		{"any: .nan", "1:6-10 any bad-value put it in quotes if it is a text"},
		{"list: a", "1:7-8 list wrong-type "},
		{"list: []", "1:7-9 list empty remove it"},
		{"list: [a, ]\nmany: [ , ]", "2:9-12 : yaml inside { } and [ ] a text with braces, brackets or commas needs quotes"},
		{"list:\n  - a\n  -", "3:4-5 list[1] empty give it a value or remove it"},
		{"entries: [a]", "1:10-13 entries wrong-type "},
		{"entries: {a: x, a: y}", "1:17-18 entries.a duplicate-key "},
		{"entries: {[a]: x}", "1:11-18 entries. wrong-type "},
		{"text:", "1:1-5 text empty give it a value or remove it"},
		{"later: 1", "1:1-6 later not-yet remove it"},
		{"short: {}", "1:8-10 short missing-key "},
		{"short: 5", `1:8-9 short wrong-type write "5"`},
		{"program: {a: b}", "1:10-16 program jq-yaml write program: '{a: b}'"},
		{"\tx: 1", "1:1-6 : yaml indent with spaces, not with tabs"},
		{"text: \xff", "1:7-8 : yaml "},
		{"text: a\x00", "1:8-9 : yaml "},
		{strings.Repeat("[", 100), "1:65-101 : yaml "},
		{strings.Repeat(" ", MaxSize+1), "1:1-2 : too-large "},
		{"", "1:1-2 : empty "},
		{"# nothing", "1:1-2 : empty "},
	} {
		d := Parse("a.yaml", []byte(tt.text), []string{"program"})
		if d.Root != nil {
			everythingType().Read(d.Root)
		}
		problems := d.Problems()
		if len(problems) != 1 {
			t.Errorf("%.40q: got %d problems: %v", tt.text, len(problems), problems)
			continue
		}
		p := problems[0]
		path := p.Path
		if path == "" {
			path = ":"
		}
		if got := fmt.Sprintf("%d:%d-%d %s %s %s", p.Line, p.Column, p.EndColumn, path, p.Code, p.Hint); got != tt.want {
			t.Errorf("%.40q:\ngot  %s\nwant %s\n(%s)", tt.text, got, tt.want, p.Message)
		}
	}
}

func TestProgramsNamesTheKeysThatHoldPrograms(t *testing.T) {
	if got := everythingType().Shape.Programs(); fmt.Sprint(got) != "[program]" {
		t.Errorf("got %v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(styles)
	f.Add("! 000")
	f.Add("\"\\\n\n0\"")
	f.Add("program: {a: b}\n\"b\": [c, 'd']\n")
	f.Add("program: \"x\" + .y\nprogram: .a # b\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2<<10 {
			return // every place of every scalar is looked for
		}
		d := Parse("a.yaml", []byte(text), []string{"program"})
		if d.Root == nil {
			if len(d.Problems()) == 0 {
				t.Fatal("neither a root nor a problem")
			}
			return
		}
		if len(d.repaired) == 0 {
			scalars(d.Root, func(n *Node) {
				if !n.broken() {
					checkPlaces(t, n)
				}
			})
		}
		everythingType().Read(d.Root)
		for _, p := range d.Problems() {
			if p.Line < 1 || p.Column < 1 || p.EndColumn <= p.Column {
				t.Fatalf("an impossible place: %+v", p)
			}
		}
	})
}
