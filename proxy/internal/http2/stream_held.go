package http2

import (
	"io"
	"sync"
)

// A held stream is read and written by one goroutine each, which wait for each
// other's peers: for data, for windows, for heads. What waits here is bounded by
// what we granted, and by queueMax. Whoever appended something flushes it.

// queueMax is how much of a held stream's data may wait to be sent.
const queueMax = 32 << 10

// AtOnce is how much the first Append or Write of a stream takes without waiting.
const AtOnce = queueMax

// maxInterim is how many interim responses may wait to be read.
const maxInterim = 16

type held struct {
	changed  *sync.Cond // of link.mu
	heads    []heldHead
	data     []byte // that came and was not read; the first read bytes were
	read     int
	trailers *Head // nil: none
	dropped  bool  // nobody reads any more
	broken   error // of those who wait; nil: they wait
}

type heldHead struct {
	head *Head
	end  bool
}

func (h *held) addHead(d *Head, end bool) bool {
	if len(h.heads) == maxInterim {
		return false
	}
	h.heads = append(h.heads, heldHead{d.Keep(), end})
	h.changed.Broadcast()
	return true
}

// beHeld makes the stream a held one. link.mu is held.
func (s *Stream) beHeld() { s.held = &held{changed: sync.NewCond(&s.hop.link.mu)} }

// hold keeps what came until it is read. link.mu is held.
func (s *Stream) hold(data []byte) {
	if s.held.dropped {
		s.consumed(len(data))
		return
	}
	s.held.data = append(s.held.data, data...)
	s.held.changed.Broadcast()
}

// wakeHolder tells the holder that something has changed. link.mu is held.
func (s *Stream) wakeHolder() {
	if s.held != nil {
		s.held.changed.Broadcast()
	}
}

// failed is why nobody waits any more, nil if they do. link.mu is held.
func (s *Stream) failed() error {
	if s.err != nil {
		return s.err
	}
	return s.held.broken
}

// drop drops what came and was not read. link.mu is held.
func (s *Stream) drop() {
	n := len(s.held.data) - s.held.read
	s.held.data, s.held.read = nil, 0
	s.consumed(n)
}

// Hold makes the stream one that is read by Read. It is called by the handler
// of its request.
func (s *Stream) Hold() { s.HoldFrom(nil, false, nil, nil) }

// HoldFrom makes the stream one that is read from what its handler was told of
// it on: a response's head, with which it ended if end, content, and trailers,
// each nil if there was none. It is called by its handler. A stream that is held
// stays as it is.
func (s *Stream) HoldFrom(head *Head, end bool, data []byte, trailers *Head) {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	if s.held != nil {
		return
	}
	s.beHeld()
	if head != nil {
		s.held.addHead(head, end)
	}
	s.held.data = append(s.held.data, data...)
	if trailers != nil {
		s.held.trailers = trailers.Keep()
	}
}

// ReadHead waits for the next head of a response, an interim one or the final.
func (s *Stream) ReadHead() (head *Head, end bool, err error) {
	l := s.hop.link
	l.mu.Lock()
	defer l.mu.Unlock()
	h := s.held
	for len(h.heads) == 0 {
		if err := s.failed(); err != nil {
			return nil, false, err
		}
		h.changed.Wait()
	}
	head, end = h.heads[0].head, h.heads[0].end
	h.heads = h.heads[1:]
	return head, end, nil
}

// Read waits for data. The error is io.EOF at the peer's end, which may come
// with the last data; then Trailers has what followed.
func (s *Stream) Read(b []byte) (n int, err error) {
	l := s.hop.link
	l.mu.Lock()
	h := s.held
	if err := s.awaitData(); err != nil {
		l.mu.Unlock()
		return 0, err
	}
	n = copy(b, h.data[h.read:])
	h.read += n
	if h.read == len(h.data) {
		if cap(h.data) > keepMax/4 || s.peerEnded {
			h.data = nil
		}
		h.data, h.read = h.data[:0], 0
		if s.peerEnded {
			err = io.EOF
		}
	}
	s.consumed(n)
	flush := s.hop.hasOutput()
	l.mu.Unlock()
	if flush {
		l.Flush()
	}
	return n, err
}

// Take is Read for those who hold no buffer while they wait: it hands over all
// that is there.
func (s *Stream) Take() (data []byte, err error) {
	l := s.hop.link
	l.mu.Lock()
	h := s.held
	if err := s.awaitData(); err != nil {
		l.mu.Unlock()
		return nil, err
	}
	data = h.data[h.read:]
	h.data, h.read = nil, 0
	if s.peerEnded {
		err = io.EOF
	}
	s.consumed(len(data))
	flush := s.hop.hasOutput()
	l.mu.Unlock()
	if flush {
		l.Flush()
	}
	return data, err
}

// awaitData waits for data, or the peer's end. link.mu is held.
func (s *Stream) awaitData() error {
	for s.held.read == len(s.held.data) && !s.peerEnded {
		if err := s.failed(); err != nil {
			return err
		}
		s.held.changed.Wait()
	}
	return nil
}

// Trailers are what followed the data, nil for none. They are complete once
// Read has returned io.EOF.
func (s *Stream) Trailers() *Head {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	return s.held.trailers
}

// Write sends data and waits until little of it is left to be sent.
func (s *Stream) Write(data []byte, end bool) error {
	err := s.Append(data, end)
	s.hop.link.FlushTogether()
	return err
}

// Append is Write for those who flush soon: what can wait for that does.
func (s *Stream) Append(data []byte, end bool) error {
	l := s.hop.link
	for {
		l.mu.Lock()
		for s.failed() == nil && !s.ended && s.queued() >= queueMax {
			s.held.changed.Wait()
		}
		if err := s.failed(); err != nil {
			l.mu.Unlock()
			return err
		}
		n := min(len(data), queueMax)
		s.sendData(data[:n], end && n == len(data))
		data = data[n:]
		l.mu.Unlock()
		if len(data) == 0 {
			return nil
		}
		l.Flush()
	}
}

// Discard drops what came and was not read, now and from now on.
func (s *Stream) Discard() {
	l := s.hop.link
	l.mu.Lock()
	s.held.dropped = true
	s.drop()
	l.mu.Unlock()
	l.FlushTogether()
}

// Buffered reports whether Read would not wait.
func (s *Stream) Buffered() bool {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	return s.held.read < len(s.held.data) || s.peerEnded || s.err != nil
}

// AtEnd reports whether the peer has ended and all that it sent was read.
func (s *Stream) AtEnd() bool {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	return s.held.read == len(s.held.data) && s.peerEnded
}

// Interrupt lets those who wait on the stream, now or later, go on with err. The
// peer is not told; Reset does that.
func (s *Stream) Interrupt(err error) {
	s.hop.link.mu.Lock()
	defer s.hop.link.mu.Unlock()
	s.held.broken = err
	s.wakeHolder()
}
