package http2

import "errors"

// Stream is one stream of a hop. Its methods may be called by any goroutine and
// do nothing once the stream is over.
type Stream struct {
	// Owner is whatever the relay keeps with the stream. It is set before anyone
	// else can see the stream.
	Owner any

	hop *Hop

	// Of the goroutine in Hop.Read, which writes them with link.mu held.
	headed    bool  // a request's head, or a response's final one, has come
	peerEnded bool  // END_STREAM has come
	bodiless  bool  // a response that has no body whatever its length says
	declared  int64 // the length that the head says, -1 if it says none
	got       int64 // content that came

	priority Priority // that the peer said last; of that goroutine alone

	// Guarded by hop.link.mu.
	id       uint32 // 0: not opened yet
	err      error  // why the stream is over before its time; nil if it is not
	ended    bool   // we have sent END_STREAM
	granted  granted
	window   allowed
	source   *Stream // whose credit the data that waits is; nil: nobody's
	opening  *Head   // the head of a stream that is not opened yet
	rank     *Rank   // and what leaves with it; nil: nothing
	queue    []byte  // data to be sent; the first sent bytes have left
	sent     int
	endNext  bool   // END_STREAM follows the queue
	last     *Head  // trailers that follow the queue
	resetsAt *Error // a reset that follows the queue
	isReady  bool   // in hop.ready
	held     *held  // of a stream that somebody reads; nil: the handler is told
}

func (h *Hop) newStream(id uint32) *Stream {
	return &Stream{hop: h, id: id, granted: newGranted(streamGrant), window: allowed{h.initial}, declared: -1}
}

// Open opens a stream with a request, at once or when the peer allows one more.
// source is the stream of the other hop that the data will come from: it gets
// credit as data leaves. Without one the stream is held. rank may be nil. An
// error means that nothing of it was sent or will be.
func (h *Hop) Open(owner any, source *Stream, head *Head, end bool, rank *Rank) (*Stream, error) {
	l := h.link
	l.mu.Lock()
	defer l.mu.Unlock()
	s := h.newStream(0)
	s.Owner, s.source, s.bodiless = owner, source, head.isHEAD()
	if source == nil {
		s.beHeld()
	}
	if h.ended != nil {
		s.err = h.ended
		return s, s.err
	}
	if h.gone < MaxStream {
		s.err = streamError(0, RefusedStream, "the peer is going away")
		return s, s.err
	}
	s.opening, s.endNext, s.rank = head, end, rank
	if len(h.waiting) > 0 || !h.mayOpen() {
		s.opening = head.Keep()
		h.waiting = append(h.waiting, s)
		return s, nil
	}
	h.open(s)
	return s, nil
}

// open sends a stream's head and what waits behind it. link.mu is held.
func (h *Hop) open(s *Stream) {
	h.last = max(h.last+2, 1)
	if h.last%2 == 0 {
		h.last--
	}
	s.id, s.window = h.last, allowed{h.initial}
	h.streams[s.id] = s
	empty := s.queued() == 0
	end := s.endNext && empty && s.last == nil
	h.appendHead(s.id, s.opening, s.ranked(s.rank), end)
	s.opening, s.rank = nil, nil
	switch {
	case end:
		s.over()
	case empty && s.last != nil:
		s.finishQueue()
	default:
		s.wakeReady()
		h.pump()
	}
}

// ID is the stream's number, 0 if it is not opened yet.
func (s *Stream) ID() uint32 {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	return s.id
}

// Hop returns the hop that the stream belongs to.
func (s *Stream) Hop() *Hop { return s.hop }

// DataFrom says where the data that will be sent comes from: source gets credit
// as it leaves.
func (s *Stream) DataFrom(source *Stream) {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	s.source = source
}

// SendHead sends a response's head.
func (s *Stream) SendHead(head *Head, end bool) {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	s.sendHead(head, end)
}

