package csv_test

import (
	"errors"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/csv"
	"github.com/sluice-proxy/sluice/codec/stream"
)

// A stream of rows is cut and read like any other.
var (
	_ stream.Splitter = (*csv.Rows)(nil)
	_ codec.Codec     = (*csv.Rows)(nil)
)

// pass sends text through rows in pieces of size bytes. program makes of each
// row none, one or more.
func pass(c csv.Codec, text, program string, size int, limits codec.Limits) (out string, rows []any, err error) {
	r := c.Rows(limits)
	var buf []byte
	for at := 0; ; {
		end := min(at+size, len(text))
		buf = append(buf, text[at:end]...)
		at = end
		for {
			n, row, err := r.Next(buf, at == len(text))
			if err != nil {
				return out, rows, err
			}
			if n == 0 {
				break
			}
			if row == nil {
				out += string(buf[:n])
			} else {
				written, v, err := through(r, row, program)
				if err != nil {
					return out, rows, err
				}
				out += written
				rows = append(rows, v)
			}
			buf = buf[n:]
		}
		if at == len(text) {
			return out + string(r.End()), rows, nil
		}
	}
}

func through(r *csv.Rows, row []byte, program string) (out string, v any, err error) {
	v, original, err := r.Decode(append([]byte(nil), row...), codec.Limits{})
	if err != nil {
		return "", nil, err
	}
	results, err := codectest.JQ("["+program+"]", v)
	if err != nil {
		return "", nil, err
	}
	for _, result := range results.([]any) {
		written, err := r.Encode(original, result)
		if err != nil {
			return "", nil, err
		}
		if original == nil {
			out = string(r.Terminate([]byte(out)))
		}
		out += string(written)
		original = nil
	}
	return out, v, nil
}

func TestRows(t *testing.T) {
	header := csv.Codec{}
	for _, test := range []struct {
		name    string
		codec   csv.Codec
		in      string
		program string
		out     string
		err     string
	}{
		{"unchanged", header, "\ufeff\r\na,\"b\"\r\n\r\n1,2\r\n\r\n\"3\",\"\r\n\"", ".", "\ufeff\r\na,\"b\"\r\n\r\n1,2\r\n\r\n\"3\",\"\r\n\"", ""},
		{"a header row alone", header, "a,b\n\n", ".", "a,b\n\n", ""},
		{"nothing", header, "", ".", "", ""},
		{"a cell", header, "a,b\n1,\"2\"\n\n3,4", ".b = 0", "a,b\n1,\"0\"\n\n3,0", ""},
		{"a column goes", header, "a,b\n1,2\n3,4\n", "del(.a)", "b\n2\n4\n", ""},
		{"a column comes", header, "a,b\n1,2\n3\n", ".c = .a", "a,b,c\n1,2,1\n3,,3\n", ""},
		{"a column that the first row decides on", header, "a,b\n1,2\n3,4\n", "if .a == \"1\" then .c = 0 else . end", "a,b,c\n1,2,0\n3,4,\n", ""},
		{"the first row is dropped", header, "a,b\n1,2\n3,4\n", "select(.a != \"1\") | del(.b)", "a\n3\n", ""},
		{"all rows are dropped", header, "a,b\n1,2\n3,4\n", "empty", "a,b\n", ""},
		{"a row becomes two", header, "a,b\n1,2\n\"3\",4", "., {a: 9}", "a,b\n1,2\n9,\n\"3\",4\n\"9\",\n", ""},
		{"too late for a column", header, "a,b\n1,2\n3,4\n", "if .a == \"3\" then .c = 0 else . end", "", "csv: .c: the header row was written without this column"},
		{"too late to keep a column", header, "a,b\n1,2\n3,4\n", "if .a == \"1\" then del(.b) else . end", "", "csv: .b: the header row was written without this column"},
		{"no row", header, "a,b\n1,2\n", "1", "", "csv: .: a row is an object, and number is none"},
		{"no name", header, "a,b\n1,2\n", ".[\"\"] = 1", "", `csv: .[""]: a column needs a name`},
		{"no cell", header, "a,b\n1,2\n", ".a = {}", "", `csv: .a: a cell is text, and object is none`},
		{"a long row", header, "a\n1\n1,2\n1,2,3\n", "if ._2 then ._2 = \"x\" else . end", "a\n1\n1,x\n1,x,3\n", ""},
		{"a long row after a new column", header, "a\n1\n1,2\n", ".b = 0", "", "csv: ._2: the header row was written without this column"},
		{"two columns of one name", header, "a,a\n1,2\n", ".", "", "csv: offset 2: a second column of one name"},
		{"a long row in bytes", header, "a,b\n0123456789012345678901234567890123456789012345678901234567890123456789\n", ".", "", "csv: size over the limit of 64"},
		{"an open quote", header, "a,b\n1,\"2\n", ".", "", "csv: offset 6: a quote that is not closed"},
		{"no header row", csv.Codec{NoHeader: true}, "\ufeff\n1,\"2\"\n\n\ufeff3", ".[1] = 0", "\ufeff\n1,\"0\"\n\n\ufeff3,0", ""},
		{"no header row, unchanged", csv.Codec{NoHeader: true}, "\n1,\"2\"\n\n\ufeff3", ".", "\n1,\"2\"\n\n\ufeff3", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for size := 1; size <= len(test.in)+1; size++ {
				out, _, err := pass(test.codec, test.in, test.program, size, codec.Limits{Size: 64})
				switch {
				case test.err == "" && (err != nil || out != test.out):
					t.Fatalf("in pieces of %d: %q, %v, want %q", size, out, err, test.out)
				case test.err != "" && (err == nil || err.Error() != test.err):
					t.Fatalf("in pieces of %d: error %v, want %s", size, err, test.err)
				}
			}
		})
	}
}

