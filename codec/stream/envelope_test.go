package stream_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/stream"
)

var (
	web     = stream.Envelopes{Name: "grpc-web", End: 0x80}
	connect = stream.Envelopes{Name: "connect", End: 2}
)

func TestEnvelopesAreCut(t *testing.T) {
	const (
		message = "\x00\x00\x00\x00\x02\x08\x07"
		empty   = "\x01\x00\x00\x00\x00"
		end     = "\x80\x00\x00\x00\x03a:b"
		ends    = "\x03\x00\x00\x00\x02{}"
	)
	for _, test := range []struct {
		of   stream.Envelopes
		in   string
		want []string
	}{
		{web, "", nil},
		{web, message + empty + end, []string{message, empty}},
		{web, end + message, []string{message}}, // who reads on behind the end is not to read what no step has seen
		{web, ends, []string{ends}},
		{connect, ends + empty + ends, []string{empty}},
		{connect, end, []string{end}},
		{stream.Envelopes{}, end + ends, []string{end, ends}},
		{web, message + message[:6], []string{message, message[:6]}},
		{web, "\x00\x00", []string{"\x00\x00"}},
		{web, end[:6], nil},
		{web, "\x80\x00", []string{"\x80\x00"}},
	} {
		for size := 1; size <= len(test.in)+1; size++ {
			got, all, err := split(test.of.Split(codec.Limits{}), test.in, every(size, test.in))
			if err != nil || all != test.in || !slices.Equal(got, test.want) {
				t.Errorf("%q in pieces of %d: %q, all %q, %v, want %q", test.in, size, got, all, err, test.want)
			}
		}
	}
}

func TestEnvelopesAreBounded(t *testing.T) {
	for in, most := range map[string]codec.Bytes{"\x00\x00\x00\x00\x08": 7, "\x00\xff\xff\xff\xff": 0, "\x01\x80\x00\x00\x00": 1 << 40} {
		_, _, err := split(web.Split(codec.Limits{Size: most}), in, every(1, in))
		var over *codec.LimitError
		if !errors.As(err, &over) || over.Format != "grpc-web" || over.Limit != "size" {
			t.Errorf("%q: %v", in, err)
		}
	}
	end := "\x80\x00\x00\x00\x08" + strings.Repeat("x", 8)
	if _, all, err := split(web.Split(codec.Limits{Size: 7}), end, nil); all != end || err != nil {
		t.Errorf("the end has no such limit: %q, %v", all, err)
	}
}

func TestEnvelopesThatAreNoneAreErrors(t *testing.T) {
	for in, offset := range map[string]int{"": 0, "\x00\x00": 2, "\x00\x00\x00\x00\x02x": 6, "\x02\x00\x00\x00\x00": 0, "\x81\x00\x00\x00\x00": 0} {
		_, _, err := web.Open([]byte(in))
		var syntax *codec.SyntaxError
		if !errors.As(err, &syntax) || syntax.Offset != offset || syntax.Format != "grpc-web" {
			t.Errorf("%q: %v", in, err)
		}
	}
	if flags, data, err := web.Open([]byte("\x01\x00\x00\x00\x01x")); flags != 1 || string(data) != "x" || err != nil {
		t.Errorf("got %d %q %v", flags, data, err)
	}
}

// step is what becomes of the next bytes of a text.
type step struct {
	n    int
	with string // "": they pass
}

// through takes text, which comes in pieces, through steps, each as soon as all
// its bytes are there.
func through(text string, cuts []int, steps []step) (plain, out string, err error) {
	var b stream.Base64
	var bytes, left []byte
	at, taken := 0, 0
	for _, end := range append(slices.Clone(cuts), len(text)) {
		if bytes, err = b.Decode(bytes, []byte(text[at:end])); err != nil {
			return string(bytes), string(b.Rest(left)), err
		}
		at = end
		for len(steps) > 0 && len(bytes)-taken >= steps[0].n {
			s := steps[0]
			if s.with == "" {
				left = b.Pass(left, bytes[taken:taken+s.n])
			} else {
				left = b.Replace(left, s.n, []byte(s.with))
			}
			taken, steps = taken+s.n, steps[1:]
		}
	}
	return string(bytes), string(b.Rest(left)), nil
}

// plainOf decodes quantum by quantum.
func plainOf(t *testing.T, text string) (plain string) {
	t.Helper()
	for ; len(text) >= 4; text = text[4:] {
		b, err := base64.StdEncoding.DecodeString(text[:4])
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		plain += string(b)
	}
	if text != "" {
		t.Fatalf("%q is left", text)
	}
	return plain
}

