package http2

import "time"

// This file is what a hop does with the frames that say nothing of an exchange's
// bytes: resets, settings, windows and farewells.

// ResetByPeer is the Reason of the [*Error] of a stream that the peer has reset.
const ResetByPeer = "reset by the peer"

func (h *Hop) rstStream(f *Frame) error {
	l := h.link
	l.mu.Lock()
	s := h.streams[f.Stream]
	if s == nil {
		idle := h.idle(f.Stream)
		l.mu.Unlock()
		if idle {
			return connError(ProtocolError, "RST_STREAM on an idle stream")
		}
		return nil
	}
	code := f.ErrCode()
	early := !s.ended && !(s.peerEnded && code == NoError) // else it is how a server ends early
	s.close(streamError(s.id, code, ResetByPeer))
	l.mu.Unlock()
	h.handler.Reset(s, code)
	if early {
		return h.guard.Reset(h.now)
	}
	return nil
}

func (h *Hop) settings(f *Frame) error {
	if f.Flags.Has(FlagAck) {
		return nil
	}
	h.link.mu.Lock()
	for i := range f.Settings() {
		if err := h.setting(f.Setting(i)); err != nil {
			h.link.mu.Unlock()
			return err
		}
	}
	h.append(AppendSettingsAck(h.out))
	h.openWaiting()
	h.pump()
	h.link.mu.Unlock()
	h.settled = true
	h.handler.Settings(f)
	return nil
}

// setting takes one of the peer's settings in. link.mu is held.
func (h *Hop) setting(s Setting) error {
	switch s.ID {
	case SettingHeaderTableSize:
		h.encoder.SetTable(s.Value)
		clear(h.encoded.heads[:]) // the next block says so
	case SettingMaxConcurrentStreams:
		h.most = s.Value
	case SettingInitialWindowSize:
		for _, each := range h.streams {
			if each.window.shift(h.initial, int64(s.Value)) != nil {
				return connError(FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE makes a window too large")
			}
			each.wakeReady()
		}
		h.initial = int64(s.Value)
	}
	return nil
}

func (h *Hop) windowUpdate(f *Frame) error {
	h.link.mu.Lock()
	defer h.link.mu.Unlock()
	if f.Stream == 0 {
		if h.conn.open(f.Increment()) != nil {
			return connError(FlowControlError, "the connection's window is too large")
		}
		h.pump()
		return nil
	}
	s := h.streams[f.Stream]
	switch {
	case s != nil:
		if s.window.open(f.Increment()) != nil {
			return streamError(f.Stream, FlowControlError, "the stream's window is too large")
		}
		s.wakeReady()
		h.pump()
	case h.idle(f.Stream):
		return connError(ProtocolError, "WINDOW_UPDATE on an idle stream")
	}
	return nil
}

// goAway notes that the peer takes no more streams, and ends those that it will
// not look at.
func (h *Hop) goAway(f *Frame) {
	l, last := h.link, f.LastStream()
	var refused []*Stream
	if !h.server {
		l.mu.Lock()
		h.gone = min(h.gone, last)
		for id, s := range h.streams {
			if id > h.gone {
				refused = append(refused, s)
			}
		}
		if h.gone < MaxStream { // else it is a warning that more is to come
			refused = append(refused, h.waiting...)
		}
		for _, s := range refused {
			s.close(streamError(s.id, RefusedStream, "the peer is going away"))
		}
		l.mu.Unlock()
	}
	for _, s := range refused {
		h.handler.Reset(s, RefusedStream)
	}
	h.handler.GoAway(last, f.ErrCode(), f.Payload[8:])
}

// Settings sends SETTINGS after the first.
func (h *Hop) Settings(settings ...Setting) {
	h.link.mu.Lock()
	defer h.link.mu.Unlock()
	h.append(AppendSettings(h.outgoing(), settings...))
}

// Ping sends a PING, or its acknowledgement.
func (h *Hop) Ping(ack bool, data []byte) {
	h.link.mu.Lock()
	defer h.link.mu.Unlock()
	h.append(AppendPing(h.outgoing(), ack, data))
}

// GoAway sends a GOAWAY.
func (h *Hop) GoAway(last uint32, code ErrCode, debug string) {
	h.link.mu.Lock()
	defer h.link.mu.Unlock()
	h.append(AppendGoAway(h.outgoing(), last, code, debug))
}

// Frame sends a frame of a type that the hop knows nothing of.
func (h *Hop) Frame(t FrameType, flags Flags, stream uint32, payload []byte) {
	h.link.mu.Lock()
	defer h.link.mu.Unlock()
	out := AppendHeader(h.outgoing(), Header{Length: uint32(len(payload)), Type: t, Flags: flags, Stream: stream})
	h.append(append(out, payload...))
}

// LastStream is the highest stream that was opened on the connection.
func (h *Hop) LastStream() uint32 {
	h.link.mu.Lock()
	defer h.link.mu.Unlock()
	return h.last
}

// Streams returns how many streams are open or wait to be opened.
func (h *Hop) Streams() int {
	h.link.mu.Lock()
	defer h.link.mu.Unlock()
	return len(h.streams) + len(h.waiting)
}

// Work returns how many DATA and HEADERS frames came, and how many were sent.
func (h *Hop) Work() (got, sent uint64) {
	h.link.mu.Lock()
	defer h.link.mu.Unlock()
	return h.got, h.sent
}

// Now is when the last read was. It is for the handler.
func (h *Hop) Now() time.Time { return h.now }

// Find returns the open stream of that number, nil if there is none.
func (h *Hop) Find(id uint32) *Stream {
	h.link.mu.Lock()
	defer h.link.mu.Unlock()
	return h.streams[id]
}

// Shut ends our side of the connection once all that was appended is written.
func (h *Hop) Shut() {
	h.link.mu.Lock()
	h.shut = true
	h.link.mu.Unlock()
	h.link.Flush()
}

// Fail notes that the connection is over because of err, which those who wait
// on its streams are told. It returns the streams that were open or waiting.
// Only the first call does anything.
func (h *Hop) Fail(err error) []*Stream {
	l := h.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.ended != nil {
		return nil
	}
	h.ended = err
	all := append([]*Stream(nil), h.waiting...)
	for _, s := range h.streams {
		all = append(all, s)
	}
	for _, s := range all {
		s.close(err)
	}
	if !h.shut { // else it is the last word, which whoever writes has yet to write
		h.out = nil
	}
	h.ready, h.waiting = nil, nil
	l.moved.Broadcast()
	return all
}
