package encoding_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
)

func copyAll(r io.Reader) (int64, error) { return io.Copy(io.Discard, r) }

// link hands on what was written, and fails a read that would have to wait.
type link struct{ bytes.Buffer }

var errWouldWait = errors.New("nothing is there yet")

func (l *link) Read(p []byte) (int, error) {
	if l.Len() == 0 {
		return 0, errWouldWait
	}
	return l.Buffer.Read(p)
}

func TestFlushedMessageIsReadAtOnce(t *testing.T) {
	for _, s := range stacks(t) {
		var l link
		w, err := s.NewWriter(&l)
		if err != nil {
			t.Fatal(err)
		}
		r := s.NewReader(&l, encoding.Limits{Ratio: 1000})
		for i := range 50 {
			message := fmt.Sprintf("data: %d %s\n\n", i, strings.Repeat("x", i*i*10))
			io.WriteString(w, message)
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(message))
			if _, err := io.ReadFull(r, got); err != nil || string(got) != message {
				t.Fatalf("%s: message %d is %q, %v", s, i, got, err)
			}
		}
		r.Close()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestStreamEndsWithItsBody(t *testing.T) {
	text := strings.Repeat(sample, 100)
	for _, s := range stacks(t) {
		var wire bytes.Buffer
		w, err := s.NewWriter(&wire)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitAfterSeq(text, "}") {
			io.WriteString(w, part)
		}
		if err := errors.Join(w.Close(), w.Close()); err != nil {
			t.Error(err)
		}
		if whole, err := s.Decode(wire.Bytes(), encoding.Limits{}); err != nil || string(whole) != text {
			t.Errorf("%s: decodes to %d bytes, %v", s, len(whole), err)
		}
		for name, source := range map[string]io.Reader{
			"whole": bytes.NewReader(wire.Bytes()), "bytewise": iotest.OneByteReader(bytes.NewReader(wire.Bytes())),
			"with the end": iotest.DataErrReader(bytes.NewReader(wire.Bytes())),
		} {
			r := s.NewReader(source, encoding.Limits{})
			if got, err := io.ReadAll(r); err != nil || string(got) != text {
				t.Errorf("%s %s: %d bytes, %v", s, name, len(got), err)
			}
			r.Close()
		}
	}
}

func TestStreamTellsTruncationFromTheSourcesFailure(t *testing.T) {
	reset := errors.New("connection reset")
	for _, s := range stacks(t) {
		wire := mustEncode(t, s, []byte(strings.Repeat(sample, 10)))
		half := wire[:len(wire)/2]
		r := s.NewReader(bytes.NewReader(half), encoding.Limits{})
		if _, err := copyAll(r); !s.Identity() && !errors.As(err, new(*codec.SyntaxError)) {
			t.Errorf("%s cut: error %v", s, err)
		}
		r.Close()
		r = s.NewReader(io.MultiReader(bytes.NewReader(half), iotest.ErrReader(reset)), encoding.Limits{})
		if _, err := copyAll(r); !errors.Is(err, reset) {
			t.Errorf("%s reset: error %v", s, err)
		}
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, reset) && !s.Identity() {
			t.Errorf("%s reset: then error %v", s, err)
		}
		r.Close()
		if _, err := r.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: reads after Close", s)
		}
		r = s.NewReader(strings.NewReader(""), encoding.Limits{})
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s empty: error %v", s, err)
		}
		r.Close()
	}
}

func TestWriterTellsOfItsTarget(t *testing.T) {
	for _, s := range stacks(t) {
		w, err := s.NewWriter(broken{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Write([]byte(sample))
		if err = errors.Join(err, w.Flush()); err == nil {
			t.Errorf("%s: a broken target went unnoticed", s)
		}
		w.Close()
		if _, err := w.Write([]byte("x")); err == nil {
			t.Errorf("%s: writes after Close", s)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// What one body left in a pooled decoder or encoder does not show in the next.
func TestPoolsHandOutCleanState(t *testing.T) {
	for _, s := range stacks(t) {
		for range 20 {
			wire := mustEncode(t, s, []byte(sample))
			s.Decode(wire[:len(wire)/2], encoding.Limits{})
			r := s.NewReader(bytes.NewReader(wire[:len(wire)-1]), encoding.Limits{})
			copyAll(r)
			r.Close()
			w, _ := s.NewWriter(io.Discard)
			io.WriteString(w, "never closed properly")
			w.Flush()
			w.Close()
			if got, err := s.Decode(wire, encoding.Limits{}); err != nil || string(got) != sample {
				t.Fatalf("%s: %q, %v", s, got, err)
			}
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	var wait sync.WaitGroup
	for _, s := range stacks(t) {
		for i := range 4 {
			wait.Go(func() {
				plain := strings.Repeat(sample, 1+i*20)
				wire, err := s.Encode([]byte(plain))
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := s.Decode(wire, encoding.Limits{}); err != nil || string(got) != plain {
					t.Errorf("%s: %d bytes, %v", s, len(got), err)
				}
				r := s.NewReader(bytes.NewReader(wire), encoding.Limits{})
				defer r.Close()
				if got, err := io.ReadAll(r); err != nil || string(got) != plain {
					t.Errorf("%s as a stream: %d bytes, %v", s, len(got), err)
				}
			})
		}
	}
	wait.Wait()
}

func ExampleStack() {
	s, err := encoding.Parse("gzip, br")
	if err != nil {
		fmt.Println(err)
		return
	}
	wire, err := s.Encode([]byte("hello"))
	if err != nil {
		fmt.Println(err)
		return
	}
	plain, err := s.Decode(wire, encoding.Limits{})
	fmt.Println(s, string(plain), err)
	// Output: gzip, br hello <nil>
}
