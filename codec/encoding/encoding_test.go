package encoding_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
)

const sample = `{"user":{"id":7,"email":"ann@example.org"},"tags":["new","sale","new","sale"]}`

// stacks are all of up to two codings, and one of three.
func stacks(t testing.TB) []encoding.Stack {
	t.Helper()
	all := []encoding.Stack{mustParse(t, "zstd, gzip, br")}
	names := []string{"", "gzip", "deflate", "br", "zstd"}
	for _, first := range names {
		for _, second := range names {
			all = append(all, mustParse(t, first, second))
		}
	}
	return all
}

func mustParse(t testing.TB, values ...string) encoding.Stack {
	t.Helper()
	s, err := encoding.Parse(values...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustEncode(t testing.TB, s encoding.Stack, data []byte) []byte {
	t.Helper()
	out, err := s.Encode(data)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		values []string
		want   string
		err    string
	}{
		{nil, "", ""},
		{[]string{""}, "", ""},
		{[]string{"identity"}, "", ""},
		{[]string{" GZip\t, , x-gzip"}, "gzip, gzip", ""},
		{[]string{"gzip", "br, identity"}, "gzip, br", ""},
		{[]string{"gzip, compress"}, "", `content coding "compress" is not known`},
		{[]string{"g zip"}, "", `content coding "g zip" is not known`},
		{[]string{strings.Repeat("x", 100)}, "", `content coding "` + strings.Repeat("x", 32) + `" is not known`},
		{[]string{"br,br,br,br,br"}, "", "content coding: codings over the limit of 4"},
	} {
		s, err := encoding.Parse(test.values...)
		if s.String() != test.want || err == nil && test.err != "" || err != nil && err.Error() != test.err {
			t.Errorf("Parse(%q) = %q, %v, want %q, %q", test.values, s, err, test.want, test.err)
		}
		if s.Identity() != (test.want == "") {
			t.Errorf("Parse(%q): Identity = %v", test.values, s.Identity())
		}
		var unknown *encoding.UnknownError
		if strings.Contains(test.err, "known") && !errors.As(err, &unknown) {
			t.Errorf("Parse(%q): error is a %T", test.values, err)
		}
	}
}

func TestParseGRPC(t *testing.T) {
	for name, want := range map[string]string{"": "", "identity": "", "gzip": "gzip", "zstd": "zstd", "deflate": "deflate"} {
		if s, err := encoding.ParseGRPC(name); err != nil || s.String() != want {
			t.Errorf("ParseGRPC(%q) = %q, %v", name, s, err)
		}
	}
	for _, name := range []string{"br", "snappy", "gzip, zstd"} {
		if _, err := encoding.ParseGRPC(name); !errors.As(err, new(*encoding.UnknownError)) {
			t.Errorf("ParseGRPC(%q): error %v", name, err)
		}
	}
}

func TestWhatWasEncodedDecodes(t *testing.T) {
	for _, s := range stacks(t) {
		for _, plain := range []string{"", "x", sample, strings.Repeat(sample, 50)} {
			wire := mustEncode(t, s, []byte(plain))
			got, err := s.Decode(wire, encoding.Limits{})
			if err != nil || string(got) != plain {
				t.Errorf("%s: %d bytes came back as %d, %v", s, len(plain), len(got), err)
			}
		}
	}
}

func TestCodingsAreUndoneFromTheRight(t *testing.T) {
	inner := mustEncode(t, mustParse(t, "gzip"), []byte(sample))
	wire := mustEncode(t, mustParse(t, "br"), inner)
	got, err := mustParse(t, "gzip, br").Decode(wire, encoding.Limits{})
	if err != nil || string(got) != sample {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := mustParse(t, "br, gzip").Decode(wire, encoding.Limits{}); !errors.As(err, new(*codec.SyntaxError)) {
		t.Errorf("in the wrong order: error %v", err)
	}
}

func TestNoBytesAreNoBody(t *testing.T) {
	for _, s := range stacks(t) {
		if got, err := s.Decode(nil, encoding.Limits{}); err != nil || len(got) > 0 {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
}

func TestDeflateIsReadWithAndWithoutItsWrapper(t *testing.T) {
	var raw bytes.Buffer
	w, _ := flate.NewWriter(&raw, 9)
	w.Write([]byte(sample))
	w.Close()
	s := mustParse(t, "deflate")
	if got, err := s.Decode(raw.Bytes(), encoding.Limits{}); err != nil || string(got) != sample {
		t.Errorf("raw: %q, %v", got, err)
	}
	wrapped := mustEncode(t, s, []byte(sample))
	if wrapped[0]&0x0f != 8 || (int(wrapped[0])<<8|int(wrapped[1]))%31 != 0 {
		t.Errorf("written without the wrapper: %x", wrapped[:2])
	}
}

func TestMembersAndFramesFollowOneAnother(t *testing.T) {
	skippable := []byte("\x5a\x2a\x4d\x18\x03\x00\x00\x00abc")
	for _, test := range []struct {
		name string
		glue []byte
	}{{"gzip", nil}, {"zstd", nil}, {"zstd", skippable}} {
		s := mustParse(t, test.name)
		wire := slices.Concat(mustEncode(t, s, []byte("one ")), test.glue, mustEncode(t, s, []byte("two")), test.glue)
		if got, err := s.Decode(wire, encoding.Limits{}); err != nil || string(got) != "one two" {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
}

func TestBrokenInputIsASyntaxError(t *testing.T) {
	for _, s := range stacks(t) {
		if s.Identity() {
			continue
		}
		wire := mustEncode(t, s, []byte(sample))
		format, _, _ := strings.Cut(s.String(), ",")
		if i := strings.LastIndex(s.String(), " "); i >= 0 {
			format = s.String()[i+1:]
		}
		check := func(what string, data []byte) {
			t.Helper()
			got, err := s.Decode(data, encoding.Limits{})
			var syntax *codec.SyntaxError
			if !errors.As(err, &syntax) || syntax.Format != format || syntax.Offset < 0 || syntax.Offset > len(data) {
				t.Errorf("%s, %s: %d bytes, error %#v", s, what, len(got), err)
			}
		}
		for cut := 1; cut < len(wire); cut++ {
			check("cut", wire[:cut])
		}
		for _, garbage := range []string{"\x01", "ab", "abc", "\x00\x00\x00\x00", strings.Repeat("garbage", 10)} {
			check("more after the end", append(slices.Clone(wire), garbage...))
		}
		check("other bytes", []byte("<html>not encoded at all</html>"))
	}
}

func TestBombsAreStopped(t *testing.T) {
	bomb := make([]byte, 4<<20)
	for _, names := range []string{"gzip", "deflate", "br", "zstd", "gzip, gzip", "zstd, br"} {
		s := mustParse(t, names)
		wire := mustEncode(t, s, bomb)
		var over *codec.LimitError
		if _, err := s.Decode(wire, encoding.Limits{}); !errors.As(err, &over) || over.Limit != "ratio" || over.Max != 100 {
			t.Errorf("%s: error %v, want one of ratio", s, err)
		}
		if _, err := s.Decode(wire, encoding.Limits{Ratio: 1 << 40, Size: 1 << 20}); !errors.As(err, &over) || over.Limit != "size" || over.Max != 1<<20 {
			t.Errorf("%s: error %v, want one of size", s, err)
		}
		r := s.NewReader(bytes.NewReader(wire), encoding.Limits{})
		defer r.Close()
		if n, err := copyAll(r); !errors.As(err, &over) || over.Limit != "ratio" || n > 101*int64(len(wire))+128<<10 {
			t.Errorf("%s as a stream: error %v after %d bytes of %d", s, err, n, len(wire))
		}
	}
}

func TestNothingUnfoldsOver64MiB(t *testing.T) {
	s := mustParse(t, "zstd")
	wire := mustEncode(t, s, make([]byte, 64<<20+1))
	var over *codec.LimitError
	if _, err := s.Decode(wire, encoding.Limits{Ratio: 1 << 40}); !errors.As(err, &over) || over.Limit != "size" || over.Max != 64<<20 {
		t.Errorf("error %v, want one of size", err)
	}
}

// A stage between the first and the last may unfold no further than the whole.
func TestBombsInTheMiddleAreStopped(t *testing.T) {
	empty := mustEncode(t, mustParse(t, "gzip"), nil)
	many := bytes.Repeat(empty, 1<<15)
	wire := mustEncode(t, mustParse(t, "br"), many)
	s := mustParse(t, "gzip, br")
	var over *codec.LimitError
	if _, err := s.Decode(wire, encoding.Limits{}); !errors.As(err, &over) || over.Limit != "ratio" || over.Format != "br" {
		t.Errorf("error %v, want one of br's ratio", err)
	}
	r := s.NewReader(bytes.NewReader(wire), encoding.Limits{})
	defer r.Close()
	if _, err := copyAll(r); !errors.As(err, &over) || over.Limit != "ratio" || over.Format != "br" {
		t.Errorf("as a stream: error %v, want one of br's ratio", err)
	}
}

func TestWhatFitsTheLimitsPasses(t *testing.T) {
	for _, s := range stacks(t) {
		plain := make([]byte, 64<<10) // the floor, at any ratio
		wire := mustEncode(t, s, plain)
		if got, err := s.Decode(wire, encoding.Limits{}); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %d bytes, %v", s, len(got), err)
		}
		if _, err := s.Decode(wire, encoding.Limits{Size: 64<<10 - 1}); err == nil && !s.Identity() {
			t.Errorf("%s: one byte over the size passed", s)
		}
	}
}

func TestWideZstdWindowIsOverALimit(t *testing.T) {
	var wide bytes.Buffer
	w, err := zstd.NewWriter(&wide, zstd.WithWindowSize(16<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(sample))
	w.Flush() // so that the frame does not shrink its window to what there is
	w.Write([]byte(sample))
	w.Close()
	single := []byte("\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x01\x01\x00\x00")
	s := mustParse(t, "zstd")
	for name, data := range map[string][]byte{"window": wide.Bytes(), "single segment": single} {
		var over *codec.LimitError
		if _, err := s.Decode(data, encoding.Limits{}); !errors.As(err, &over) || over.Limit != "window" || over.Max != 8<<20 {
			t.Errorf("%s: error %v", name, err)
		}
		r := s.NewReader(bytes.NewReader(data), encoding.Limits{})
		defer r.Close()
		if _, err := copyAll(r); !errors.As(err, &over) || over.Limit != "window" {
			t.Errorf("%s as a stream: error %v", name, err)
		}
	}
}

func TestStandardLibraryReadsGzip(t *testing.T) {
	r, err := gzip.NewReader(bytes.NewReader(mustEncode(t, mustParse(t, "gzip"), []byte(sample))))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(r); err != nil || got.String() != sample {
		t.Errorf("got %q, %v", got.String(), err)
	}
}
