package protobuf

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sluice-proxy/sluice/codec"
)

func TestReadFrame(t *testing.T) {
	big := strings.Repeat("x", 300_000)
	for _, test := range []struct {
		name, in string
		limit    codec.Bytes
		want     string
		flags    byte
		err      error
	}{
		{name: "empty", in: "\x00\x00\x00\x00\x00", want: ""},
		{name: "one", in: "\x01\x00\x00\x00\x02hi", want: "hi", flags: 1},
		{name: "large", in: "\x00\x00\x04\x93\xe0" + big, want: big},
		{name: "at the limit", in: "\x00\x00\x00\x00\x02hi", limit: 2, want: "hi"},
		{name: "over the limit", in: "\x00\x00\x00\x00\x03hi!", limit: 2, err: codec.ErrTooLarge},
		{name: "a length that lies", in: "\x00\xff\xff\xff\xff", err: codec.ErrTooLarge},
		{name: "the end", in: "", err: io.EOF},
		{name: "the end in the prefix", in: "\x00\x00", err: io.ErrUnexpectedEOF},
		{name: "the end after the prefix", in: "\x00\x00\x00\x00\x02", err: io.ErrUnexpectedEOF},
		{name: "the end in the message", in: "\x00\x00\x00\x00\x02h", err: io.ErrUnexpectedEOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := ReadFrame(iotest.HalfReader(strings.NewReader(test.in)), test.limit)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if string(f.Data) != test.want || f.Flags != test.flags || f.Compressed() != (test.flags == 1) {
				t.Errorf("read %d bytes with flags %d", len(f.Data), f.Flags)
			}
			if err == nil && string(AppendFrame(nil, f)) != test.in {
				t.Error("AppendFrame wrote other bytes")
			}
		})
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x02hi\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		var out []byte
		for {
			frame, err := ReadFrame(r, 1<<10)
			if err != nil {
				break
			}
			out = AppendFrame(out, frame)
		}
		if !bytes.HasPrefix(data, out) {
			t.Errorf("read %q from %q", out, data)
		}
	})
}
