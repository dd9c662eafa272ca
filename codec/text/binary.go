package text

import (
	"encoding/base64"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
)

const binaryName = "binary"

// Binary reads bytes as a string, their base64: the standard alphabet, padded,
// without line ends (RFC 4648, 4). The zero value is ready.
type Binary struct{}

var _ codec.Codec = Binary{}

// Name returns "binary".
func (Binary) Name() string { return binaryName }

// Decode returns the base64 of data. Its only error is a [*codec.LimitError]:
// any bytes are binary.
func (Binary) Decode(data []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	if err := withinSize(binaryName, data, limits); err != nil {
		return nil, nil, err
	}
	s := base64.StdEncoding.EncodeToString(data)
	return s, &original{data: data, value: s}, nil
}

// Encode returns the bytes of which v, a string, is the base64. A spelling
// that Decode would not give for these bytes is none.
func (Binary) Encode(o codec.Original, v codec.Value) ([]byte, error) {
	s, err := stringOf(binaryName, v)
	if err != nil {
		return nil, err
	}
	if data, ok := unchanged(o, s); ok {
		return data, nil
	}
	data, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") { // which the decoder passes over
		return nil, &codec.ExpressError{Format: binaryName, Path: ".", Msg: "a string that is not base64"}
	}
	return data, nil
}
