package http2

import "time"

// Handler is told what the peer of a [Hop] says, by the goroutine that is in
// [Hop.Read]. Heads that are not kept, data and frames are good during the call
// only; the strings of fields stay. A held stream tells its holder instead, but for Reset and Priority.
type Handler interface {
	// Request tells of a stream that a caller has opened. tooLarge means that
	// the fields are not all: the head was over MaxHead or MaxFields.
	Request(s *Stream, head *Head, end, tooLarge bool)
	// Response tells of the head of a response, interim ones too.
	Response(s *Stream, head *Head, end bool)
	Data(s *Stream, data []byte, end bool)
	Trailers(s *Stream, head *Head)
	// Reset tells that the stream is over before its time: the peer has reset it
	// or will not look at it, or has violated the protocol on it.
	Reset(s *Stream, code ErrCode)

	Settings(f *Frame)
	Ping(ack bool, data []byte)
	GoAway(last uint32, code ErrCode, debug []byte)
	// Priority tells what the peer says of a stream that is open, a held one too.
	// What it says of a new one is in [Stream.Priority].
	Priority(s *Stream, p Priority)
	// Other tells of frames of other types than those of RFC 9113.
	Other(f *Frame)
	// Batch ends what one read has brought; what was appended to any hop of the
	// link is written after it.
	Batch()
}

// Input is where a Hop reads from: [sock.Reader].
type Input interface {
	Buffered() []byte
	Discard(n int)
	Fill() (int, error)
}

// Hop is one end of an HTTP/2 connection: towards a caller, whose peer opens
// streams, or towards an upstream, where we do. It has compression, settings and
// windows of its own. It may be used before it has an [Output]: what is appended
// waits then. Its methods may be called by any goroutine, but for Read.
type Hop struct {
	link    *Link
	handler Handler
	server  bool // the peer is a caller

	// Of the goroutine in Read.
	check   Checker
	decoder *Decoder
	block   Block
	seen    seenHeads
	unseen  Head
	current Frame
	guard   *Guard
	now     time.Time // of the last read
	settled bool      // the peer's first SETTINGS have come
	inHead  bool      // a head has begun to come

	// Guarded by link.mu.
	output   Output // nil until attached
	out      []byte // appended and not written
	writing  bool   // somebody writes what was in out
	blocked  int    // bytes of it that wait in a goroutine of their own
	shut     bool   // our side ends once out is written
	dead     bool   // it has ended, or broke: what is appended is lost
	ended    error  // the connection is over; nothing is sent any more
	encoder  *Encoder
	encoded  encodedHeads
	maxFrame int       // the longest payload we send
	conn     allowed   // what we may still send in all
	initial  int64     // the peer's initial window of a stream
	granted  granted   // what the peer may still send in all
	got      uint64    // DATA and HEADERS frames that came
	sent     uint64    // the same that were sent
	streams  streams   // that are open
	last     uint32    // highest stream that was opened
	most     uint32    // streams that the peer lets us open at a time
	gone     uint32    // the highest of ours that the peer will look at
	ready    []*Stream // with data to send that their own windows may allow
	waiting  []*Stream // to be opened
}

type streams map[uint32]*Stream

// maxStreams is how many streams a caller may have open, and an upstream is
// given before its SETTINGS say otherwise.
const maxStreams = 100

func newHop(l *Link, h Handler, server bool, guard *Guard) *Hop {
	hop := &Hop{
		link: l, handler: h, server: server, guard: guard, decoder: NewDecoder(), now: time.Now(),
		encoder: NewEncoder(), maxFrame: DefaultMaxFrame, conn: allowed{DefaultWindow}, initial: DefaultWindow,
		granted: newGranted(connGrant), streams: make(streams), most: maxStreams, gone: MaxStream,
	}
	return hop
}

// begin appends what a connection begins with. l.mu is held.
func (h *Hop) begin(settings []Setting) {
	if !h.server {
		h.out = append(h.outgoing(), Preface...)
	}
	h.out = AppendSettings(h.outgoing(), settings...)
	h.out = AppendWindowUpdate(h.outgoing(), 0, connGrant-DefaultWindow)
}

// Read reads the peer's frames until the connection ends, and says why: the
// error of in, or an [*Error] with which the peer was sent a GOAWAY.
func (h *Hop) Read(in Input) error {
	if h.server {
		if err := readPreface(in); err != nil {
			return err
		}
	}
	for {
		b := in.Buffered()
		n, err := h.walk(b)
		h.inHead = h.check.InBlock() || len(b) > n && h.startsHead(b[n:])
		in.Discard(n)
		if n > 0 || err != nil {
			h.guard.Flush()
			h.handler.Batch()
			h.violated(err)
			h.link.Flush()
		}
		if err != nil {
			return err
		}
		h.link.throttle()
		if _, err := in.Fill(); err != nil {
			h.violated(err)
			h.link.Flush()
			return err
		}
		h.now = time.Now()
	}
}

