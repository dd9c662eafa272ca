// Package codec turns a payload's bytes into a value that jq can work on, and
// the value that jq left into bytes again, writing only the difference.
//
// A [Codec] decodes bytes to a [Value] and an [Original]: whatever the codec
// needs to write an edited value back onto the bytes it came from, so that key
// order, number spelling, unknown protobuf fields and everything else that an
// edit does not name survives. Encoding a value that is equal to the decoded
// one returns the very bytes that were decoded.
//
// Package codectest holds the contract that every codec passes.
package codec

import (
	"errors"
	"fmt"
)

// Value is a decoded payload: one of nil, bool, int, float64, [*big.Int],
// [json.Number], string, []any or map[string]any, nested to any depth the
// [Limits] allow. These are the types gojq takes; it panics on others. A Value
// is never changed after it was handed out: an edit makes a new one, which may
// share parts with the old.
type Value = any

// Original is what a [Codec] keeps of a decoded payload to write a difference
// onto. It is opaque to everyone else, holds on to the decoded bytes, and is
// safe for concurrent use. A nil Original means that there was no payload.
type Original any

// Codec is one payload format. A Codec has no state and is safe for concurrent
// use.
type Codec interface {
	// Name is the format's name as a rule file spells it, such as "json".
	Name() string

	// Decode parses all of data, which the result may hold on to and which
	// must not change afterwards. Its error is a [*SyntaxError] or a
	// [*LimitError].
	Decode(data []byte, limits Limits) (Value, Original, error)

	// Encode writes v. With an Original of this codec it writes the difference
	// between what was decoded and v onto the original bytes, and returns those
	// very bytes if the two are equal; with nil it writes v from scratch. Its
	// error is an [*ExpressError] when the format cannot express v. The
	// caller must not change the returned bytes.
	Encode(original Original, v Value) ([]byte, error)
}

// Bytes is a size in bytes.
type Bytes int64

// The usual units of Bytes.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
)

// Limits bounds what decoding a payload may cost. A zero field means the
// default beside it.
type Limits struct {
	Size  Bytes // the payload's length; 8 MiB
	Depth int   // nesting of containers; 512 (a codec may be stricter: protobuf 100)
}

// WithDefaults returns l with its zero fields set.
func (l Limits) WithDefaults() Limits {
	if l.Size == 0 {
		l.Size = 8 * MiB
	}
	if l.Depth == 0 {
		l.Depth = 512
	}
	return l
}

// ErrTooLarge is what every [*LimitError] wraps.
var ErrTooLarge = errors.New("over the limit")

// SyntaxError says that a payload is not of its format.
type SyntaxError struct {
	Format string // the codec's name
	Offset int    // in bytes from the start of the payload
	Msg    string // what was found and what was expected, with no part of the payload longer than 32 bytes
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s: offset %d: %s", e.Format, e.Offset, e.Msg)
}

// LimitError says that a payload is over one of the [Limits].
type LimitError struct {
	Format string
	Limit  string // "size", "depth", "number" (its digits), "fields" or "items" (how many), "copies" (bytes read again); of content codings "ratio", "window" and "codings"
	Max    int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s: %s over the limit of %d", e.Format, e.Limit, e.Max)
}

func (e *LimitError) Unwrap() error { return ErrTooLarge }

// ExpressError says that a value has no form in a format, such as a string in
// a protobuf field of type int32.
type ExpressError struct {
	Format string
	Path   string // jq's notation: .items[3].price
	Msg    string
}

func (e *ExpressError) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.Format, e.Path, e.Msg)
}
