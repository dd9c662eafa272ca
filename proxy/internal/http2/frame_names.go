package http2

import "strconv"

// Preface is what a client says first (RFC 9113, 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// FrameType is a frame's type. Others than those below are passed or ignored
// (RFC 9113, 5.5).
type FrameType uint8

// The frame types of RFC 9113, 6.
const (
	FrameData         FrameType = 0x0
	FrameHeaders      FrameType = 0x1
	FramePriority     FrameType = 0x2
	FrameRSTStream    FrameType = 0x3
	FrameSettings     FrameType = 0x4
	FramePushPromise  FrameType = 0x5
	FramePing         FrameType = 0x6
	FrameGoAway       FrameType = 0x7
	FrameWindowUpdate FrameType = 0x8
	FrameContinuation FrameType = 0x9
)

// Flags are a frame's flags; which of them mean something depends on its type.
type Flags uint8

// The flags of RFC 9113, 6.
const (
	FlagEndStream  Flags = 0x1  // DATA, HEADERS
	FlagAck        Flags = 0x1  // SETTINGS, PING
	FlagEndHeaders Flags = 0x4  // HEADERS, PUSH_PROMISE, CONTINUATION
	FlagPadded     Flags = 0x8  // DATA, HEADERS, PUSH_PROMISE
	FlagPriority   Flags = 0x20 // HEADERS
)

// Has reports whether all of v is set.
func (f Flags) Has(v Flags) bool { return f&v == v }

// ErrCode is the reason of a RST_STREAM or GOAWAY.
type ErrCode uint32

// The error codes of RFC 9113, 7.
const (
	NoError            ErrCode = 0x0
	ProtocolError      ErrCode = 0x1
	InternalError      ErrCode = 0x2
	FlowControlError   ErrCode = 0x3
	SettingsTimeout    ErrCode = 0x4
	StreamClosed       ErrCode = 0x5
	FrameSizeError     ErrCode = 0x6
	RefusedStream      ErrCode = 0x7
	Cancel             ErrCode = 0x8
	CompressionError   ErrCode = 0x9
	ConnectError       ErrCode = 0xa
	EnhanceYourCalm    ErrCode = 0xb
	InadequateSecurity ErrCode = 0xc
	HTTP11Required     ErrCode = 0xd
)

// String returns the RFC's name of the code.
func (c ErrCode) String() string {
	switch c {
	case NoError:
		return "NO_ERROR"
	case ProtocolError:
		return "PROTOCOL_ERROR"
	case InternalError:
		return "INTERNAL_ERROR"
	case FlowControlError:
		return "FLOW_CONTROL_ERROR"
	case SettingsTimeout:
		return "SETTINGS_TIMEOUT"
	case StreamClosed:
		return "STREAM_CLOSED"
	case FrameSizeError:
		return "FRAME_SIZE_ERROR"
	case RefusedStream:
		return "REFUSED_STREAM"
	case Cancel:
		return "CANCEL"
	case CompressionError:
		return "COMPRESSION_ERROR"
	case ConnectError:
		return "CONNECT_ERROR"
	case EnhanceYourCalm:
		return "ENHANCE_YOUR_CALM"
	case InadequateSecurity:
		return "INADEQUATE_SECURITY"
	case HTTP11Required:
		return "HTTP_1_1_REQUIRED"
	}
	return "error code " + strconv.FormatUint(uint64(c), 10)
}

// SettingID names a setting.
type SettingID uint16

// The settings of RFC 9113, 6.5.2, and of RFC 8441, 3 and RFC 9218, 2.1.
const (
	SettingHeaderTableSize       SettingID = 0x1
	SettingEnablePush            SettingID = 0x2
	SettingMaxConcurrentStreams  SettingID = 0x3
	SettingInitialWindowSize     SettingID = 0x4
	SettingMaxFrameSize          SettingID = 0x5
	SettingMaxHeaderListSize     SettingID = 0x6
	SettingEnableConnectProtocol SettingID = 0x8
	SettingNoRFC7540Priorities   SettingID = 0x9
)

// What holds before any SETTINGS, and the bounds of what they may say.
const (
	DefaultHeaderTableSize = 4096
	DefaultWindow          = 65535
	DefaultMaxFrame        = 16384
	MaxMaxFrame            = 1<<24 - 1
	MaxWindow              = 1<<31 - 1
	MaxStream              = 1<<31 - 1
)

// Setting is one value of a SETTINGS frame.
type Setting struct {
	ID    SettingID
	Value uint32
}

// Error is a violation of the protocol or of a limit.
type Error struct {
	Code   ErrCode
	Stream uint32 // the stream that it ends; 0: the connection
	Reason string // what was wrong, for people
}

func (e *Error) Error() string {
	if e.Stream == 0 {
		return e.Code.String() + ": " + e.Reason
	}
	return "stream " + strconv.FormatUint(uint64(e.Stream), 10) + ": " + e.Code.String() + ": " + e.Reason
}

func connError(code ErrCode, reason string) *Error { return &Error{Code: code, Reason: reason} }

func streamError(stream uint32, code ErrCode, reason string) *Error {
	return &Error{Code: code, Stream: stream, Reason: reason}
}
