package http2

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// pairs makes fields of name, value, name, value.
func pairs(s ...string) []Field {
	var fields []Field
	for i := 0; i+1 < len(s); i += 2 {
		fields = append(fields, Field{Name: s[i], Value: s[i+1]})
	}
	return fields
}

// decodeFrames decodes the one head that frames carry.
func decodeFrames(t *testing.T, d *Decoder, b []byte) ([]Field, *Block, error) {
	t.Helper()
	c, block := new(Checker), new(Block)
	for {
		f, n := Parse(b)
		if n == 0 || n > len(b) {
			t.Fatalf("half a frame: %x", b)
		}
		if err := c.Check(&f); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
		if block.Add(&f) {
			break
		}
	}
	if len(b) > 0 {
		t.Fatalf("%d bytes left", len(b))
	}
	fields, err := d.Decode(block.Bytes())
	return fields, block, err
}

func TestHeadsComeBack(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	for i, size := range []uint32{4096, 0, 100, 1 << 20} {
		e.SetTable(size)
		for _, maxFrame := range []int{16384, 50, 1} {
			fields := pairs(":method", "GET", ":path", "/"+strings.Repeat("x", 7*i), "x-n", fmt.Sprint(i))
			fields = append(fields, Field{Name: "authorization", Value: "secret", Sensitive: true})
			if maxFrame == 1 {
				fields = fields[:1]
			}
			got, block, err := decodeFrames(t, d, e.AppendHead(nil, 7, fields, i%2 == 0, maxFrame))
			if err != nil || fmt.Sprint(got) != fmt.Sprint(fields) || block.Stream != 7 || block.End != (i%2 == 0) {
				t.Errorf("table %d, frames of %d: got %v %+v, %v", size, maxFrame, got, block, err)
			}
		}
	}
}

func TestAHeadTooLargeLeavesTheConnectionInOrder(t *testing.T) {
	for name, fields := range map[string][]Field{
		"fields": pairs(strings.Split(strings.Repeat("a,b,", 101)+"c,d", ",")...),
		"bytes":  pairs("x-a", strings.Repeat("a", 1<<10), "x-b", strings.Repeat("&", 60<<10), "x-c", "c"),
	} {
		t.Run(name, func(t *testing.T) {
			e, d := NewEncoder(), NewDecoder()
			got, err := d.Decode(blockOf(t, e, fields))
			if !errors.Is(err, ErrHeadTooLarge) || len(got) == 0 || len(got) > MaxFields {
				t.Errorf("got %d fields, %v", len(got), err)
			}
			fields = fields[len(fields)-1:] // is in the table by now
			got, err = d.Decode(blockOf(t, e, fields))
			if err != nil || fmt.Sprint(got) != fmt.Sprint(fields) {
				t.Errorf("afterwards: got %v, %v", got, err)
			}
		})
	}
}

// blockOf is the block of one HEADERS frame, however large.
func blockOf(t *testing.T, e *Encoder, fields []Field) []byte {
	t.Helper()
	f, _ := Parse(e.AppendHead(nil, 1, fields, true, 1<<20))
	return f.Payload
}

