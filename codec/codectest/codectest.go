// Package codectest is the contract that every codec passes, as a test.
package codectest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/itchyny/gojq"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// Suite describes a codec to Run.
type Suite struct {
	Codec   codec.Codec
	Cases   []Case
	Invalid []string // payloads that Decode refuses with a SyntaxError

	// Deep, if set, makes a valid payload of n containers in one another.
	Deep func(n int) []byte
	// ReadOnly codecs encode only what is equal.
	ReadOnly bool
	// Lossy payloads, by case name, do not come back equal from scratch.
	Lossy []string
}

// Case is a payload, what it reads as, and what edits make of it.
type Case struct {
	Name  string
	In    string
	Value any // nil: not checked
	Edits []Edit
}

// Edit is a jq program and the payload it must lead to.
type Edit struct {
	JQ  string
	Out string
	Err string // or the text of the ExpressError
	// Normal says that Out does not read as what the program left, such as null
	// for a field that is cleared, and that the codec means it.
	Normal bool
}

// Run tests that the codec keeps its contract on all cases.
func Run(t *testing.T, s Suite) {
	for _, c := range s.Cases {
		t.Run(c.Name, func(t *testing.T) {
			s.decodes(t, c)
			s.keepsEqual(t, c)
			s.comesBack(t, c)
			for _, e := range c.Edits {
				s.edits(t, c, e)
			}
		})
	}
	for _, in := range s.Invalid {
		s.refuses(t, in)
	}
	s.limits(t)
	if !s.ReadOnly {
		s.refusesOtherTypes(t)
	}
}

func (s Suite) decode(t *testing.T, in string) (codec.Value, codec.Original) {
	t.Helper()
	v, original, err := s.Codec.Decode([]byte(in), codec.Limits{})
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	if original == nil {
		t.Fatal("Decode returned no Original")
	}
	return v, original
}

func (s Suite) decodes(t *testing.T, c Case) {
	v, _ := s.decode(t, c.In)
	if err := Check(v); err != nil {
		t.Errorf("Decode: %v", err)
	}
	if c.Value != nil && !value.Equal(c.Value, v) {
		t.Errorf("Decode = %#v, want %#v", v, c.Value)
	}
}

// keepsEqual checks that an equal value returns the very bytes, whether or not
// it is the same one.
func (s Suite) keepsEqual(t *testing.T, c Case) {
	v, original := s.decode(t, c.In)
	for name, v := range map[string]codec.Value{"same": v, "copied": Copy(v)} {
		out, err := s.Codec.Encode(original, v)
		if err != nil {
			t.Errorf("Encode of the %s value: %v", name, err)
		}
		if string(out) != c.In {
			t.Errorf("Encode of the %s value = %q, want %q", name, out, c.In)
		}
	}
}

// comesBack checks that a value written from scratch reads as itself.
func (s Suite) comesBack(t *testing.T, c Case) {
	if s.ReadOnly || slices.Contains(s.Lossy, c.Name) {
		return
	}
	v, _ := s.decode(t, c.In)
	out, err := s.Codec.Encode(nil, v)
	if err != nil {
		t.Errorf("Encode from scratch: %v", err)
		return
	}
	again, _ := s.decode(t, string(out))
	if !value.Equal(v, again) {
		t.Errorf("from scratch %q reads as %#v, want %#v", out, again, v)
	}
}

func (s Suite) edits(t *testing.T, c Case, e Edit) {
	t.Helper()
	v, original := s.decode(t, c.In)
	before := Copy(v)
	edited, err := JQ(e.JQ, v)
	if err != nil {
		t.Errorf("%s: %v", e.JQ, err)
		return
	}
	out, err := s.Codec.Encode(original, edited)
	var express *codec.ExpressError
	switch {
	case e.Err != "" && (err == nil || err.Error() != e.Err):
		t.Errorf("%s: error %v, want %s", e.JQ, err, e.Err)
	case e.Err != "" && !errors.As(err, &express):
		t.Errorf("%s: error is a %T, want *codec.ExpressError", e.JQ, err)
	case e.Err == "" && err != nil:
		t.Errorf("%s: %v", e.JQ, err)
	case e.Err == "" && string(out) != e.Out:
		t.Errorf("%s:\n got %q\nwant %q", e.JQ, out, e.Out)
	case e.Err == "" && !e.Normal && !slices.Contains(s.Lossy, c.Name):
		again, _ := s.decode(t, string(out))
		if !value.Equal(edited, again) && !s.normalises(edited, again) {
			t.Errorf("%s: %q reads as %#v, want %#v", e.JQ, out, again, edited)
		}
	}
	if !value.Equal(before, v) {
		t.Errorf("%s: Encode changed the decoded value", e.JQ)
	}
}

