package stream_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/stream"
)

var formats = []stream.Format{stream.NDJSON{}, stream.SSE{}, stream.JSONSeq{}}

// split cuts text, which comes in pieces that end at cuts, and returns the
// messages and everything, messages or not, in its order.
func split(s stream.Splitter, text string, cuts []int) (messages []string, all string, err error) {
	var buf []byte
	at := 0
	for _, end := range append(cuts, len(text)) {
		buf = append(buf, text[at:end]...)
		at = end
		for final := at == len(text); ; {
			n, msg, err := s.Next(buf, final)
			if err != nil {
				return messages, all, err
			}
			if n == 0 {
				break
			}
			if msg != nil {
				messages = append(messages, string(msg))
			}
			all += string(buf[:n])
			buf = buf[n:]
		}
	}
	return messages, all, nil
}

// every returns the cuts of text into pieces of size bytes.
func every(size int, text string) (cuts []int) {
	for at := size; at < len(text); at += size {
		cuts = append(cuts, at)
	}
	return cuts
}

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		format stream.Format
		in     string
		want   []string
	}{
		{stream.NDJSON{}, "", nil},
		{stream.NDJSON{}, "\ufeff\n \r\n\n", nil},
		{stream.NDJSON{}, "\ufeff1\n\n{\"a\":\r1} \r\n\n \"\\n\"", []string{"\ufeff1\n", "{\"a\":\r1} \r\n", " \"\\n\""}},
		{stream.SSE{}, "", nil},
		{stream.SSE{}, "\ufeffdata: 1\n\ndata\n\n", []string{"data: 1\n\n", "data\n\n"}},
		{stream.SSE{}, ": ping\n\nretry: 1\n\nevent: x\nid\n\n:\n\n: a\ndata:1\n:b\n\n", []string{"data:1\n:b\n\n"}},
		{stream.SSE{}, "data: 1\r\rid: 1\rdata: 2\r\r\r", []string{"data: 1\r\r", "id: 1\rdata: 2\r\r"}},
		{stream.SSE{}, ": a\r\n\r\ndata: 1\r\n\r\n\r\ndata: 2\r\n\r\n", []string{"data: 1\r\n\r\n", "data: 2\r\n\r\n"}},
		{stream.SSE{}, "data: 1\n\r\ndata: 2\r\r\ndata: 3\r\n\ndata: 4\r\n\rdata: 5\n\n", []string{"data: 1\n\r", "data: 2\r\r", "data: 3\r\n\n", "data: 4\r\n\r", "data: 5\n\n"}},
		{stream.SSE{}, "data: 1\n\ndatax: 1\n\ndata", []string{"data: 1\n\n", "data"}},
		{stream.SSE{}, "data: 1\n\nid: 3\ndat", []string{"data: 1\n\n"}},
		{stream.JSONSeq{}, "", nil},
		{stream.JSONSeq{}, " \n\x1e\x1e \n\x1e", nil},
		{stream.JSONSeq{}, "\x1e{\"a\":\n1}\n\x1e[\"]\n\\\"\"]\n\n\x1e1\x1e2\n", []string{"\x1e{\"a\":\n1}\n", "\x1e[\"]\n\\\"\"]\n", "\x1e1", "\x1e2\n"}},
		{stream.JSONSeq{}, "1\n\x1e{\n\x1e1\n2\n\x1e3", []string{"1\n", "\x1e{\n", "\x1e1\n", "2\n", "\x1e3"}},
	} {
		for size := 1; size <= len(test.in)+1; size++ {
			got, all, err := split(test.format.Split(codec.Limits{}), test.in, every(size, test.in))
			if err != nil || all != test.in || !slices.Equal(got, test.want) {
				t.Errorf("%s: %q in pieces of %d: %q, all %q, %v, want %q", test.format.Name(), test.in, size, got, all, err, test.want)
				break
			}
		}
	}
}

func TestMessagesDoNotWait(t *testing.T) {
	for _, test := range []struct {
		format stream.Format
		msg    string
	}{
		{stream.NDJSON{}, "1\n"},
		{stream.SSE{}, "data: 1\n\n"},
		{stream.SSE{}, "data: 1\r\r"},
		{stream.SSE{}, "data: 1\r\n\r\n"},
		{stream.JSONSeq{}, "\x1e{}\n"},
	} {
		n, msg, err := test.format.Split(codec.Limits{}).Next([]byte(test.msg), false)
		if n != len(test.msg) || string(msg) != test.msg || err != nil {
			t.Errorf("%s: Next(%q) = %d, %q, %v", test.format.Name(), test.msg, n, msg, err)
		}
	}
}

func TestCommentsDoNotWait(t *testing.T) {
	for _, ping := range []string{": ping\n", ": ping\r", ": ping\r\n", "\n"} {
		n, msg, err := stream.SSE{}.Split(codec.Limits{}).Next([]byte(ping), false)
		if n != len(ping) || msg != nil || err != nil {
			t.Errorf("Next(%q) = %d, %q, %v", ping, n, msg, err)
		}
	}
}

func TestMessageLimit(t *testing.T) {
	for _, format := range formats {
		for _, in := range []string{"\x1e0123456789\n", "data: 123456\n\n", "\x1e0123456789"} {
			for size := 1; size <= len(in); size++ {
				_, _, err := split(format.Split(codec.Limits{Size: 7}), in, every(size, in))
				var over *codec.LimitError
				if !errors.As(err, &over) || over.Format != format.Name() || over.Limit != "size" || over.Max != 7 {
					t.Errorf("%s: %q in pieces of %d: error %v", format.Name(), in, size, err)
				}
			}
		}
	}
}

// TestSplittingIsLinear feeds one long message byte by byte, which would take
// minutes if every byte was looked at again.
func TestSplittingIsLinear(t *testing.T) {
	for _, format := range formats {
		text := []byte("\x1edata: [" + strings.Repeat("1,\n\x20", 1<<18) + "1")
		if _, ok := format.(stream.NDJSON); ok {
			text = bytes.ReplaceAll(text, []byte("\n"), []byte("\t"))
		}
		s := format.Split(codec.Limits{})
		for n := range text {
			if taken, _, err := s.Next(text[:n], false); taken != 0 || err != nil {
				t.Fatalf("%s: Next of %d bytes = %d, %v", format.Name(), n, taken, err)
			}
		}
	}
}