func TestBrokenBlocksEndTheConnection(t *testing.T) {
	for name, block := range map[string][]byte{
		"no such index":         {0xff, 0x00},
		"index 0":               {0x80},
		"half a field":          {0x40, 0x01},
		"too large a table":     {0x3f, 0xe2, 0x1f},
		"a table size too late": {0x41, 0x01, 'a', 0x20},
		"huffman end of string": {0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00},
		"an endless number":     {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		_, err := NewDecoder().Decode(block)
		var e *Error
		if !errors.As(err, &e) || e.Code != CompressionError || e.Stream != 0 {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestRequestHeads(t *testing.T) {
	get := []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/"}
	with := func(more ...string) []string { return append(append([]string(nil), get...), more...) }
	for name, c := range map[string]struct {
		fields []string
		ok     bool
	}{
		"plain":                      {with("x-a", "1"), true},
		"options *":                  {[]string{":method", "OPTIONS", ":scheme", "http", ":path", "*"}, true},
		"get *":                      {[]string{":method", "GET", ":scheme", "http", ":path", "*"}, false},
		"connect":                    {[]string{":method", "CONNECT", ":authority", "a:80"}, true},
		"connect with a path":        {[]string{":method", "CONNECT", ":authority", "a:80", ":path", "/"}, false},
		"extended connect":           {[]string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path", "/"}, true},
		"a protocol without connect": {with(":protocol", "websocket"), false},
		"no method":                  {get[2:], false},
		"no path":                    {get[:6], false},
		"an empty path":              {[]string{":method", "GET", ":scheme", "http", ":path", ""}, false},
		"a path twice":               {with(":path", "/"), false},
		"a pseudo-header field late": {[]string{":method", "GET", ":scheme", "http", "x-a", "1", ":path", "/"}, false},
		"a response's":               {with(":status", "200"), false},
		"an unknown one":             {with(":x", "1"), false},
		"upper case":                 {with("X-a", "1"), false},
		"an empty name":              {with("", "1"), false},
		"a space in a name":          {with("x a", "1"), false},
		"a line feed":                {with("x-a", "1\n2"), false},
		"a NUL":                      {with("x-a", "\x00"), false},
		"a space before":             {with("x-a", " 1"), false},
		"a tab within":               {with("x-a", "1\t2"), true},
		"latin 1":                    {with("x-a", "\xe4"), true},
		"connection":                 {with("connection", "close"), false},
		"transfer-encoding":          {with("transfer-encoding", "chunked"), false},
		"te: trailers":               {with("te", "trailers"), true},
		"te: gzip":                   {with("te", "gzip"), false},
		"the same host":              {with("host", "a"), true},
		"another host":               {with("host", "b"), false},
		"a host alone":               {[]string{":method", "GET", ":scheme", "http", ":path", "/", "host", "a"}, true},
		"two hosts":                  {[]string{":method", "GET", ":scheme", "http", ":path", "/", "host", "a", "host", "a"}, false},
		"a space in the path":        {[]string{":method", "GET", ":scheme", "http", ":path", "/ x"}, false},
		"a method that is no token":  {[]string{":method", "G T", ":scheme", "http", ":path", "/"}, false},
	} {
		_, rest, err := ParseRequest(9, pairs(c.fields...))
		var e *Error
		if (err == nil) != c.ok || err != nil && (!errors.As(err, &e) || e.Stream != 9 || e.Code != ProtocolError) {
			t.Errorf("%s: got %v", name, err)
		}
		for _, f := range rest {
			if f.IsPseudo() {
				t.Errorf("%s: %v is among the others", name, f)
			}
		}
	}
}

func TestResponseHeads(t *testing.T) {
	for status, ok := range map[string]bool{"200": true, "103": true, "999": true, "101": false, "99": false, "0200": false, "+20": false, "": false} {
		got, _, err := ParseResponse(1, pairs(":status", status, "x-a", "1"))
		if (err == nil) != ok || ok && fmt.Sprint(got) != status {
			t.Errorf("%q: got %d, %v", status, got, err)
		}
	}
	if _, _, err := ParseResponse(1, pairs(":status", "200", ":status", "200")); err == nil {
		t.Error("two statuses pass")
	}
	if err := CheckTrailers(1, pairs("grpc-status", "0")); err != nil {
		t.Error(err)
	}
	if err := CheckTrailers(1, pairs(":status", "200")); err == nil {
		t.Error("a status among trailers passes")
	}
}

func TestContentLengths(t *testing.T) {
	for value, want := range map[string]int64{"": -1, "0": 0, "17": 17, "17,17": 17, "17,18": -2, "+1": -2, "-1": -2, "1 ": -2, "9223372036854775808": -2} {
		var fields []Field
		for v := range strings.SplitSeq(value, ",") {
			if value != "" {
				fields = append(fields, Field{Name: "content-length", Value: v})
			}
		}
		got, err := ContentLength(1, fields)
		if err != nil {
			got = -2
		}
		if got != want {
			t.Errorf("%q: got %d, %v", value, got, err)
		}
	}
}

// FuzzHeads: we decode what golang.org/x/net/http2/hpack decodes, and heads that
// we accept golang.org/x/net/http2 accepts in the same sense.
func FuzzHeads(f *testing.F) {
	e := NewEncoder()
	for _, fields := range [][]Field{
		pairs(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "x-a", "1"),
		pairs(":status", "200", "content-type", "text/plain"),
		pairs("grpc-status", "0"),
	} {
		first, _ := Parse(e.AppendHead(nil, 1, fields, false, 1<<20))
		again, _ := Parse(e.AppendHead(nil, 1, fields, false, 1<<20))
		f.Add(first.Payload, again.Payload)
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		d := NewDecoder()
		oracle := hpack.NewDecoder(DefaultHeaderTableSize, nil)
		framer := new(bytes.Buffer)
		meta := xhttp2.NewFramer(nil, framer)
		meta.ReadMetaHeaders = hpack.NewDecoder(DefaultHeaderTableSize, nil)
		meta.MaxHeaderListSize = MaxHead
		for _, block := range [][]byte{one, two} {
			if len(block) > DefaultMaxFrame {
				return
			}
			got, err := d.Decode(block)
			want, wantErr := oracle.DecodeFull(block)
			large := errors.Is(err, ErrHeadTooLarge)
			if large && wantErr == nil {
				continue
			}
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("we say %v, they say %v", err, wantErr)
			}
			if err != nil {
				return
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
				t.Fatalf("got %q, want %q", got, want)
			}
			sameHead(t, framer, meta, block, got)
		}
	})
}

func sameHead(t *testing.T, framer *bytes.Buffer, meta *xhttp2.Framer, block []byte, fields []Field) {
	t.Helper()
	framer.Write(raw(FrameHeaders, FlagEndHeaders, 1, block...))
	theirs, err := meta.ReadFrame()
	request, _, reqErr := ParseRequest(1, fields)
	status, _, respErr := ParseResponse(1, fields)
	if reqErr != nil && respErr != nil && CheckTrailers(1, fields) != nil {
		return
	}
	if err != nil {
		t.Fatalf("%q: we accept it, they say %v", fields, err)
	}
	mh := theirs.(*xhttp2.MetaHeadersFrame)
	if mh.Truncated {
		t.Fatalf("%q: they say it is too long", fields)
	}
	if reqErr == nil && (mh.PseudoValue("method") != request.Method || mh.PseudoValue("path") != request.Path || mh.PseudoValue("authority") != request.Authority) {
		t.Fatalf("ours %+v, theirs %v", request, mh)
	}
	if respErr == nil && mh.PseudoValue("status") != fmt.Sprint(status) {
		t.Fatalf("ours %d, theirs %v", status, mh)
	}
}
