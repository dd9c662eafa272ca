package csv_test

import (
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/csv"
)

type (
	o = map[string]any
	a = []any
	e = codectest.Edit
)

func TestContract(t *testing.T) {
	codectest.Run(t, codectest.Suite{
		Codec: csv.Codec{},
		Invalid: []string{
			`"`, `"a`, "a\n\"", `"a"b`, `"a" `, "a,\"b\"c\n", `"a""`, "a\xff", "a,b\n1,\xc3\n",
			"a,a\n", `a,b,"a"`, "_2,\n", ",_1", "_4,b,c\n1,2,3,4\n",
		},
		Lossy: []string{"columns without a name", "short and long rows"},
		Cases: []codectest.Case{
			{
				Name: "nothing", In: "", Value: a{},
				Edits: []e{
					{JQ: `[{b: 1, a: "x"}, {a: null, c: true}]`, Out: "a,b,c\r\nx,1,\r\n,,true\r\n", Normal: true},
					{JQ: `[{}]`, Err: "csv: .[0]: a row has at least one cell"},
					{JQ: `[{"": 1}]`, Err: `csv: .[0][""]: a column needs a name`},
					{JQ: `[1]`, Err: `csv: .[0]: a row is an object, and number is none`},
					{JQ: `null`, Err: `csv: .: a text is an array of rows, and null is none`},
				},
			},
			{
				Name: "a header row alone", In: "a,\"b\"", Value: a{},
				Edits: []e{
					{JQ: `[{a: 1, b: 2}]`, Out: "a,\"b\"\r\n1,\"2\""},
					{JQ: `[{a: 1, c: 2}]`, Out: "a,\"b\",\"c\"\r\n1,\"\",\"2\"", Normal: true},
				},
			},
			{
				Name: "quotes and line ends stay", In: "id,\"name\",note\r\n1,\"ann\",\"a, \"\"b\"\"\"\r\n2,bob,\r\n\r\n3,\"x\ny\", z \r\n",
				Value: a{
					o{"id": "1", "name": "ann", "note": `a, "b"`}, o{"id": "2", "name": "bob", "note": ""}, o{"id": "3", "name": "x\ny", "note": " z "},
				},
				Edits: []e{
					{JQ: `.[0].name = "eve"`, Out: "id,\"name\",note\r\n1,\"eve\",\"a, \"\"b\"\"\"\r\n2,bob,\r\n\r\n3,\"x\ny\", z \r\n"},
					{JQ: `.[1].name = "a\"b"`, Out: "id,\"name\",note\r\n1,\"ann\",\"a, \"\"b\"\"\"\r\n2,\"a\"\"b\",\r\n\r\n3,\"x\ny\", z \r\n"},
					{JQ: `.[1].note = " "`, Out: "id,\"name\",note\r\n1,\"ann\",\"a, \"\"b\"\"\"\r\n2,bob,\" \"\r\n\r\n3,\"x\ny\", z \r\n"},
					{JQ: `map(.id |= tonumber)`, Out: "id,\"name\",note\r\n1,\"ann\",\"a, \"\"b\"\"\"\r\n2,bob,\r\n\r\n3,\"x\ny\", z \r\n", Normal: true},
					{JQ: `map(.id |= tonumber + 1)`, Out: "id,\"name\",note\r\n2,\"ann\",\"a, \"\"b\"\"\"\r\n3,bob,\r\n\r\n4,\"x\ny\", z \r\n", Normal: true},
					{JQ: `del(.[1])`, Out: "id,\"name\",note\r\n1,\"ann\",\"a, \"\"b\"\"\"\r\n\r\n3,\"x\ny\", z \r\n"},
					{JQ: `del(.[2])`, Out: "id,\"name\",note\r\n1,\"ann\",\"a, \"\"b\"\"\"\r\n2,bob,\r\n\r\n"},
					{JQ: `[]`, Out: "id,\"name\",note\r\n\r\n"},
					{JQ: `reverse`, Out: "id,\"name\",note\r\n3,\"x\ny\", z \r\n2,bob,\r\n\r\n1,\"ann\",\"a, \"\"b\"\"\"\r\n"},
					{JQ: `.[:1] + [{id: 9, name: "new"}] + .[1:]`, Out: "id,\"name\",note\r\n1,\"ann\",\"a, \"\"b\"\"\"\r\n9,\"new\",\"\"\r\n2,bob,\r\n\r\n3,\"x\ny\", z \r\n", Normal: true},
					{JQ: `. + [{id: "9", name: "new", note: "n"}]`, Out: "id,\"name\",note\r\n1,\"ann\",\"a, \"\"b\"\"\"\r\n2,bob,\r\n\r\n3,\"x\ny\", z \r\n9,\"new\",n\r\n"},
					{JQ: `[{id: "9", name: "new", note: "n"}] + .`, Out: "id,\"name\",note\r\n9,\"new\",n\r\n1,\"ann\",\"a, \"\"b\"\"\"\r\n2,bob,\r\n\r\n3,\"x\ny\", z \r\n"},
					{JQ: `map(del(.name))`, Out: "id,note\r\n1,\"a, \"\"b\"\"\"\r\n2,\r\n\r\n3, z \r\n"},
					{JQ: `map({name})`, Out: "\"name\"\r\n\"ann\"\r\nbob\r\n\r\n\"x\ny\"\r\n"},
					{JQ: `del(.[0].name)`, Out: "id,\"name\",note\r\n1,\"\",\"a, \"\"b\"\"\"\r\n2,bob,\r\n\r\n3,\"x\ny\", z \r\n", Normal: true},
					{JQ: `map({})`, Out: "id,\"name\",note\r\n,\"\",\"\"\r\n,,\r\n\r\n,\"\",\r\n", Normal: true},
					{JQ: `map(.x = .id)`, Out: "id,\"name\",note,x\r\n1,\"ann\",\"a, \"\"b\"\"\",\"1\"\r\n2,bob,,2\r\n\r\n3,\"x\ny\", z ,3\r\n"},
					{JQ: `.[1] += {y: true, x: null}`, Out: "id,\"name\",note,x,y\r\n1,\"ann\",\"a, \"\"b\"\"\",\"\",\"\"\r\n2,bob,,,true\r\n\r\n3,\"x\ny\", z ,,\r\n", Normal: true},
					{JQ: `map(.n = .name | del(.name))`, Out: "id,note,n\r\n1,\"a, \"\"b\"\"\",\"ann\"\r\n2,,bob\r\n\r\n3, z ,\"x\ny\"\r\n"},
					{JQ: `.[0].note = {}`, Err: "csv: .[0].note: a cell is text, and object is none"},
					{JQ: `.[1].note = nan`, Err: "csv: .[1].note: a number that has no text"},
					{JQ: `. + [{id: []}]`, Err: "csv: .[3].id: a cell is text, and array is none"},
					{JQ: `.[0] = "x"`, Err: "csv: .[0]: a row is an object, and string is none"},
				},
			},
			{
				Name: "no end at the last line", In: "\ufeffa;b\n1\n2", Value: a{o{"a;b": "1"}, o{"a;b": "2"}},
				Edits: []e{
					{JQ: `. + [{"a;b": ""}]`, Out: "\ufeffa;b\n1\n2\n\"\""},
					{JQ: `del(.[1])`, Out: "\ufeffa;b\n1"},
					{JQ: `reverse`, Out: "\ufeffa;b\n2\n1"},
					{JQ: `.[0]["a;b"] = null`, Out: "\ufeffa;b\n\"\"\n2", Normal: true},
					{JQ: `[]`, Out: "\ufeffa;b"},
				},
			},
			{
				Name: "carriage returns", In: "a,b\r1,2\r\r3,4\r", Value: a{o{"a": "1", "b": "2"}, o{"a": "3", "b": "4"}},
				Edits: []e{
					{JQ: `.[1].b = "\r"`, Out: "a,b\r1,2\r\r3,\"\r\"\r"},
					{JQ: `. + [{a: "5", b: "6"}]`, Out: "a,b\r1,2\r\r3,4\r5,6\r"},
				},
			},
			{
				Name: "short and long rows", In: "a,b,c\n1\n1,2,3,4\n1,2,3\n",
				Value: a{o{"a": "1"}, o{"a": "1", "b": "2", "c": "3", "_4": "4"}, o{"a": "1", "b": "2", "c": "3"}},
				Edits: []e{
					{JQ: `.[0].c = "x"`, Out: "a,b,c\n1,,x\n1,2,3,4\n1,2,3\n", Normal: true},
					{JQ: `.[2]._4 = "x"`, Out: "a,b,c\n1\n1,2,3,4\n1,2,3,x\n"},
					{JQ: `.[1]._4 = "x"`, Out: "a,b,c\n1\n1,2,3,x\n1,2,3\n"},
					{JQ: `map(del(._4))`, Out: "a,b,c\n1\n1,2,3\n1,2,3\n"},
					{JQ: `map(del(.b))`, Out: "a,c,_4\n1\n1,3,4\n1,3\n"},
					{JQ: `.[2].d = "x"`, Out: "a,b,c,,d\n1\n1,2,3,4,\n1,2,3,,x\n", Normal: true},
					{JQ: `. + [{a: "9"}]`, Out: "a,b,c\n1\n1,2,3,4\n1,2,3\n9,,\n", Normal: true},
				},
			},
			{
				Name: "columns without a name", In: ",b,,\n1,2,3,4\n", Value: a{o{"_1": "1", "b": "2", "_3": "3", "_4": "4"}},
				Edits: []e{
					{JQ: `.[0]._3 = "x"`, Out: ",b,,\n1,2,x,4\n"},
					{JQ: `map(del(.b, ._3, ._4))`, Out: "\"\"\n1\n"},
					{JQ: `map(del(.b))`, Out: ",_3,_4\n1,3,4\n"},
					{JQ: `map(._2 = .b | del(.b))`, Out: ",_3,_4,_2\n1,3,4,2\n"},
				},
			},
			{
				Name: "quotes in the midst of a cell", In: "a,b\n5\" disk, \"x\"\n", Value: a{o{"a": `5" disk`, "b": ` "x"`}},
				Edits: []e{{JQ: `.[0].a += "s"`, Out: "a,b\n\"5\"\" disks\", \"x\"\n"}},
			},
			{
				Name: "no new byte order mark", In: "a,\ufeffb\n1,2\n",
				Edits: []e{{JQ: `map(del(.a))`, Out: "\"\ufeffb\"\n2\n"}},
			},
		},
	})
}

