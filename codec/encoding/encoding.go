// Package encoding undoes and redoes the codings of a body: gzip, deflate, br
// and zstd, as Content-Encoding (RFC 9110, 8.4) and grpc-encoding name them,
// and stacks of them.
//
// What is decided where the RFCs leave room:
//   - deflate is written with its zlib wrapper, as RFC 9110 says, and read with
//     or without it, as browsers do.
//   - Several gzip members or zstd frames one after another are one body (RFC
//     1952, 2.2; RFC 8878, 3.1); anything else after the end is an error.
//   - A zstd window over 8 MiB is over a limit (RFC 9659), for gRPC too.
//   - A body of no bytes is no body: it decodes to no bytes in every coding.
//   - What unfolds further than [Limits] allow is stopped on the way; of a stack
//     all stages together may unfold so far, and none of them further.
package encoding

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
)

// Limits bounds what a body may unfold to. A zero field means the default
// beside it.
type Limits struct {
	Size  codec.Bytes // of the decoded body; 64 MiB. A stream has no size
	Ratio int64       // of decoded to encoded bytes; 100
	Floor codec.Bytes // what may unfold at any ratio; 64 KiB
}

func (l Limits) withDefaults() Limits {
	if l.Size == 0 {
		l.Size = 64 * codec.MiB
	}
	if l.Ratio == 0 {
		l.Ratio = 100
	}
	if l.Floor == 0 {
		l.Floor = 64 * codec.KiB
	}
	return l
}

// byRatio is how far encoded bytes may unfold if size does not matter.
func (l Limits) byRatio(encoded int64) int64 {
	return max(int64(l.Floor), encoded*l.Ratio)
}

// UnknownError says that a body has a coding that this package does not know.
type UnknownError struct {
	Name string // as it was named, at most 32 bytes of it
}

func (e *UnknownError) Error() string { return fmt.Sprintf("content coding %q is not known", e.Name) }

// maxCodings is how many codings a stack may have. Each costs a pass over the
// body, and nobody needs two.
const maxCodings = 4

// Stack is a list of codings in the order in which they were applied. The zero
// Stack is identity. It is immutable and safe for concurrent use.
type Stack struct {
	codings []*coding
}

// Parse returns the stack that the values of a body's Content-Encoding fields
// name. identity and empty elements are nothing, x-gzip is gzip (RFC 9110,
// 8.4.1.3), the case does not matter. Its error is an [*UnknownError], or a
// [*codec.LimitError] for more than 4 codings.
func Parse(values ...string) (Stack, error) {
	var s Stack
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.ToLower(strings.Trim(name, " \t"))
			switch name {
			case "", "identity":
				continue
			case "x-gzip":
				name = "gzip"
			}
			c := find(name)
			if c == nil {
				return Stack{}, &UnknownError{Name: name[:min(len(name), 32)]}
			}
			if len(s.codings) == maxCodings {
				return Stack{}, &codec.LimitError{Format: "content coding", Limit: "codings", Max: maxCodings}
			}
			s.codings = append(s.codings, c)
		}
	}
	return s, nil
}

// ParseGRPC returns the stack of a call's grpc-encoding, which is one of gzip,
// zstd, deflate, identity or nothing, in lower case. Its error is an
// [*UnknownError].
func ParseGRPC(name string) (Stack, error) {
	switch name {
	case "", "identity":
		return Stack{}, nil
	case "gzip", "zstd", "deflate":
		return Stack{[]*coding{find(name)}}, nil
	}
	return Stack{}, &UnknownError{Name: name[:min(len(name), 32)]}
}

// Identity reports whether the body is as it is.
func (s Stack) Identity() bool { return len(s.codings) == 0 }

// String is the stack as Content-Encoding spells it: "gzip, br". Identity is
// the empty string.
func (s Stack) String() string {
	names := make([]string, len(s.codings))
	for i, c := range s.codings {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// Decode undoes the codings, the last first. What it returns is new memory,
// except that identity returns data. Its error is a [*codec.SyntaxError] named
// for the coding, its offset about where the coding's input is wrong, or a
// [*codec.LimitError] of "ratio", "size" or "window".
func (s Stack) Decode(data []byte, limits Limits) ([]byte, error) {
	if len(data) == 0 {
		return data, nil
	}
	limits = limits.withDefaults()
	bound := min(int64(limits.Size), limits.byRatio(int64(len(data))))
	for _, c := range slices.Backward(s.codings) {
		plain, err := c.decode(data, int(bound))
		switch {
		case errors.Is(err, errOver) && bound < int64(limits.Size):
			return nil, &codec.LimitError{Format: c.name, Limit: "ratio", Max: limits.Ratio}
		case errors.Is(err, errOver):
			return nil, &codec.LimitError{Format: c.name, Limit: "size", Max: int64(limits.Size)}
		case err != nil:
			return nil, err
		case len(plain) == 0:
			return plain, nil
		}
		data = plain
	}
	return data, nil
}

// Encode applies the codings, the first first. What it returns is new memory,
// except that identity returns data.
func (s Stack) Encode(data []byte) ([]byte, error) {
	for _, c := range s.codings {
		var err error
		if data, err = c.encode(data); err != nil {
			return nil, fmt.Errorf("encode %s: %w", c.name, err)
		}
	}
	return data, nil
}
