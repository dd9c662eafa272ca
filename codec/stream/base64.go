package stream

import (
	"bytes"
	"encoding/base64"

	"github.com/sluice-proxy/sluice/codec"
)

// Base64 is a stream of bytes that comes and leaves as base64 text, as gRPC-Web
// has it in its text mode: one text or several behind each other, each padded,
// wherever the sender has cut them. What nobody changes leaves as the text that
// it came as.
//
// The bytes that Decode has given out leave in their order, each by Pass or
// Replace. Four characters may hold the end of one message and the beginning of
// the next; then they wait until it is known what becomes of both.
//
// The zero Base64 is a new stream. It belongs to one goroutine.
type Base64 struct {
	text    []byte // that came and has not left, from the beginning of a quantum
	decoded int    // of text; the rest is no whole quantum, or garbled
	offset  int    // of text in the stream

	gone int // bytes of the first quantum that have left in another form
	held int // bytes after them that will leave as they came
}

// quantum is how many characters hold three bytes, or less with padding.
const quantum = 4

// Decode appends to dst the bytes of text, which comes next in the stream, as far
// as it is there. Its error is a [*codec.SyntaxError] at the first quantum that
// is none; it is the end of the stream, of which Rest has what is left.
func (b *Base64) Decode(dst, text []byte) ([]byte, error) {
	b.text = append(b.text, text...)
	for single := false; len(b.text)-b.decoded >= quantum; {
		rest := b.text[b.decoded:]
		run := len(rest)
		if i := bytes.IndexByte(rest, '='); i >= 0 {
			run = i
		}
		run -= run % quantum
		if run > 0 && !single {
			if out, err := base64.StdEncoding.AppendDecode(dst, rest[:run]); err == nil && len(out)-len(dst) == run/quantum*3 {
				dst = out
				b.decoded += run
				continue
			}
			single = true // which finds the place
		}
		var three [3]byte
		n, err := base64.StdEncoding.Decode(three[:], rest[:quantum])
		if err != nil || n != bytesOf(rest) { // line ends, which the decoder passes over
			return dst, &codec.SyntaxError{Format: "base64", Offset: b.offset + b.decoded, Msg: "found what is no base64, expected four characters of it"}
		}
		dst = append(dst, three[:n]...)
		b.decoded += quantum
	}
	return dst, nil
}

// bytesOf is how many bytes the first quantum of text holds.
func bytesOf(text []byte) int {
	switch {
	case text[quantum-2] == '=':
		return 1
	case text[quantum-1] == '=':
		return 2
	}
	return 3
}

// Pass appends to dst the text of data, the next bytes that have not left, as it
// came, as far as that may leave. data ends where a message does.
func (b *Base64) Pass(dst, data []byte) []byte {
	if b.gone > 0 {
		return b.Replace(dst, len(data), data)
	}
	whole := 0 // of text
	for left := len(data); left > 0; {
		n := bytesOf(b.text[whole:]) - b.held
		if left < n {
			b.held += left
			break
		}
		left -= n
		b.held = 0
		whole += quantum
	}
	dst = append(dst, b.text[:whole]...)
	b.drop(whole)
	return dst
}

// Replace appends to dst what was held of the bytes before, and data in place of
// the next n that have not left.
func (b *Base64) Replace(dst []byte, n int, data []byte) []byte {
	if b.held > 0 {
		dst = base64.StdEncoding.AppendEncode(dst, b.first()[b.gone:b.gone+b.held])
		b.gone, b.held = b.gone+b.held, 0
	}
	dst = base64.StdEncoding.AppendEncode(dst, data)
	whole := 0
	for n > 0 {
		left := bytesOf(b.text[whole:]) - b.gone
		if n < left {
			b.gone += n
			break
		}
		n -= left
		b.gone = 0
		whole += quantum
	}
	b.drop(whole)
	return dst
}

// Rest appends to dst all that came and has not left, as it came, whether or not
// it was decoded. What comes after it is not for this Base64.
func (b *Base64) Rest(dst []byte) []byte {
	text := b.text
	if b.gone > 0 {
		dst = base64.StdEncoding.AppendEncode(dst, b.first()[b.gone:])
		text = text[quantum:]
	}
	*b = Base64{offset: b.offset}
	return append(dst, text...)
}

// Whole reports whether the text that came is whole quanta.
func (b *Base64) Whole() bool { return b.decoded == len(b.text) }

// first are the bytes of the first quantum.
func (b *Base64) first() []byte {
	three, _ := base64.StdEncoding.AppendDecode(nil, b.text[:quantum]) // as it was decoded before
	return three
}

// drop forgets text that has left.
func (b *Base64) drop(n int) {
	b.text = b.text[n:]
	b.decoded -= n
	b.offset += n
}