func TestContractWithoutHeader(t *testing.T) {
	codectest.Run(t, codectest.Suite{
		Codec:   csv.Codec{NoHeader: true},
		Invalid: []string{`"`, "1\n\"2\"3"},
		Cases: []codectest.Case{
			{
				Name: "rows", In: "1,\"2\"\n\n3\n", Value: a{a{"1", "2"}, a{"3"}},
				Edits: []e{
					{JQ: `.[0][1] = 5`, Out: "1,\"5\"\n\n3\n", Normal: true},
					{JQ: `map(.[0] = "x")`, Out: "x,\"2\"\n\nx\n"},
					{JQ: `.[0] |= reverse`, Out: "\"2\",1\n\n3\n"},
					{JQ: `.[0] |= [.[1], "n"] + .[:1]`, Out: "\"2\",\"n\",1\n\n3\n"},
					{JQ: `.[0] |= ["n"] + .`, Out: "n,1,\"2\"\n\n3\n"},
					{JQ: `. + [["4", "5"]]`, Out: "1,\"2\"\n\n3\n4,5\n"},
					{JQ: `[["4", "5"]] + .`, Out: "4,\"5\"\n1,\"2\"\n\n3\n"},
					{JQ: `.[1] = []`, Err: "csv: .[1]: a row has at least one cell"},
					{JQ: `. + [[]]`, Err: "csv: .[2]: a row has at least one cell"},
					{JQ: `. + [{}]`, Err: "csv: .[2]: a row is an array, and object is none"},
					{JQ: `.[0][0] = [1]`, Err: "csv: .[0][0]: a cell is text, and array is none"},
				},
			},
			{Name: "nothing", In: "", Value: a{}, Edits: []e{{JQ: `[["a", " b"], [""]]`, Out: "a,\" b\"\r\n\"\"\r\n"}}},
			{Name: "a byte order mark", In: "\ufeffa", Value: a{a{"a"}}, Edits: []e{{JQ: `. + [["b"]]`, Out: "\ufeffa\r\nb"}, {JQ: `[["b"]] + .`, Out: "\ufeffb\r\na"}}},
			{Name: "no new byte order mark", In: "a\n\ufeffb\n", Edits: []e{{JQ: `.[1:]`, Out: "\"\ufeffb\"\n"}, {JQ: `reverse`, Out: "\"\ufeffb\"\na\n"}}},
		},
	})
}

