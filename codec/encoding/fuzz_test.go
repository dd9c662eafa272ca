package encoding_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
)

// FuzzDecode reads arbitrary input, whole and as a stream: they agree, stay
// within bounds and never panic.
func FuzzDecode(f *testing.F) {
	all := stacks(f)
	for i, s := range all {
		f.Add(mustEncode(f, s, []byte(sample)), uint8(i))
		f.Add(mustEncode(f, s, make([]byte, 1<<20)), uint8(i))
	}
	limits := encoding.Limits{Size: 1 << 20, Ratio: 50, Floor: 4 << 10}
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		s := all[int(which)%len(all)]
		if s.Identity() {
			return
		}
		plain, err := s.Decode(data, limits)
		if err != nil && !errors.As(err, new(*codec.SyntaxError)) && !errors.As(err, new(*codec.LimitError)) {
			t.Fatalf("%s: error is a %T: %v", s, err, err)
		}
		if bound := max(50*len(data), 4<<10); len(plain) > bound {
			t.Fatalf("%s: %d bytes became %d", s, len(data), len(plain))
		}
		r := s.NewReader(bytes.NewReader(data), limits)
		defer r.Close()
		streamed, streamErr := io.ReadAll(r)
		if streamErr != nil && !errors.As(streamErr, new(*codec.SyntaxError)) && !errors.As(streamErr, new(*codec.LimitError)) {
			t.Fatalf("%s: stream's error is a %T: %v", s, streamErr, streamErr)
		}
		if errors.Is(err, codec.ErrTooLarge) || errors.Is(streamErr, codec.ErrTooLarge) {
			return
		}
		if (err == nil) != (streamErr == nil) || err == nil && !bytes.Equal(plain, streamed) {
			t.Fatalf("%s: %x\nwhole:  %d bytes, %v\nstream: %d bytes, %v", s, data, len(plain), err, len(streamed), streamErr)
		}
	})
}

// FuzzRoundTrip encodes what it is given, whole and in flushed parts.
func FuzzRoundTrip(f *testing.F) {
	all := stacks(f)
	for i := range all {
		f.Add([]byte(sample), uint8(i), uint16(7))
	}
	limits := encoding.Limits{Ratio: 1 << 20}
	f.Fuzz(func(t *testing.T, plain []byte, which uint8, part uint16) {
		s := all[int(which)%len(all)]
		if got, err := s.Decode(mustEncode(t, s, plain), limits); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%s: %q came back as %q, %v", s, plain, got, err)
		}
		var wire bytes.Buffer
		w, err := s.NewWriter(&wire)
		if err != nil {
			t.Fatal(err)
		}
		for rest := plain; len(rest) > 0; {
			n := min(len(rest), int(part)+1)
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			if n%2 == 0 {
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Decode(wire.Bytes(), limits); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%s: %q streamed came back as %q, %v", s, plain, got, err)
		}
	})
}
