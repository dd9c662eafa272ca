package csv_test

import (
	"bytes"
	stdcsv "encoding/csv"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/csv"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

var seeds = []string{
	"", "a,b\n1,2\n", "\ufeffa,\"b\"\r\n\"1\",\"x\"\"y\"\r\n\r\n3,\r\n", "a\n\"\"\n\n\"\r\n\"", "a,b,c\r1\r1,2,3,4\r", ",,\n1,2,3", "a\tb\n5\" disk\t\"\t\"\n", "\n\n\ufeff,\n",
	"\"a\n", "a,a\n", "a,b\n\"1\"x,\n", "a,b\n1,2\n3,4\n5,6",
}

var codecs = []csv.Codec{{}, {NoHeader: true}, csv.TSV(), {Comma: ';', NoHeader: true}}

// FuzzDecode checks that what is not edited is written as it was, that rows read
// alike whole and in pieces, and what is read with encoding/csv, which knows no
// CR and refuses quotes in the midst of a cell.
func FuzzDecode(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), uint8(i), uint8(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, which, size uint8) {
		c := codecs[int(which)%len(codecs)]
		v, _, err := codectest.Keeps(t, c, data)
		inPieces(t, c, string(data), int(size)%8+1, v, err)
		if err != nil {
			return
		}
		if c.NoHeader {
			asTheStandardLibrary(t, c, data, v.([]any))
			codectest.ComesBack(t, c, v)
		}
	})
}

func asTheStandardLibrary(t *testing.T, c csv.Codec, data []byte, rows []any) {
	if bytes.IndexByte(data, '\r') >= 0 {
		return
	}
	r := stdcsv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	r.FieldsPerRecord = -1
	if c.Comma != 0 {
		r.Comma = rune(c.Comma)
	}
	want, err := r.ReadAll()
	if err != nil {
		return
	}
	all := make([]any, len(want))
	for i, row := range want {
		cells := make([]any, len(row))
		for j, cell := range row {
			cells[j] = cell
		}
		all[i] = cells
	}
	if !value.Equal(rows, all) {
		t.Fatalf("%q reads as %#v, want %#v", data, rows, all)
	}
}

// inPieces checks that Rows reads what Decode read, or fails if it did, and
// writes what it read as it was.
func inPieces(t *testing.T, c csv.Codec, text string, size int, whole codec.Value, wholeErr error) {
	out, rows, err := pass(c, text, ".", size, codec.Limits{})
	if (err != nil) != (wholeErr != nil) {
		if rows == nil && err == nil { // a header row alone passes unread
			return
		}
		t.Fatalf("%q in pieces of %d: %v, but whole %v", text, size, err, wholeErr)
	}
	if err == nil && (out != text || !value.Equal(whole, append([]any{}, rows...))) {
		t.Fatalf("%q in pieces of %d: %q reads as %#v, but whole as %#v", text, size, out, rows, whole)
	}
}

// programs with what they leave, as a text can say it.
var programs = []string{
	"del(.[0])", "reverse", ".[:1]", ". + [.[0] // empty]", "if length > 0 then [.[1:][], .[0]] else . end", "[.[0] // empty] + .", "[]", "map(.)",
	"map(map_values(. + \"n\"))", "map(map_values(\"\"))", "map(if type == \"array\" then reverse else . end)",
	"map(if type == \"array\" then .[1:] + [\"n\"] else del(.a) end)", "map(if type == \"array\" then . + [\" \"] else .n = \"\\\"n\" end)",
	".[:1] + [if type == \"array\" and (.[0] | type) == \"array\" then [\"n\", \"\"] else empty end] + .[1:]",
}

// FuzzEdit checks that an edited text reads as the edit left it.
func FuzzEdit(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), uint8(i), uint8(i*3))
		f.Add([]byte(s), uint8(i+1), uint8(i*5))
	}
	f.Fuzz(func(t *testing.T, data []byte, which, program uint8) {
		c := codecs[int(which)%len(codecs)]
		v, original, err := c.Decode(data, codec.Limits{})
		if err != nil {
			return
		}
		edited, err := codectest.JQ(programs[int(program)%len(programs)], v)
		if err != nil {
			return
		}
		out, err := c.Encode(original, edited)
		if err != nil {
			t.Fatalf("Encode of %#v onto %q: %v", edited, data, err)
		}
		again, _, err := c.Decode(out, codec.Limits{})
		if err != nil || !sameRows(c, edited.([]any), again.([]any)) {
			t.Fatalf("Encode of %#v onto %q = %q, which reads as %#v, %v", edited, data, out, again, err)
		}
	})
}

