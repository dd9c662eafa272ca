package http2

import "golang.org/x/net/http2/hpack"

// maxEncoderTable bounds the encoder's dynamic table, whatever the peer allows.
const maxEncoderTable = 4096

// Encoder encodes the heads of one direction of a connection. It is for one
// goroutine at a time, and what it appended must be sent in that order.
type Encoder struct {
	hpack *hpack.Encoder
	dst   appender
}

// appender is where hpack writes to.
type appender struct{ b []byte }

func (a *appender) Write(b []byte) (int, error) {
	a.b = append(a.b, b...)
	return len(b), nil
}

// NewEncoder returns an encoder with the table size that holds before any
// SETTINGS.
func NewEncoder() *Encoder {
	e := new(Encoder)
	e.hpack = hpack.NewEncoder(&e.dst)
	e.hpack.SetMaxDynamicTableSizeLimit(maxEncoderTable)
	return e
}

// SetTable follows the peer's SETTINGS_HEADER_TABLE_SIZE. At most 4096 bytes
// are used.
func (e *Encoder) SetTable(size uint32) { e.hpack.SetMaxDynamicTableSize(size) }

// AppendHead appends a HEADERS frame with the fields, and CONTINUATION frames
// if they are longer than maxFrame, the peer's SETTINGS_MAX_FRAME_SIZE. end sets
// END_STREAM.
func (e *Encoder) AppendHead(dst []byte, stream uint32, fields []Field, end bool, maxFrame int) []byte {
	return e.appendHead(dst, stream, Priority{}, fields, end, maxFrame)
}

func (e *Encoder) appendHead(dst []byte, stream uint32, p Priority, fields []Field, end bool, maxFrame int) []byte {
	first := len(dst)
	e.dst.b = p.append(append(dst, make([]byte, HeaderLen)...))
	for i := range fields {
		_ = e.hpack.WriteField(fields[i]) // appender cannot fail
	}
	dst = e.dst.b
	e.dst.b = nil
	h := headerOfHead(stream, p, len(dst)-first-HeaderLen, end)
	if int(h.Length) > maxFrame {
		return split(dst, first, h, maxFrame)
	}
	AppendHeader(dst[:first], h)
	return dst
}

// headerOfHead is the header of a HEADERS frame that holds all of a head, in a
// payload of that length.
func headerOfHead(stream uint32, p Priority, length int, end bool) Header {
	h := Header{Length: uint32(length), Type: FrameHeaders, Flags: FlagEndHeaders, Stream: stream}
	if end {
		h.Flags |= FlagEndStream
	}
	if p.Said {
		h.Flags |= FlagPriority
	}
	return h
}

// split divides the block that stands in dst behind the room for one header
// into frames.
func split(dst []byte, first int, h Header, maxFrame int) []byte {
	block := append([]byte(nil), dst[first+HeaderLen:]...)
	dst = dst[:first]
	for last := false; !last; {
		n := min(len(block), maxFrame)
		last = n == len(block)
		h.Length = uint32(n)
		h.Flags &^= FlagEndHeaders
		if last {
			h.Flags |= FlagEndHeaders
		}
		dst = append(AppendHeader(dst, h), block[:n]...)
		block = block[n:]
		h.Type, h.Flags = FrameContinuation, 0
	}
	return dst
}
