package http1

import (
	"math"
	"strings"
	"testing"
)

// readBody feeds in to a body in pieces of the given size, and returns its
// payload and how much of in belonged to it.
func readBody(b *Body, in string, piece int) (payload []byte, n int, err error) {
	for n < len(in) && !b.Done() {
		p := []byte(in[n:min(n+piece, len(in))])
		for len(p) > 0 {
			took, data, done, err := b.Next(p)
			n += took
			payload = append(payload, data...)
			if err != nil || done {
				return payload, n, err
			}
			if took == 0 {
				panic("no progress")
			}
			p = p[took:]
		}
	}
	return payload, n, nil
}

func TestBodiesEndWhereTheirFramingSays(t *testing.T) {
	for name, c := range map[string]struct {
		framing  Framing
		in       string
		payload  string
		trailers string
		rest     string
	}{
		"none":                  {framing: Framing{}, in: "next", rest: "next"},
		"none, with a length":   {framing: Framing{Length: 5}, in: "next", rest: "next"},
		"length":                {framing: Framing{Kind: Length, Length: 3}, in: "abcnext", payload: "abc", rest: "next"},
		"length of zero":        {framing: Framing{Kind: Length}, in: "next", rest: "next"},
		"empty chunked":         {framing: Framing{Kind: Chunked}, in: "0\r\n\r\nnext", rest: "next"},
		"two chunks":            {framing: Framing{Kind: Chunked}, in: "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nnext", payload: "abc0123456789", rest: "next"},
		"zeros before the size": {framing: Framing{Kind: Chunked}, in: "0000000000000003\r\nabc\r\n000\r\n\r\n", payload: "abc"},
		"extensions":            {framing: Framing{Kind: Chunked}, in: "3;a=b;c=\"d;\t\xff\"\r\nabc\r\n0;x\r\n\r\n", payload: "abc"},
		"trailers":              {framing: Framing{Kind: Chunked}, in: "1\r\na\r\n0\r\nA: b\r\nc:\r\n\r\nnext", payload: "a", trailers: "A: b\r\nc:\r\n", rest: "next"},
		"line ends as data":     {framing: Framing{Kind: Chunked}, in: "4\r\n\r\n\r\n\r\n0\r\n\r\n", payload: "\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for piece := 1; piece <= len(c.in); piece++ {
				var b Body
				b.Reset(c.framing)
				payload, n, err := readBody(&b, c.in, piece)
				if err != nil || !b.Done() || b.End() != nil || b.Remaining() != 0 {
					t.Fatalf("in pieces of %d: got %v, done %t, end %v", piece, err, b.Done(), b.End())
				}
				if string(payload) != c.payload || c.in[n:] != c.rest || string(b.Trailers()) != c.trailers || b.Taken() != int64(n) {
					t.Fatalf("in pieces of %d: got %q, trailers %q, rest %q, want %q, %q, %q", piece, payload, b.Trailers(), c.in[n:], c.payload, c.trailers, c.rest)
				}
			}
		})
	}
}

func TestChunksThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ in, reason string }{
		"empty size":                {"\r\n", "bad_chunk"},
		"extension alone":           {";a\r\n", "bad_chunk"},
		"plus":                      {"+3\r\nabc\r\n", "bad_chunk"},
		"minus":                     {"-3\r\nabc\r\n", "bad_chunk"},
		"0x":                        {"0x3\r\nabc\r\n", "bad_chunk"},
		"underscore":                {"1_0\r\n", "bad_chunk"},
		"space before the size":     {" 3\r\nabc\r\n", "bad_chunk"},
		"space behind the size":     {"3 \r\nabc\r\n", "bad_chunk"},
		"tab behind the size":       {"3\t;a\r\nabc\r\n", "control_character"},
		"17 digits":                 {"00000000000000003\r\nabc\r\n", "bad_chunk"},
		"over 63 bits":              {"8000000000000000\r\n", "bad_chunk"},
		"bare LF behind the size":   {"3\nabc\r\n", "bare_lf"},
		"bare CR behind the size":   {"3\rabc\r\n", "bare_cr"},
		"bare LF in an extension":   {"3;a\nabc\r\n", "bare_lf"},
		"bare CR in an extension":   {"3;a\rb\r\nabc\r\n", "bare_cr"},
		"NUL in an extension":       {"3;a\x00\r\nabc\r\n", "nul"},
		"control in an extension":   {"3;\x01\r\nabc\r\n", "control_character"},
		"long extension":            {"3;" + strings.Repeat("a", 2000) + "\r\nabc\r\n", "bad_chunk_extension"},
		"many extensions":           {strings.Repeat("1;"+strings.Repeat("a", 500)+"\r\nx\r\n", 100), "bad_chunk_extension"},
		"more data than said":       {"3\r\nabcd\r\n", "bad_chunk"},
		"less data than said":       {"3\r\nab\r\n0\r\n\r\n", "bad_chunk"},
		"bare LF behind the data":   {"3\r\nabc\n0\r\n\r\n", "bad_chunk"},
		"CR and no LF":              {"3\r\nabc\r0\r\n\r\n", "bad_chunk"},
		"bare LF behind a trailer":  {"0\r\nA: b\n\r\n", "bare_lf"},
		"bare LF at the end":        {"0\r\n\n", "bare_lf"},
		"NUL in a trailer":          {"0\r\nA: \x00\r\n\r\n", "nul"},
		"folded trailer":            {"0\r\nA: b\r\n c\r\n\r\n", "obs_fold"},
		"space before the colon":    {"0\r\nA : b\r\n\r\n", "space_before_colon"},
		"trailer that frames":       {"0\r\nContent-Length: 5\r\n\r\n", "bad_trailer"},
		"trailer that codes":        {"0\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_trailer"},
		"trailer that routes":       {"0\r\nHost: h\r\n\r\n", "bad_trailer"},
		"too many trailers":         {"0\r\n" + strings.Repeat("A: b\r\n", 101), "too_many_fields"},
		"trailer that never ends":   {"0\r\nA: " + strings.Repeat("b", 62<<10), "head_too_large"},
		"trailers beyond the limit": {"0\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 70), "head_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, piece := range []int{1, 7, len(c.in)} {
				var b Body
				b.Reset(Framing{Kind: Chunked})
				_, _, err := readBody(&b, c.in, piece)
				wantError(t, err, requestStatus(c.reason), c.reason)
				if _, _, _, again := b.Next([]byte("0\r\n\r\n")); again != err || b.Done() || b.End() != err { //nolint:errorlint // the very same
					t.Errorf("the error does not stick: got %v, end %v", again, b.End())
				}
			}
		})
	}
}

func TestBodyCutShortIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		framing Framing
		in      string
	}{
		"length, nothing":        {Framing{Kind: Length, Length: 3}, ""},
		"length":                 {Framing{Kind: Length, Length: 3}, "ab"},
		"chunked, nothing":       {Framing{Kind: Chunked}, ""},
		"within a chunk":         {Framing{Kind: Chunked}, "3\r\nab"},
		"between chunks":         {Framing{Kind: Chunked}, "3\r\nabc\r\n"},
		"before the last line":   {Framing{Kind: Chunked}, "3\r\nabc\r\n0\r\n"},
		"within the last CRLF":   {Framing{Kind: Chunked}, "3\r\nabc\r\n0\r\n\r"},
		"within the trailers":    {Framing{Kind: Chunked}, "0\r\nA: b\r\n"},
		"response within length": {Framing{Kind: Length, Length: 3, response: true}, "ab"},
	} {
		t.Run(name, func(t *testing.T) {
			var b Body
			b.Reset(c.framing)
			if _, _, err := readBody(&b, c.in, 100); err != nil {
				t.Fatal(err)
			}
			status := 400
			if c.framing.response {
				status = 502
			}
			wantError(t, b.End(), status, "truncated")
		})
	}
}

func TestBodyUntilClose(t *testing.T) {
	var b Body
	b.Reset(Framing{Kind: UntilClose, Length: -1})
	payload, n, err := readBody(&b, "0\r\n\r\nabc", 4)
	if string(payload) != "0\r\n\r\nabc" || n != 8 || err != nil || b.Done() || b.Remaining() != -1 || b.Run() != math.MaxInt64 {
		t.Errorf("got %q, %d, %v, done %t, remaining %d", payload, n, err, b.Done(), b.Remaining())
	}
	if err := b.End(); err != nil || !b.Done() {
		t.Errorf("end: got %v, done %t", err, b.Done())
	}
}

func TestPayloadMayPassUnseen(t *testing.T) {
	var b Body
	b.Reset(Framing{Kind: Chunked})
	if n, done, err := b.Pass([]byte("a\r\n01")); n != 5 || done || err != nil || b.Run() != 8 {
		t.Fatalf("got %d, %t, %v, run %d", n, done, err, b.Run())
	}
	b.Skip(8)
	if b.Run() != 0 || b.Taken() != 13 {
		t.Errorf("behind the chunk: got run %d, taken %d, want 0, 13", b.Run(), b.Taken())
	}
	if n, done, err := b.Pass([]byte("\r\n0\r\n\r\nnext")); n != 7 || !done || err != nil {
		t.Errorf("got %d, %t, %v, want 7, true, nil", n, done, err)
	}
	b.Reset(Framing{Kind: Length, Length: 10})
	b.Skip(4)
	if b.Remaining() != 6 {
		t.Errorf("remaining: got %d, want 6", b.Remaining())
	}
	b.Skip(6)
	if !b.Done() || b.End() != nil {
		t.Error("not done")
	}
}

func TestManySmallChunksAreTaken(t *testing.T) {
	in := strings.Repeat("1\r\na\r\n", 100_000) + "0\r\n\r\n"
	var b Body
	b.Reset(Framing{Kind: Chunked})
	if n, done, err := b.Pass([]byte(in)); n != len(in) || !done || err != nil {
		t.Errorf("got %d, %t, %v", n, done, err)
	}
}

func TestTrailersAreFields(t *testing.T) {
	var b Body
	b.Reset(Framing{Kind: Chunked})
	if _, _, err := b.Pass([]byte("0\r\nGrpc-Status:  0 \r\nX:\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	fields := b.AppendTrailers(nil)
	if len(fields) != 2 || string(fields[0].Name) != "Grpc-Status" || string(fields[0].Value) != "0" || string(fields[1].Line) != "X:\r\n" {
		t.Errorf("got %q", fields)
	}
	b.Reset(Framing{Kind: Chunked})
	if len(b.Trailers()) != 0 {
		t.Error("trailers outlive Reset")
	}
}
