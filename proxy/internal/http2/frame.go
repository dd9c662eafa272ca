// Package http2 is HTTP/2 as a relay needs it (RFC 9113): the wire format over
// byte slices, with the bounds of frames and heads, and on top of it [Hop], one
// end of a connection, with its streams and windows. It opens no connection;
// what it runs beside its callers, they spawn.
package http2

import "encoding/binary"

// HeaderLen is the length of what begins each frame.
const HeaderLen = 9

// Header is what begins a frame.
type Header struct {
	Length uint32 // of the payload
	Type   FrameType
	Flags  Flags
	Stream uint32 // without the reserved bit
}

// Frame is a frame in somebody's buffer.
type Frame struct {
	Header
	Payload []byte // a part of the buffer; no copy
}

// Parse looks at the frame at the beginning of b. n is its whole length, zero
// if b ends before that can be told. A frame of which b holds only a part has
// n > len(b), and what there is of its payload.
func Parse(b []byte) (f Frame, n int) {
	if len(b) < HeaderLen {
		return Frame{}, 0
	}
	head := binary.BigEndian.Uint64(b)
	f.Length = uint32(head >> 40)
	f.Type = FrameType(head >> 32)
	f.Flags = Flags(head >> 24)
	f.Stream = binary.BigEndian.Uint32(b[5:]) & MaxStream
	n = HeaderLen + int(f.Length)
	f.Payload = b[HeaderLen:min(n, len(b))]
	return f, n
}

// EndsStream reports whether the frame carries END_STREAM. A header block may
// still have to be completed by CONTINUATION frames.
func (h Header) EndsStream() bool {
	return h.Type <= FrameHeaders && h.Flags&FlagEndStream != 0
}

// Data returns a DATA frame's content without its padding, of a frame that
// [Checker.Check] has let through.
func (f *Frame) Data() []byte { return unpadded(f.Payload, f.Flags) }

// Fragment returns the part of a header block that a HEADERS, PUSH_PROMISE or
// CONTINUATION frame carries, of a frame that [Checker.Check] has let through.
func (f *Frame) Fragment() []byte {
	switch f.Type {
	case FrameHeaders:
		b := unpadded(f.Payload, f.Flags)
		if f.Flags.Has(FlagPriority) {
			b = b[5:]
		}
		return b
	case FramePushPromise:
		return unpadded(f.Payload, f.Flags)[4:]
	}
	return f.Payload
}

// Promised returns the stream that a PUSH_PROMISE announces.
func (f *Frame) Promised() uint32 {
	return binary.BigEndian.Uint32(unpadded(f.Payload, f.Flags)) & MaxStream
}

// ErrCode returns the code of a RST_STREAM or GOAWAY.
func (f *Frame) ErrCode() ErrCode {
	if f.Type == FrameGoAway {
		return ErrCode(binary.BigEndian.Uint32(f.Payload[4:]))
	}
	return ErrCode(binary.BigEndian.Uint32(f.Payload))
}

// LastStream returns the last stream that the sender of a GOAWAY has looked at
// or will.
func (f *Frame) LastStream() uint32 { return binary.BigEndian.Uint32(f.Payload) & MaxStream }

// Increment returns what a WINDOW_UPDATE grants.
func (f *Frame) Increment() uint32 { return binary.BigEndian.Uint32(f.Payload) & MaxWindow }

// Settings returns how many values a SETTINGS frame has.
func (f *Frame) Settings() int { return len(f.Payload) / 6 }

// Setting returns the i-th value of a SETTINGS frame.
func (f *Frame) Setting(i int) Setting {
	b := f.Payload[6*i : 6*i+6]
	return Setting{SettingID(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint32(b[2:])}
}

// PadLen returns how many of a DATA frame's bytes are no content, the length of
// the padding itself among them: they count for flow control.
func (f *Frame) PadLen() int { return len(f.Payload) - len(f.Data()) }

func unpadded(b []byte, flags Flags) []byte {
	if flags.Has(FlagPadded) {
		return b[1 : len(b)-int(b[0])]
	}
	return b
}
