package traffic

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/net/http2/hpack"
)

// HTTP/2 frame types and flags (RFC 9113, 6).
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	framePriority     = 0x2
	frameReset        = 0x3
	frameSettings     = 0x4
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8

	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	preface       = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHead     = 9
	defaultWindow = 65535
	ourWindow     = 1 << 20 // of a connection; streams have the default
)

// frame is one frame. Its payload is without padding and priority.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
	flow        int // what it takes of the windows: of DATA the whole payload
}

// parseFrame reads the frame that b begins with; size 0 is a frame that has
// not all come.
func parseFrame(b []byte) (f frame, size int, err error) {
	if len(b) < frameHead {
		return f, 0, nil
	}
	length := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	if length > 16384 {
		return f, 0, fmt.Errorf("a frame of %d B, over what was allowed", length)
	}
	if len(b) < frameHead+length {
		return f, 0, nil
	}
	f = frame{kind: b[3], flags: b[4], stream: binary.BigEndian.Uint32(b[5:]) & (1<<31 - 1), payload: b[frameHead : frameHead+length], flow: length}
	if f.kind != frameData && f.kind != frameHeaders {
		return f, frameHead + length, nil
	}
	var pad int
	if f.flags&flagPadded != 0 {
		if len(f.payload) == 0 {
			return f, 0, errors.New("padding without its length")
		}
		pad, f.payload = int(f.payload[0]), f.payload[1:]
	}
	if f.kind == frameHeaders && f.flags&flagPriority != 0 {
		f.payload = f.payload[min(5, len(f.payload)):]
	}
	if pad > len(f.payload) {
		return f, 0, errors.New("more padding than payload")
	}
	f.payload = f.payload[:len(f.payload)-pad]
	return f, frameHead + length, nil
}

// appendFrame appends a frame of payload to b.
func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), kind, flags, byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
	return append(b, payload...)
}

func appendWindowUpdate(b []byte, stream uint32, n int) []byte {
	return appendFrame(b, frameWindowUpdate, 0, stream, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// link is one end of a connection, as both ends have it.
type link struct {
	reader  *headReader
	writer  *headWriter
	send    int // may be sent on the connection
	initial int // may be sent on a new stream
	most    int // streams may be open
	owed    int // was taken, without credit given for it
}

func newLink(heads ...[]hpack.HeaderField) link {
	return link{reader: newHeadReader(), writer: newHeadWriter(heads...), send: defaultWindow, initial: defaultWindow, most: 100}
}

// take notes n bytes of DATA that came, and gives credit for the connection
// when half of its window is used.
func (l *link) take(c *conn, n int) {
	if l.owed += n; l.owed >= ourWindow/2 {
		c.out = appendWindowUpdate(c.out, 0, l.owed)
		l.owed = 0
	}
}

// control serves the frames that are the same at both ends. Grow is called
// with what a WINDOW_UPDATE or new settings add to one stream, or to all for
// stream 0.
func (l *link) control(c *conn, f frame, grow func(stream uint32, n int)) error {
	switch f.kind {
	case frameSettings:
		if f.flags&flagAck != 0 {
			return nil
		}
		for p := f.payload; len(p) >= 6; p = p[6:] {
			id, value := binary.BigEndian.Uint16(p), int(binary.BigEndian.Uint32(p[2:]))
			switch id {
			case 1: // SETTINGS_HEADER_TABLE_SIZE
				l.writer.limit(value)
			case 3: // SETTINGS_MAX_CONCURRENT_STREAMS
				l.most = value
			case 4: // SETTINGS_INITIAL_WINDOW_SIZE
				change := value - l.initial
				l.initial = value
				grow(0, change)
			}
		}
		c.out = appendFrame(c.out, frameSettings, flagAck, 0, nil)
	case frameWindowUpdate:
		if len(f.payload) != 4 {
			return errors.New("a WINDOW_UPDATE that is not of 4 B")
		}
		n := int(binary.BigEndian.Uint32(f.payload) & (1<<31 - 1))
		if f.stream == 0 {
			l.send += n
			grow(0, 0)
			return nil
		}
		grow(f.stream, n)
	case framePing:
		if f.flags&flagAck == 0 {
			c.out = appendFrame(c.out, framePing, flagAck, 0, f.payload)
		}
	case frameGoAway:
		return fmt.Errorf("GOAWAY: %q", f.payload)
	case frameReset:
		return fmt.Errorf("RST_STREAM of stream %d: %x", f.stream, f.payload)
	case framePriority:
	default:
		if f.kind <= 0x9 {
			return fmt.Errorf("unexpected frame of type %d", f.kind)
		}
	}
	return nil
}