func TestContractOfTSV(t *testing.T) {
	codectest.Run(t, codectest.Suite{
		Codec:   csv.TSV(),
		Invalid: []string{`"`},
		Cases: []codectest.Case{{
			Name: "tabs", In: "a\tb\n1,0\t\"2\"\n", Value: a{o{"a": "1,0", "b": "2"}},
			Edits: []e{{JQ: `.[0] |= (.a = "x,y" | .b = "\t")`, Out: "a\tb\nx,y\t\"\t\"\n"}, {JQ: `.[0].a = "\t"`, Out: "a\tb\n\"\t\"\t\"2\"\n"}},
		}},
	})
}

func TestFor(t *testing.T) {
	for contentType, want := range map[string]codec.Codec{
		"text/csv": csv.TSV(),
		"text/csv; charset=utf-8; header=present": csv.TSV(),
		"Text/CSV; Header=absent":                 csv.Codec{Comma: '\t', NoHeader: true},
		"; header=absent":                         nil,
	} {
		if got, err := csv.TSV().For(contentType); got != want || (err != nil) != (want == nil) {
			t.Errorf("For(%q) = %+v, %v, want %+v", contentType, got, err, want)
		}
	}
}

func TestOtherCommas(t *testing.T) {
	c := csv.Codec{Comma: ';'}
	v, original, err := c.Decode([]byte("a;b\n1,0;2\n"), codec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	edited, err := codectest.JQ(`.[0].b = "x;y"`, v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Encode(original, edited)
	if want := "a;b\n1,0;\"x;y\"\n"; err != nil || string(out) != want {
		t.Errorf("Encode = %q, %v, want %q", out, err, want)
	}
}

func TestErrorsShowNoPayload(t *testing.T) {
	secret := strings.Repeat("hunter2", 20)
	for _, in := range []string{secret + "," + secret, `"` + secret, `"a"` + secret, secret + "\xff"} {
		if _, _, err := (csv.Codec{}).Decode([]byte(in), codec.Limits{}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v", err)
		}
	}
}

func TestOriginalIsSafeForConcurrentUse(t *testing.T) {
	v, original, err := csv.Codec{}.Decode([]byte("a,b\n1,2\n3,4,5\n"), codec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	for range 4 {
		go func() {
			edited, _ := codectest.JQ(`map(.c = .a | del(.b))`, v)
			out, _ := csv.Codec{}.Encode(original, edited)
			done <- string(out)
		}()
	}
	for range 4 {
		if got, want := <-done, "a,_3,c\n1,,1\n3,5,3\n"; got != want {
			t.Errorf("Encode = %q, want %q", got, want)
		}
	}
}