// SendData sends data, or keeps a copy for when the windows allow it. What is
// kept is bounded by the window of the stream's source.
func (s *Stream) SendData(data []byte, end bool) {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	s.sendData(data, end)
}

// SendInPlace is SendData for what is sent in place of n bytes of the source, which
// gets credit for them at once, and none for what follows.
func (s *Stream) SendInPlace(n int, data []byte, end bool) {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	s.credit(n)
	s.source = nil
	s.sendData(data, end)
}

// SendTrailers sends trailers after all data, which ends our side.
func (s *Stream) SendTrailers(head *Head) {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	s.sendTrailers(head)
}

// Reset resets the stream. What waits to be sent is lost, but for NO_ERROR after
// the end, which follows it (RFC 9113, 8.1).
func (s *Stream) Reset(code ErrCode) {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	if s.err != nil {
		return
	}
	e := streamError(s.id, code, "reset")
	if code == NoError && s.endNext && !s.ended {
		s.resetsAt = e
		return
	}
	s.reset(code, e)
}

// Ended reports whether our side has ended, or will after what waits.
func (s *Stream) Ended() bool {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	return s.ended || s.endNext || s.err != nil
}

// PeerEnded reports whether the peer's side has ended.
func (s *Stream) PeerEnded() bool {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	return s.peerEnded || s.err != nil
}

// Err returns why the stream is over before its time, nil if it is not.
func (s *Stream) Err() error {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	return s.err
}

// What follows is called with hop.link.mu held.

func (s *Stream) sendHead(head *Head, end bool) {
	if s.err != nil || s.ended {
		return
	}
	h := s.hop
	h.appendHead(s.id, head, Priority{}, end)
	if end {
		s.over()
	}
}

func (s *Stream) sendData(data []byte, end bool) {
	if s.err != nil || s.ended || s.endNext {
		s.credit(len(data))
		return
	}
	if len(data) == 0 && !end {
		return
	}
	h := s.hop
	if s.queued() == 0 && s.id != 0 && len(h.ready) == 0 {
		for {
			n := room(h.conn, s.window, min(len(data), h.maxFrame, max(0, h.outRoom())))
			if n == 0 && len(data) > 0 {
				break
			}
			last := end && n == len(data)
			h.appendFrame(AppendData(h.outgoing(), s.id, last, data[:n]))
			h.conn.sent(n)
			s.window.sent(n)
			s.credit(n)
			data = data[n:]
			if last {
				s.over()
				return
			}
			if len(data) == 0 {
				return
			}
		}
	}
	s.queue = append(s.queue, data...)
	s.endNext = end
	if s.id != 0 && s.queued() == 0 && end {
		s.finishQueue() // the end alone needs no window
		return
	}
	s.wakeReady()
	h.pump()
}

func (s *Stream) sendTrailers(head *Head) {
	if s.err != nil || s.ended || s.endNext {
		return
	}
	if s.id == 0 || s.queued() > 0 {
		s.last, s.endNext = head.Keep(), true
		return
	}
	s.sendHead(head, true)
}

// queued is how much data waits.
func (s *Stream) queued() int { return len(s.queue) - s.sent }

// wakeReady lets pump look at the stream.
func (s *Stream) wakeReady() {
	if s.isReady || s.id == 0 || s.err != nil || s.queued() == 0 || s.window.left <= 0 {
		return
	}
	s.isReady = true
	s.hop.ready = append(s.hop.ready, s)
}

// sendQueued sends n bytes that waited.
func (s *Stream) sendQueued(n int) {
	h := s.hop
	data := s.queue[s.sent : s.sent+n]
	s.sent += n
	empty := s.queued() == 0
	end := empty && s.endNext && s.last == nil
	h.appendFrame(AppendData(h.outgoing(), s.id, end, data))
	h.conn.sent(n)
	s.window.sent(n)
	s.credit(n)
	s.wakeHolder()
	switch {
	case end:
		s.over()
	case empty && s.last != nil:
		s.finishQueue()
	case empty && cap(s.queue) <= keepMax:
		s.queue, s.sent = s.queue[:0], 0
	case empty:
		s.queue, s.sent = nil, 0
	case s.sent > keepMax:
		s.queue, s.sent = append([]byte(nil), s.queue[s.sent:]...), 0
	}
}