// InHead reports whether a part of a head has come, and not the rest. It is for
// the Input, whose bound on the wait may depend on it.
func (h *Hop) InHead() bool { return h.inHead }

// startsHead reports whether the part of a frame that b is may be one of a head,
// or of what comes before all heads.
func (h *Hop) startsHead(b []byte) bool {
	f, n := Parse(b)
	return n == 0 || f.InBlock() || !h.settled
}

func readPreface(in Input) error {
	for len(in.Buffered()) < len(Preface) {
		if _, err := in.Fill(); err != nil {
			return err
		}
	}
	if string(in.Buffered()[:len(Preface)]) != Preface {
		return connError(ProtocolError, "no preface")
	}
	in.Discard(len(Preface))
	return nil
}

// violated tells the peer of an error that ends the connection; nil is none.
func (h *Hop) violated(err error) {
	e, ok := err.(*Error)
	if !ok {
		return
	}
	h.GoAway(h.LastStream(), e.Code, e.Reason)
}

// walk handles the whole frames at the beginning of b and returns their length.
func (h *Hop) walk(b []byte) (done int, err error) {
	for {
		f := &h.current
		var n int
		if *f, n = Parse(b[done:]); n == 0 {
			return done, nil
		}
		if f.Length > DefaultMaxFrame {
			return done, connError(FrameSizeError, "frame over SETTINGS_MAX_FRAME_SIZE")
		}
		if n > len(b)-done {
			return done, nil
		}
		done += n
		if err := h.frame(f); err != nil {
			e := err.(*Error)
			if e.Stream == 0 {
				return done, e
			}
			if err := h.streamFailed(e); err != nil {
				return done, err
			}
		}
	}
}

// streamFailed resets a stream on which the peer violated the protocol.
func (h *Hop) streamFailed(e *Error) error {
	h.link.mu.Lock()
	s := h.streams[e.Stream]
	if s == nil {
		if h.idle(e.Stream) {
			h.link.mu.Unlock()
			return connError(e.Code, e.Reason)
		}
		h.append(AppendRSTStream(h.outgoing(), e.Stream, e.Code))
	} else {
		s.reset(e.Code, e)
	}
	h.link.mu.Unlock()
	if s != nil {
		h.handler.Reset(s, e.Code)
	}
	return h.guard.Reset(h.now)
}

// frame handles one frame. Errors are of type *[Error].
func (h *Hop) frame(f *Frame) error {
	if err := h.check.Check(f); err != nil {
		return err
	}
	if err := h.guard.Frame(f, h.now); err != nil {
		return err
	}
	if !h.settled && (f.Type != FrameSettings || f.Flags.Has(FlagAck)) {
		return connError(ProtocolError, "the first frame is no SETTINGS")
	}
	switch f.Type {
	case FrameData:
		return h.data(f)
	case FrameHeaders, FrameContinuation:
		if h.block.Add(f) {
			return h.head()
		}
	case FramePushPromise:
		return connError(ProtocolError, "PUSH_PROMISE although it was disabled")
	case FrameRSTStream:
		return h.rstStream(f)
	case FrameSettings:
		return h.settings(f)
	case FramePing:
		h.handler.Ping(f.Flags.Has(FlagAck), f.Payload)
	case FrameGoAway:
		h.goAway(f)
	case FrameWindowUpdate:
		return h.windowUpdate(f)
	case FramePriority:
		return h.priority(f)
	default:
		h.handler.Other(f)
	}
	return nil
}

// idle reports whether nobody has opened the stream yet. link.mu is held.
func (h *Hop) idle(id uint32) bool { return id > h.last || id%2 == 0 }

func (h *Hop) data(f *Frame) error {
	l, size, data, end := h.link, len(f.Payload), f.Data(), f.EndsStream()
	l.mu.Lock()
	h.got++
	if h.granted.arrived(size) != nil {
		l.mu.Unlock()
		return connError(FlowControlError, "more DATA than was granted")
	}
	s := h.streams[f.Stream]
	if s == nil || s.peerEnded {
		h.consumed(size)
		idle := h.idle(f.Stream)
		l.mu.Unlock()
		switch {
		case idle:
			return connError(ProtocolError, "DATA on an idle stream")
		case s != nil:
			return streamError(f.Stream, StreamClosed, "DATA after the end")
		}
		return nil // it was on its way when the stream was reset
	}
	if err := s.arrived(size, len(data), end); err != nil {
		h.consumed(size)
		l.mu.Unlock()
		return err
	}
	held := s.held != nil
	if held {
		s.hold(data)
	}
	s.settle()
	l.mu.Unlock()
	if !held {
		h.handler.Data(s, data, end)
	}
	return nil
}