func TestRowLimit(t *testing.T) {
	r := csv.Codec{}.Rows(codec.Limits{Size: 3})
	if n, row, err := r.Next([]byte("abc"), false); n != 0 || row != nil || err != nil {
		t.Errorf("Next = %d, %q, %v", n, row, err)
	}
	if _, _, err := r.Next([]byte("abcd"), false); !errors.Is(err, codec.ErrTooLarge) {
		t.Errorf("error %v, want one that wraps ErrTooLarge", err)
	}
}

func TestRowsPassUnread(t *testing.T) {
	r := csv.Codec{}.Rows(codec.Limits{})
	for _, test := range []struct{ in, out string }{{"a,b\n\n1,\"x\"y\n", "a,b\n\n1,\"x\"y\n"}, {"2,3\n", "2,3\n"}} {
		_, row, err := r.Next([]byte(test.in), false)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := r.Pass(row); err != nil || string(out) != test.out {
			t.Errorf("Pass(%q) = %q, %v, want %q", row, out, err, test.out)
		}
	}
	_, row, _ := r.Next([]byte("4,5\n"), false)
	v, original, err := r.Decode(row, codec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := r.Encode(original, v); err != nil || string(out) != "4,5\n" {
		t.Errorf("Encode = %q, %v", out, err)
	}
	if _, err := r.Encode(original, o{"a": "4", "c": 1}); err == nil {
		t.Error("a new column after the header row was passed")
	}
}

func TestRowsDoNotPassUnderOtherColumns(t *testing.T) {
	out, _, err := pass(csv.Codec{}, "a,b\n1,2\n", "del(.a)", 4, codec.Limits{})
	if err != nil || out != "b\n2\n" {
		t.Fatalf("%q, %v", out, err)
	}
	r := csv.Codec{}.Rows(codec.Limits{})
	_, row, _ := r.Next([]byte("a,b\n1,2\n"), false)
	if _, _, err := through(r, row, "del(.a)"); err != nil {
		t.Fatal(err)
	}
	_, row, _ = r.Next([]byte("3,4\n"), false)
	if out, err := r.Pass(row); err == nil {
		t.Errorf("Pass = %q, want an error", out)
	}
}
