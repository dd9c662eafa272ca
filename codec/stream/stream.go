// Package stream cuts byte streams of framed messages into these messages,
// one at a time and as soon as the last byte of one is there, and is the codec
// of one such message with its frame: lines of JSON (NDJSON), server-sent events
// (SSE), and JSON text sequences (RFC 7464).
//
// What is between messages, such as blank lines and comments, is no message and
// passes as bytes. What belongs to one, such as its line end, is part of it, and
// kept by the codec where an edit does not name it.
package stream

import (
	"math"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
)

// Splitter cuts one stream into messages. It is not safe for concurrent use.
//
// The caller keeps the bytes that came and were not taken yet in one buffer and
// calls Next until it returns 0, then again with more bytes behind the same
// ones. Every byte is looked at once, however small the pieces are in which they
// come, and however they are cut the messages are the same.
type Splitter interface {
	// Next returns how many bytes of buf come next in the stream, and msg if they
	// are a message, nil if they are to be passed on as they are. It returns 0 if
	// it needs more bytes. buf begins where the last n ended, and final says that
	// the stream ends with buf. msg is buf[:n], not a copy. The only error is a
	// [*codec.LimitError], for a message longer than the limit; it is the end of
	// the stream.
	Next(buf []byte, final bool) (n int, msg []byte, err error)
}

// Format is a framing and the codec of one message with its frame.
type Format interface {
	codec.Codec

	// Split returns the Splitter of a new stream. Of limits, Size bounds one
	// message.
	Split(limits codec.Limits) Splitter

	// Terminate returns msg with what it lacks for another message to follow:
	// the last one of a stream may end without a line end. It does not change
	// msg.
	Terminate(msg []byte) []byte
}

var (
	_ Format = NDJSON{}
	_ Format = SSE{}
	_ Format = JSONSeq{}
)

const bom = "\ufeff"

func sizeOf(limits codec.Limits) int {
	return int(min(limits.WithDefaults().Size, math.MaxInt32))
}

// taken is the result of Next for n bytes.
func taken(format string, most int, buf []byte, n int, message bool) (int, []byte, error) {
	if n > most || n == 0 && len(buf) > most {
		return 0, nil, &codec.LimitError{Format: format, Limit: "size", Max: int64(most)}
	}
	if n == 0 || !message {
		return n, nil, nil
	}
	return n, buf[:n:n], nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isBlank(text []byte) bool {
	for _, c := range text {
		if !isSpace(c) {
			return false
		}
	}
	return true
}

// of makes an error of the JSON codec one of format, whose JSON began at offset.
func of(format string, offset int, err error) error {
	switch e := err.(type) {
	case *codec.SyntaxError:
		return &codec.SyntaxError{Format: format, Offset: e.Offset + offset, Msg: e.Msg}
	case *codec.LimitError:
		return &codec.LimitError{Format: format, Limit: e.Limit, Max: e.Max}
	case *codec.ExpressError:
		return &codec.ExpressError{Format: format, Path: e.Path, Msg: e.Msg}
	}
	return err
}

// scratch writes v as JSON on one line.
func scratch(format string, v codec.Value) ([]byte, error) {
	out, err := json.Codec{}.Encode(nil, v)
	return out, of(format, 0, err)
}
