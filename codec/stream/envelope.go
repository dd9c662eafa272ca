package stream

import (
	"encoding/binary"

	"github.com/sluice-proxy/sluice/codec"
)

// Envelopes are length-prefixed messages, as the bodies of gRPC-Web and of
// Connect's streams hold them: a byte of flags, a length of four bytes, and that
// many bytes. They are no [Format], as they do not say what a message is written
// in.
type Envelopes struct {
	Name string // for errors: "grpc-web"

	// End is the flag of what is no message but the end of the stream: 0x80 for
	// the trailers of gRPC-Web, 2 for Connect's EndStreamResponse. 0: there is
	// none, and what has such flags is a message.
	End byte
}

const (
	// EnvelopePrefix is the length of what stands before the bytes of an envelope.
	EnvelopePrefix = 5

	// EnvelopeCompressed is the flag that says that the bytes are compressed.
	EnvelopeCompressed = 1
)

// Ends reports whether an envelope of these flags is the end of the stream.
func (e Envelopes) Ends(flags byte) bool { return e.End != 0 && flags&^EnvelopeCompressed == e.End }

// Split returns a Splitter whose messages are envelopes with their prefix,
// whatever their flags are. The stream's end is passed on as it comes, and so is
// a message that is cut off by the end of the bytes: the last one may be shorter
// than it says. Of limits, Size bounds the bytes in one.
func (e Envelopes) Split(limits codec.Limits) Splitter {
	return &envelopes{Envelopes: e, most: sizeOf(limits)}
}

type envelopes struct {
	Envelopes
	most int
	left int64 // of an end, to be passed on
}

func (e *envelopes) Next(buf []byte, final bool) (int, []byte, error) {
	if e.left == 0 && len(buf) >= EnvelopePrefix && e.Ends(buf[0]) {
		e.left = EnvelopePrefix + int64(binary.BigEndian.Uint32(buf[1:]))
	}
	if e.left > 0 {
		n := int(min(e.left, int64(len(buf))))
		e.left -= int64(n)
		return n, nil, nil
	}
	whole := int64(EnvelopePrefix)
	if len(buf) >= EnvelopePrefix {
		size := binary.BigEndian.Uint32(buf[1:])
		if int64(size) > int64(e.most) {
			return 0, nil, &codec.LimitError{Format: e.Name, Limit: "size", Max: int64(e.most)}
		}
		whole += int64(size)
	}
	switch {
	case int64(len(buf)) >= whole:
		return int(whole), buf[:whole:whole], nil
	case final && len(buf) > 0:
		return len(buf), buf[:len(buf):len(buf)], nil
	}
	return 0, nil, nil
}

// Open returns the flags and the bytes of an envelope that Split has cut. Its
// error is a [*codec.SyntaxError]: it was cut off, or has flags that no message
// has.
func (e Envelopes) Open(envelope []byte) (flags byte, data []byte, err error) {
	if len(envelope) < EnvelopePrefix || int64(len(envelope)) < EnvelopePrefix+int64(binary.BigEndian.Uint32(envelope[1:])) {
		return 0, nil, &codec.SyntaxError{Format: e.Name, Offset: len(envelope), Msg: "found the end in the middle of a message"}
	}
	if envelope[0]&^EnvelopeCompressed != 0 {
		return 0, nil, &codec.SyntaxError{Format: e.Name, Msg: "found flags that no message has"}
	}
	return envelope[0], envelope[EnvelopePrefix:], nil
}

// AppendEnvelope appends data, which is less than 4 GiB, with its prefix.
func AppendEnvelope(dst []byte, flags byte, data []byte) []byte {
	dst = append(dst, flags)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	return append(dst, data...)
}