func TestTextLeavesAsItCame(t *testing.T) {
	const unpadded = "YWJjZGVmZ2hp" // abcdefghi
	for _, test := range []struct {
		name, text string
		steps      []step
		want       string
	}{
		{"all passes", unpadded, []step{{4, ""}, {1, ""}, {4, ""}}, unpadded},
		{"padded within", "YQ==YmM=ZGVm", []step{{2, ""}, {4, ""}}, "YQ==YmM=ZGVm"},
		{"the first is changed", unpadded, []step{{3, "x"}, {6, ""}}, "eA==ZGVmZ2hp"},
		{"the first is changed within a quantum", unpadded, []step{{4, "x"}, {3, ""}, {2, ""}}, "eA==ZWZnaGk="},
		{"the second is changed within a quantum", unpadded, []step{{4, ""}, {2, "x"}, {3, ""}}, "YWJjZA==eA==Z2hp"},
		{"nothing takes it", unpadded, nil, unpadded},
		{"the end is nobody's", unpadded, []step{{4, "x"}}, "eA==ZWY=Z2hp"},
	} {
		for size := 1; size <= len(test.text); size++ {
			_, out, err := through(test.text, every(size, test.text), test.steps)
			if out != test.want || err != nil {
				t.Errorf("%s: in pieces of %d: %q, %v, want %q", test.name, size, out, err, test.want)
			}
		}
	}
}

func TestTextThatIsNoneIsAnError(t *testing.T) {
	for text, offset := range map[string]int{
		"YWJj\nYWJ": 4, "YWJjYW J": 4, "YWJj====": 4, "\n\n\n\n": 0, "YQ=a": 0, "YWJjY_-a": 4, "YWJjYQ==Y===": 8, "YWJjYWJj\r\nYWJjYW": 8,
	} {
		for size := 1; size <= len(text); size++ {
			plain, rest, err := through(text, every(size, text), nil)
			var syntax *codec.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset != offset || plain != plainOf(t, text[:offset]) || !strings.HasPrefix(text, rest) || len(rest) < offset {
				t.Errorf("%q in pieces of %d: %q, rest %q, %v", text, size, plain, rest, err)
			}
		}
	}
}

// FuzzEnvelopes checks that envelopes and text are the same however they are cut,
// that nothing is lost, and that what leaves reads as what was to leave.
func FuzzEnvelopes(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02\x08\x07\x80\x00\x00\x00\x03a:b"), []byte{1, 2, 5}, byte(3))
	f.Add([]byte("\x01\x00\x00\x00\x04abcd\x00\x00\x00\x00\x00\x03\x00\x00\x00\x02{}"), []byte{9, 9}, byte(1))
	f.Add([]byte("\x00\xff\x00\x00\x02"), []byte{4}, byte(0))
	f.Add([]byte("YWJjZGVm"), []byte{3}, byte(2))
	f.Fuzz(func(t *testing.T, data, pieces []byte, chosen byte) {
		var cuts []int
		at := 0
		for _, piece := range pieces {
			if at += int(piece) % 16; at < len(data) {
				cuts = append(cuts, at)
			}
		}
		for _, of := range []stream.Envelopes{web, connect} {
			messages, all, err := split(of.Split(codec.Limits{Size: 1 << 16}), string(data), nil)
			if err == nil && all != string(data) {
				t.Fatalf("%q splits into %q", data, all)
			}
			again, _, err2 := split(of.Split(codec.Limits{Size: 1 << 16}), string(data), cuts)
			if !slices.Equal(again, messages) || (err == nil) != (err2 == nil) {
				t.Fatalf("%q cut at %v: %q and %v, want %q and %v", data, cuts, again, err2, messages, err)
			}
			for _, m := range messages {
				if flags, body, err := of.Open([]byte(m)); err == nil && string(stream.AppendEnvelope(nil, flags, body)) != m {
					t.Fatalf("%q opens as %d %q", m, flags, body)
				}
			}
		}
		checkText(t, data, cuts, chosen)
	})
}

// checkText takes data, padded at cuts, through steps of which chosen says which
// change what.
func checkText(t *testing.T, data []byte, cuts []int, chosen byte) {
	var text, want []byte
	var steps []step
	at := 0
	for i, end := range append(slices.Clone(cuts), len(data)) {
		if chosen&1 == 0 {
			text = base64.StdEncoding.AppendEncode(text, data[at:end])
		}
		s, leaves := step{n: end - at}, data[at:end]
		if chosen>>(i%8)&1 != 0 && s.n > 0 {
			s.with, leaves = "changed", []byte("changed")
		}
		steps = append(steps, s)
		want = append(want, leaves...)
		at = end
	}
	if chosen&1 != 0 {
		text = base64.StdEncoding.AppendEncode(nil, data)
	}
	for _, size := range []int{1, 3, 7, len(text) + 1} {
		plain, out, err := through(string(text), every(size, string(text)), steps)
		if err != nil || plain != string(data) || plainOf(t, out) != string(want) {
			t.Fatalf("%q in pieces of %d: %q became %q, %v, want %q", text, size, plain, out, err, want)
		}
		if chosen == 0 && out != string(text) {
			t.Fatalf("%q left as %q", text, out)
		}
	}
	var b stream.Base64
	plain, err := b.Decode(nil, data) // what is no text
	if rest := b.Rest(nil); !bytes.Equal(rest, data) {
		t.Fatalf("%q decodes to %q, %v, and leaves as %q", data, plain, err, rest)
	}
}
