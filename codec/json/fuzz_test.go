package json_test

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/internal/value"
	"github.com/sluice-proxy/sluice/codec/json"
)

var seeds = []string{
	`null`, ` [1, -0, 1.10, 1e400, 12345678901234567890] `, `{"a":1,"a":2,"b":{"c":[true,false]}}`,
	"\ufeff{}", `"\ud83d\ude00\ud800\u0041\/"`, `01`, `[1,]`, `{"a" : [ {"x":1} , {"x":2} ] , "b" : "c" }`, "[[[[]]]]", `{"":{}}`, "\"\xff\"",
}

// FuzzDecode compares with encoding/json, which accepts invalid UTF-8 and
// knows no byte order mark.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, _, err := codectest.Keeps(t, json.Codec{}, data)
		plain := bytes.TrimPrefix(data, []byte("\ufeff"))
		switch {
		case errors.Is(err, codec.ErrTooLarge):
			return
		case err == nil && !stdjson.Valid(plain):
			t.Fatalf("accepted %q", data)
		case err != nil && stdjson.Valid(plain) && utf8.Valid(data):
			t.Fatalf("refused %q: %v", data, err)
		case err != nil:
			return
		}
		if want := reference(t, plain); !value.Equal(got, want) {
			t.Fatalf("%q reads as %#v, want %#v", data, got, want)
		}
		compact := json.AppendCompact(nil, got)
		if again := reference(t, compact); !value.Equal(got, again) {
			t.Fatalf("%q from scratch is %q", data, compact)
		}
	})
}

func reference(t *testing.T, data []byte) any {
	d := stdjson.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("encoding/json refuses %q: %v", data, err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("encoding/json found more in %q", data)
	}
	return v
}

// readsAs reports whether a value was read back as it was written. A float
// beyond 2^53 is written with no more digits than tell it from other floats, as
// jq writes it, and is read as that integer.
func readsAs(written, read any) bool {
	switch w := written.(type) {
	case float64:
		return value.IsNumber(read) && value.Float(read) == w || value.Equal(w, read)
	case []any:
		r, ok := read.([]any)
		return ok && slices.EqualFunc(w, r, readsAs)
	case map[string]any:
		r, ok := read.(map[string]any)
		return ok && maps.EqualFunc(w, r, readsAs)
	}
	return value.Equal(written, read)
}

func FuzzEdit(f *testing.F) {
	codectest.EditFuzz{
		Codec: json.Codec{}, Seeds: seeds, ReadsAs: readsAs,
		MayRefuse: func(v codec.Value, _ error) bool { // NaN or an infinity
			again, _, err := json.Codec{}.Decode(json.AppendCompact(nil, v), codec.Limits{Depth: 1000})
			return err == nil && !value.Equal(v, again)
		},
	}.Run(f)
}