// sameRows compares rows, in which an empty cell is as good as none, and in which
// columns without a name are named by where they are.
func sameRows(c csv.Codec, want, got []any) bool {
	if c.NoHeader {
		return value.Equal(want, got)
	}
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if !value.Equal(said(want[i]), said(got[i])) {
			return false
		}
	}
	return true
}

func said(row any) map[string]any {
	said := map[string]any{}
	for k, v := range row.(map[string]any) {
		if v != "" && !strings.HasPrefix(k, "_") {
			said[k] = v
		}
	}
	return said
}

var perRow = []string{
	"del(.a)", ".n = \"n\"", ".a = .b", "select(.a != \"1\")", "map_values(. + \"\\n\")", "{b, a} | del(.[] | nulls)", ".[\"a\"] |= . + \"x\"",
	"., {a: 1}", "select(.a == \"3\") | ., {n: null, m: \"\"}", "{_2: .a, _3: 1}",
}

// FuzzRows checks that what is written row by row can be read, and that texts whose rows are all as long as the header row become
// the same row by row and whole.
func FuzzRows(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), uint8(i), uint8(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, which, size uint8) {
		program := perRow[int(which)%len(perRow)]
		if out, _, err := pass(csv.Codec{}, string(data), program, int(size)%16+1, codec.Limits{}); err == nil && out != string(data) {
			if _, _, err := (csv.Codec{}).Decode([]byte(out), codec.Limits{}); err != nil {
				t.Fatalf("%q by %s is %q: %v", data, program, out, err)
			}
		}
		v, original, err := csv.Codec{}.Decode(data, codec.Limits{})
		if err != nil || strings.Contains(program, ", {") || len(data) == 0 || data[len(data)-1] != '\n' {
			return
		}
		rows := v.([]any)
		for _, row := range rows {
			if len(row.(map[string]any)) != len(rows[0].(map[string]any)) {
				return
			}
		}
		if header, _, err := (csv.Codec{NoHeader: true}).Decode(data, codec.Limits{}); err != nil || len(rows) > 0 && len(header.([]any)[0].([]any)) != len(rows[0].(map[string]any)) {
			return
		}
		edited, err := codectest.JQ("map("+program+")", v)
		if err != nil || anyMoves(rows, edited.([]any)) {
			return
		}
		whole, err := csv.Codec{}.Encode(original, edited)
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := pass(csv.Codec{}, string(data), program, int(size)%16+1, codec.Limits{})
		if err != nil || out != string(whole) {
			t.Fatalf("%q by %s: row by row %q, %v, but whole %q", data, program, out, err, whole)
		}
	})
}

// anyMoves reports whether a row became equal to another one that was, and so
// takes its place and line end.
func anyMoves(before, after []any) bool {
	for i, row := range after {
		for j, was := range before {
			if len(before) == len(after) && i != j && value.Equal(row, was) && !value.Same(row, before[i]) {
				return true
			}
		}
	}
	return false
}

// FuzzCell checks that the edit of one cell changes that cell and not a byte
// besides, whole and row by row.
func FuzzCell(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), uint8(i), uint8(i), uint8(i*3), " n")
	}
	f.Fuzz(func(t *testing.T, data []byte, which, row, column uint8, text string) {
		c := codecs[int(which)%len(codecs)]
		v, original, err := c.Decode(data, codec.Limits{})
		if err != nil || len(v.([]any)) == 0 {
			return
		}
		edited := slices.Clone(v.([]any)) // as jq does: rows that are not edited are the same
		at := int(row) % len(edited)
		edited[at] = codectest.Copy(edited[at])
		was := ""
		switch cells := edited[at].(type) {
		case []any:
			i := int(column) % len(cells)
			was, cells[i] = cells[i].(string), text
		case map[string]any:
			for k := range cells {
				was, cells[k] = cells[k].(string), text
				break
			}
		}
		out, err := c.Encode(original, edited)
		if err != nil {
			t.Fatalf("Encode of %#v onto %q: %v", edited, data, err)
		}
		before, after := 0, 0
		for before < min(len(data), len(out)) && data[before] == out[before] {
			before++
		}
		for after < min(len(data), len(out))-before && data[len(data)-1-after] == out[len(out)-1-after] {
			after++
		}
		if changed := len(data) - before - after; changed > 2*len(was)+2 {
			t.Fatalf("a cell of %q written onto %q = %q: %d bytes changed", was, data, out, changed)
		}
	})
}