// normalises reports whether again is what the format makes of v even from
// scratch, such as the zero value in place of null.
func (s Suite) normalises(v, again codec.Value) bool {
	out, err := s.Codec.Encode(nil, v)
	if err != nil {
		return false
	}
	want, _, err := s.Codec.Decode(out, codec.Limits{})
	return err == nil && value.Equal(want, again)
}

func (s Suite) refuses(t *testing.T, in string) {
	_, _, err := s.Codec.Decode([]byte(in), codec.Limits{})
	var syntax *codec.SyntaxError
	if !errors.As(err, &syntax) {
		t.Errorf("Decode(%q): error %v, want a *codec.SyntaxError", in, err)
		return
	}
	if syntax.Format != s.Codec.Name() || syntax.Offset < 0 || syntax.Offset > len(in) {
		t.Errorf("Decode(%q): format %q, offset %d", in, syntax.Format, syntax.Offset)
	}
}

func (s Suite) limits(t *testing.T) {
	check := func(what string, in []byte, limits codec.Limits, limit string) {
		_, _, err := s.Codec.Decode(in, limits)
		var over *codec.LimitError
		if !errors.As(err, &over) || over.Limit != limit || over.Max <= 0 || !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("Decode of %s: error %v, want a *codec.LimitError of %s", what, err, limit)
		}
	}
	check("9 MiB", bytes.Repeat([]byte{' '}, 9<<20), codec.Limits{}, "size")
	if s.Deep == nil {
		return
	}
	check("600 levels", s.Deep(600), codec.Limits{}, "depth")
	check("100,000 levels", s.Deep(100_000), codec.Limits{}, "depth")
	check("11 levels where 10 may be", s.Deep(11), codec.Limits{Depth: 10}, "depth")
	if _, _, err := s.Codec.Decode(s.Deep(10), codec.Limits{Depth: 10}); err != nil {
		t.Errorf("Decode of 10 levels where 10 may be: %v", err)
	}
}

func (s Suite) refusesOtherTypes(t *testing.T) {
	for _, v := range []any{struct{}{}, []any{int32(1)}, map[string]any{"a": []string{"b"}}} {
		_, err := s.Codec.Encode(nil, v)
		var express *codec.ExpressError
		if !errors.As(err, &express) {
			t.Errorf("Encode(%#v): error %v, want a *codec.ExpressError", v, err)
		}
	}
}

// Check reports the first part of v that is none of the nine types of a
// [codec.Value].
func Check(v any) error {
	switch v := v.(type) {
	case nil, bool, int, float64, *big.Int, json.Number, string:
		return nil
	case []any:
		for i, e := range v {
			if err := Check(e); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return nil
	case map[string]any:
		for k, e := range v {
			if err := Check(e); err != nil {
				return fmt.Errorf("%q: %w", k, err)
			}
		}
		return nil
	}
	return fmt.Errorf("a %T is no value", v)
}

// Copy returns a value equal to v that shares no container with it.
func Copy(v codec.Value) codec.Value {
	switch v := v.(type) {
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = Copy(e)
		}
		return c
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, e := range v {
			c[k] = Copy(e)
		}
		return c
	}
	return v
}

// JQ returns the only result of a program for v.
func JQ(program string, v codec.Value) (codec.Value, error) {
	q, err := gojq.Parse(program)
	if err != nil {
		return nil, err
	}
	results := q.Run(v)
	r, ok := results.Next()
	if !ok {
		return nil, errors.New("no result")
	}
	if err, ok := r.(error); ok {
		return nil, err
	}
	if _, more := results.Next(); more {
		return nil, errors.New("more than one result")
	}
	return r, nil
}
