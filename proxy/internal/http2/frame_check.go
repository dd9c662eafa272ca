package http2

// The bounds of a header block as it is on the wire.
const (
	MaxBlock         = 60 << 10 // bytes of all its fragments
	MaxContinuations = 16
)

// maxBeforeBlock bounds what a frame may hold beside the fragment: padding and
// its length, and a priority.
const maxBeforeBlock = 256 + 5

// MaxUnit is the longest header block with all its frames: what has to fit into
// a buffer where a block is kept until it is whole.
const MaxUnit = MaxBlock + maxBeforeBlock + (1+MaxContinuations)*HeaderLen

// Checker follows the frames of one direction of a connection. It knows what
// RFC 9113 demands of each by itself and of header blocks, which CONTINUATION
// frames may go on, but no streams. The zero value works. It is for one
// goroutine.
type Checker struct {
	// MaxFrame is the longest payload that the receiver takes:
	// SETTINGS_MAX_FRAME_SIZE. Zero means DefaultMaxFrame.
	MaxFrame uint32

	stream        uint32 // whose header block has begun and not ended; 0: none
	continuations int
	block         int // bytes of the fragments so far
}

// InBlock reports whether a header block has begun and not ended.
func (c *Checker) InBlock() bool { return c.stream != 0 }

// Check checks a whole frame. Errors are of type *[Error].
func (c *Checker) Check(f *Frame) error {
	if err := c.CheckHeader(f.Header); err != nil {
		return err
	}
	return c.CheckPayload(f)
}

// CheckHeader checks what a frame's header alone can tell, before its payload
// is there. It is followed by CheckPayload, or for a DATA frame by
// [CheckPadding].
func (c *Checker) CheckHeader(h Header) error {
	if h.Type == FrameData && c.stream == 0 && h.Stream != 0 && h.Length <= DefaultMaxFrame {
		return nil // by far the most frequent
	}
	if h.Length > max(c.MaxFrame, DefaultMaxFrame) {
		return connError(FrameSizeError, "frame over SETTINGS_MAX_FRAME_SIZE")
	}
	if c.stream != 0 && (h.Type != FrameContinuation || h.Stream != c.stream) {
		return connError(ProtocolError, "header block interrupted")
	}
	switch h.Type {
	case FrameHeaders, FramePushPromise:
		if h.Length > MaxBlock+maxBeforeBlock {
			return errBlock()
		}
		return needStream(h)
	case FrameData:
		return needStream(h)
	case FramePriority:
		if h.Length != 5 && h.Stream != 0 {
			return streamError(h.Stream, FrameSizeError, "PRIORITY is not of 5 bytes")
		}
		return needStream(h)
	case FrameRSTStream:
		if h.Length != 4 {
			return connError(FrameSizeError, "RST_STREAM is not of 4 bytes")
		}
		return needStream(h)
	case FrameSettings:
		if h.Length%6 != 0 || h.Flags.Has(FlagAck) && h.Length != 0 {
			return connError(FrameSizeError, "SETTINGS of a wrong length")
		}
		return needNoStream(h)
	case FramePing:
		if h.Length != 8 {
			return connError(FrameSizeError, "PING is not of 8 bytes")
		}
		return needNoStream(h)
	case FrameGoAway:
		if h.Length < 8 {
			return connError(FrameSizeError, "GOAWAY under 8 bytes")
		}
		return needNoStream(h)
	case FrameWindowUpdate:
		if h.Length != 4 {
			return connError(FrameSizeError, "WINDOW_UPDATE is not of 4 bytes")
		}
	case FrameContinuation:
		if c.stream == 0 {
			return connError(ProtocolError, "CONTINUATION without a header block")
		}
		if c.block+int(h.Length) > MaxBlock || c.continuations == MaxContinuations {
			return errBlock()
		}
	}
	return nil
}

// CheckPayload checks the rest, with the payload whole, and follows header
// blocks.
func (c *Checker) CheckPayload(f *Frame) error {
	switch f.Type {
	case FrameData:
		return CheckPadding(f.Header, f.Payload)
	case FrameHeaders:
		need := 0
		if f.Flags.Has(FlagPriority) {
			need = 5
		}
		return c.begin(f, need)
	case FramePushPromise:
		return c.begin(f, 4)
	case FrameContinuation:
		c.continuations++
		return c.fragment(f)
	case FrameWindowUpdate:
		if f.Increment() != 0 {
			return nil
		}
		if f.Stream == 0 {
			return connError(ProtocolError, "WINDOW_UPDATE of zero")
		}
		return streamError(f.Stream, ProtocolError, "WINDOW_UPDATE of zero")
	case FrameSettings:
		for i := range f.Settings() {
			if err := checkSetting(f.Setting(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckPadding checks the padding of a DATA frame of which at least the first
// byte is there, if it has one.
func CheckPadding(h Header, payload []byte) error {
	if !h.Flags.Has(FlagPadded) {
		return nil
	}
	if h.Length == 0 {
		return connError(FrameSizeError, "padded DATA without its padding's length")
	}
	if uint32(payload[0]) >= h.Length {
		return connError(ProtocolError, "padding longer than its frame")
	}
	return nil
}

// begin begins a header block. need is what stands before its first fragment.
func (c *Checker) begin(f *Frame, need int) error {
	if f.Flags.Has(FlagPadded) {
		if len(f.Payload) == 0 {
			return connError(FrameSizeError, "padded frame without its padding's length")
		}
		if need+1+int(f.Payload[0]) > len(f.Payload) {
			return connError(ProtocolError, "padding longer than its frame")
		}
	} else if need > len(f.Payload) {
		return connError(FrameSizeError, "frame too short")
	}
	c.continuations, c.block = 0, 0
	return c.fragment(f)
}

// fragment counts one fragment of a header block.
func (c *Checker) fragment(f *Frame) error {
	c.block += len(f.Fragment())
	if c.block > MaxBlock {
		return errBlock()
	}
	if f.Flags.Has(FlagEndHeaders) {
		c.stream = 0
	} else {
		c.stream = f.Stream
	}
	return nil
}

func checkSetting(s Setting) error {
	switch s.ID {
	case SettingEnablePush, SettingEnableConnectProtocol, SettingNoRFC7540Priorities:
		if s.Value > 1 {
			return connError(ProtocolError, "setting is neither 0 nor 1")
		}
	case SettingInitialWindowSize:
		if s.Value > MaxWindow {
			return connError(FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE over 2^31-1")
		}
	case SettingMaxFrameSize:
		if s.Value < DefaultMaxFrame || s.Value > MaxMaxFrame {
			return connError(ProtocolError, "SETTINGS_MAX_FRAME_SIZE out of its range")
		}
	}
	return nil
}

func errBlock() *Error { return connError(EnhanceYourCalm, "header block too large") }

func needStream(h Header) error {
	if h.Stream == 0 {
		return connError(ProtocolError, "frame needs a stream")
	}
	return nil
}

func needNoStream(h Header) error {
	if h.Stream != 0 {
		return connError(ProtocolError, "frame belongs to no stream")
	}
	return nil
}
