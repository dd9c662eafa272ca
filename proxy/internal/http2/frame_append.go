package http2

import "encoding/binary"

// AppendHeader appends a frame's first nine bytes. The payload is the caller's
// to append.
func AppendHeader(dst []byte, h Header) []byte {
	return append(dst,
		byte(h.Length>>16), byte(h.Length>>8), byte(h.Length),
		byte(h.Type), byte(h.Flags),
		byte(h.Stream>>24), byte(h.Stream>>16), byte(h.Stream>>8), byte(h.Stream))
}

// AppendData appends one DATA frame, however large.
func AppendData(dst []byte, stream uint32, end bool, data []byte) []byte {
	h := Header{Length: uint32(len(data)), Type: FrameData, Stream: stream}
	if end {
		h.Flags = FlagEndStream
	}
	return append(AppendHeader(dst, h), data...)
}

// AppendSettings appends a SETTINGS frame.
func AppendSettings(dst []byte, settings ...Setting) []byte {
	dst = AppendHeader(dst, Header{Length: uint32(6 * len(settings)), Type: FrameSettings})
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint16(dst, uint16(s.ID))
		dst = binary.BigEndian.AppendUint32(dst, s.Value)
	}
	return dst
}

// AppendSettingsAck appends the acknowledgement of a SETTINGS frame.
func AppendSettingsAck(dst []byte) []byte {
	return AppendHeader(dst, Header{Type: FrameSettings, Flags: FlagAck})
}

// AppendPing appends a PING or its acknowledgement. data is of eight bytes.
func AppendPing(dst []byte, ack bool, data []byte) []byte {
	h := Header{Length: 8, Type: FramePing}
	if ack {
		h.Flags = FlagAck
	}
	return append(AppendHeader(dst, h), data[:8]...)
}

// AppendWindowUpdate appends a WINDOW_UPDATE of a stream, or of the connection
// for stream 0.
func AppendWindowUpdate(dst []byte, stream, increment uint32) []byte {
	dst = AppendHeader(dst, Header{Length: 4, Type: FrameWindowUpdate, Stream: stream})
	return binary.BigEndian.AppendUint32(dst, increment)
}

// AppendRSTStream appends a RST_STREAM.
func AppendRSTStream(dst []byte, stream uint32, code ErrCode) []byte {
	dst = AppendHeader(dst, Header{Length: 4, Type: FrameRSTStream, Stream: stream})
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

// AppendGoAway appends a GOAWAY. debug may be empty.
func AppendGoAway(dst []byte, lastStream uint32, code ErrCode, debug string) []byte {
	dst = AppendHeader(dst, Header{Length: uint32(8 + len(debug)), Type: FrameGoAway})
	dst = binary.BigEndian.AppendUint32(dst, lastStream)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, debug...)
}