// finishQueue sends what follows data that waited, which has all left.
func (s *Stream) finishQueue() {
	h := s.hop
	if s.last != nil {
		h.appendHead(s.id, s.last, Priority{}, true)
		s.last = nil
	} else {
		h.appendFrame(AppendData(h.outgoing(), s.id, true, nil))
	}
	s.over()
}

// over notes that we have sent END_STREAM.
func (s *Stream) over() {
	s.ended = true
	s.queue, s.sent = nil, 0
	if s.resetsAt != nil {
		s.reset(s.resetsAt.Code, s.resetsAt)
		return
	}
	s.settle()
}

// settle forgets the stream when both sides have ended.
func (s *Stream) settle() {
	if s.ended && s.peerEnded {
		s.remove()
	}
}

func (s *Stream) remove() {
	h := s.hop
	if s.id == 0 {
		for i, each := range h.waiting {
			if each == s {
				h.waiting = append(h.waiting[:i], h.waiting[i+1:]...)
				break
			}
		}
		return
	}
	if h.streams[s.id] == s {
		delete(h.streams, s.id)
		h.openWaiting()
	}
}

// reset ends the stream and tells the peer, if it knows the stream and has not
// seen its end.
func (s *Stream) reset(code ErrCode, err error) {
	if s.err != nil {
		return
	}
	if s.id != 0 && s.hop.streams[s.id] == s {
		s.hop.append(AppendRSTStream(s.hop.outgoing(), s.id, code))
	}
	s.close(err)
}

// close ends the stream without telling the peer.
func (s *Stream) close(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	s.credit(s.queued())
	s.queue, s.sent, s.last, s.rank = nil, 0, nil, nil
	// What came before the peer's own reset is read all the same, like what came
	// before its end.
	var e *Error
	if s.held != nil && !s.peerEnded && !(errors.As(err, &e) && e.Reason == ResetByPeer) {
		s.drop()
	}
	s.remove()
	s.wakeHolder()
}

// arrived notes what the peer sent: size bytes of flow control, content among
// them.
func (s *Stream) arrived(size, content int, end bool) error {
	if s.granted.arrived(size) != nil {
		return streamError(s.id, FlowControlError, "more DATA than was granted")
	}
	if !s.headed && size > 0 {
		return streamError(s.id, ProtocolError, "DATA before HEADERS")
	}
	s.got += int64(content)
	if s.declared >= 0 && (s.got > s.declared || end && s.got != s.declared && !s.bodiless) {
		return streamError(s.id, ProtocolError, "content-length is not the length")
	}
	if end {
		s.peerEnded = true
		s.wakeHolder()
	}
	if size > content {
		s.consumed(size - content) // padding
	}
	return nil
}

// credit tells the source of what waited that n bytes of it have left.
func (s *Stream) credit(n int) {
	if s.source != nil && n > 0 {
		s.source.consumed(n)
	}
}

// consumed gives credit to the peer for n bytes that it sent on the stream.
func (s *Stream) consumed(n int) {
	if n == 0 {
		return
	}
	h := s.hop
	h.consumed(n)
	if s.peerEnded || s.err != nil {
		return
	}
	if more := s.granted.consumed(n); more > 0 {
		h.append(AppendWindowUpdate(h.outgoing(), s.id, more))
	}
}

// consumed gives credit to the peer for n bytes that it sent in all.
func (h *Hop) consumed(n int) {
	if more := h.granted.consumed(n); more > 0 {
		h.append(AppendWindowUpdate(h.outgoing(), 0, more))
	}
}
