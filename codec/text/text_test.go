package text_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/text"
)

func TestText(t *testing.T) {
	codectest.Run(t, codectest.Suite{
		Codec:   text.Codec{},
		Invalid: []string{"\xff", "caf\xe9", "é\xc3", "\xed\xa0\x80"},
		Cases: []codectest.Case{
			{Name: "nothing", In: "", Value: "", Edits: []codectest.Edit{{JQ: ". + \"x\"", Out: "x"}}},
			{Name: "characters", In: "a\r\n\x00é\ufffd😀\n", Value: "a\r\n\x00é\ufffd😀\n"},
			{Name: "a byte order mark is a character", In: "\ufeffa", Value: "\ufeffa", Edits: []codectest.Edit{{JQ: ".[1:]", Out: "a"}}},
			{
				Name: "edits", In: "hello, Ann", Edits: []codectest.Edit{
					{JQ: "sub(\"Ann\"; \"***\")", Out: "hello, ***"},
					{JQ: "ascii_upcase", Out: "HELLO, ANN"},
					{JQ: "length", Err: "text: .: found number, expected a string"},
					{JQ: "null", Err: "text: .: found null, expected a string"},
					{JQ: "{a: .}", Err: "text: .: found object, expected a string"},
				},
			},
		},
	})
}

func TestBinary(t *testing.T) {
	codectest.Run(t, codectest.Suite{
		Codec: text.Binary{},
		Cases: []codectest.Case{
			{Name: "nothing", In: "", Value: ""},
			{
				Name: "bytes", In: "\xff\xfe\x00", Value: "//4A", Edits: []codectest.Edit{
					{JQ: "\"AA==\"", Out: "\x00"},
					{JQ: "\"\"", Out: ""},
					{JQ: "\"-_8=\"", Err: "binary: .: a string that is not base64"},
					{JQ: "\"AA\"", Err: "binary: .: a string that is not base64"},
					{JQ: "\"AB==\"", Err: "binary: .: a string that is not base64"},
					{JQ: "\"AA\\n==\"", Err: "binary: .: a string that is not base64"},
					{JQ: "[.]", Err: "binary: .: found array, expected a string"},
				},
			},
		},
	})
}

func TestSyntaxErrorNamesTheFirstBadByte(t *testing.T) {
	_, _, err := text.Codec{}.Decode([]byte("é\ufffd and \xff\xff"), codec.Limits{})
	var syntax *codec.SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset != 10 {
		t.Errorf("error %v, want one at offset 10", err)
	}
}

func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"", "a", "é\xff", "\x00\x01\x02", "\ufeff\ufffd"} {
		f.Add([]byte(s), s)
	}
	f.Fuzz(func(t *testing.T, data []byte, other string) {
		for _, c := range []codec.Codec{text.Codec{}, text.Binary{}} {
			v, original, err := c.Decode(data, codec.Limits{})
			if err != nil {
				if !errors.As(err, new(*codec.SyntaxError)) {
					t.Fatalf("error is a %T", err)
				}
				continue
			}
			for _, o := range []codec.Original{original, nil} {
				if out, err := c.Encode(o, v); err != nil || !bytes.Equal(out, data) {
					t.Fatalf("%s: equal value wrote %q, %v, want %q", c.Name(), out, err, data)
				}
			}
			out, err := c.Encode(original, other)
			if err != nil {
				continue
			}
			again, _, err := c.Decode(out, codec.Limits{})
			if err != nil || again != other && again != string([]rune(other)) {
				t.Fatalf("%s: %q became %q, %v", c.Name(), other, again, err)
			}
		}
	})
}

func ExampleBinary() {
	v, original, err := text.Binary{}.Decode([]byte{0xde, 0xad}, codec.Limits{})
	fmt.Println(v, err)
	out, err := text.Binary{}.Encode(original, "vu8=")
	fmt.Printf("%x %v\n", out, err)
	// Output:
	// 3q0= <nil>
	// beef <nil>
}

func ExampleCodec() {
	v, original, err := text.Codec{}.Decode([]byte("hello"), codec.Limits{})
	fmt.Println(v, err)
	out, err := text.Codec{}.Encode(original, v.(string)+", world")
	fmt.Println(string(out), err)
	// Output:
	// hello <nil>
	// hello, world <nil>
}

func BenchmarkEdit(b *testing.B) {
	data := bytes.Repeat([]byte("hello, world. "), 1170)
	for _, c := range []codec.Codec{text.Codec{}, text.Binary{}} {
		b.Run(c.Name(), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				_, original, err := c.Decode(data, codec.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.Encode(original, "AA=="); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
