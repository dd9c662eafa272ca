// Package websocket carries one direction of a WebSocket connection (RFC 6455)
// message by message: text messages are shown to a handler and go on as they
// came unless it changes them, everything else passes. Messages compressed with
// permessage-deflate (RFC 7692) are shown without their compression.
//
// It works on bytes and does no input or output.
package websocket

import (
	"encoding/binary"
	"fmt"
)

// Opcode is the kind of a frame.
type Opcode byte

// The opcodes (RFC 6455, 11.8).
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

func (o Opcode) control() bool { return o&0x8 != 0 }

func (o Opcode) known() bool { return o <= Binary || o >= Close && o <= Pong }

// The status codes of Close frames that are said here (RFC 6455, 7.4.1).
const (
	CloseGoingAway       uint16 = 1001
	CloseProtocolError   uint16 = 1002
	ClosePolicyViolation uint16 = 1008
	CloseTooBig          uint16 = 1009
	CloseInternalError   uint16 = 1011
)

// header is the head of a frame.
type header struct {
	fin    bool
	rsv1   bool // the message is compressed
	opcode Opcode
	masked bool
	key    [4]byte
	length int64 // of the payload
}

// maxHeader is the size of the longest header.
const maxHeader = 14

// Error is a frame that breaks the protocol, or that does so by this end's
// bounds. Code is the status to close the connection with.
type Error struct {
	Code   uint16
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("websocket: %s (%d)", e.Reason, e.Code) }

func violation(reason string) *Error { return &Error{CloseProtocolError, reason} }

// parseHeader reads the header at the beginning of b. n is its size, 0 if more
// bytes are needed.
func parseHeader(b []byte) (h header, n int, err error) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h.fin, h.rsv1, h.opcode = b[0]&0x80 != 0, b[0]&0x40 != 0, Opcode(b[0]&0xf)
	h.masked = b[1]&0x80 != 0
	short := b[1] & 0x7f
	switch {
	case b[0]&0x30 != 0:
		return h, 0, violation("reserved bits")
	case !h.opcode.known():
		return h, 0, violation("unknown opcode")
	case h.opcode.control() && (!h.fin || short > 125):
		return h, 0, violation("a control frame in parts or over 125 bytes")
	case h.rsv1 && h.opcode != Text && h.opcode != Binary:
		return h, 0, violation("compression is said by a message's first frame only")
	}
	n = 2
	switch short {
	default:
		h.length = int64(short)
	case 126:
		if n += 2; len(b) < n {
			return h, 0, nil
		}
		if h.length = int64(binary.BigEndian.Uint16(b[2:])); h.length < 126 {
			return h, 0, violation("a length in more bytes than it needs")
		}
	case 127:
		if n += 8; len(b) < n {
			return h, 0, nil
		}
		length := binary.BigEndian.Uint64(b[2:])
		if length < 1<<16 || length > 1<<63-1 {
			return h, 0, violation("a length in more bytes than it needs, or of more than 63 bits")
		}
		h.length = int64(length)
	}
	if h.masked {
		if n += 4; len(b) < n {
			return h, 0, nil
		}
		copy(h.key[:], b[n-4:])
	}
	return h, n, nil
}

// appendHeader appends h in its shortest form.
func appendHeader(dst []byte, h header) []byte {
	first := byte(h.opcode)
	if h.fin {
		first |= 0x80
	}
	if h.rsv1 {
		first |= 0x40
	}
	var second byte
	if h.masked {
		second = 0x80
	}
	switch {
	case h.length < 126:
		dst = append(dst, first, second|byte(h.length))
	case h.length < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, first, second|126), uint16(h.length))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, second|127), uint64(h.length))
	}
	if h.masked {
		dst = append(dst, h.key[:]...)
	}
	return dst
}

// mask masks or unmasks b, whose first byte is number at of its frame's payload.
func mask(b []byte, key [4]byte, at int64) {
	if key == ([4]byte{}) {
		return
	}
	for i := range 4 {
		if at&3 == 0 {
			break
		}
		if i >= len(b) {
			return
		}
		b[i] ^= key[at&3]
		at++
		if at&3 == 0 {
			b = b[i+1:]
		}
	}
	if at&3 != 0 {
		return
	}
	word := uint64(binary.LittleEndian.Uint32(key[:]))
	word |= word << 32
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= key[i&3]
	}
}

// AppendClose appends a Close frame. masked says that a client sends it; its key
// is zero, which leaves the bytes as they are.
func AppendClose(dst []byte, code uint16, reason string, masked bool) []byte {
	reason = reason[:min(len(reason), 123)]
	dst = appendHeader(dst, header{fin: true, opcode: Close, masked: masked, length: int64(2 + len(reason))})
	return append(binary.BigEndian.AppendUint16(dst, code), reason...)
}
