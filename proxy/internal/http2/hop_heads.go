package http2

import (
	"bytes"
	"slices"
	"strings"
)

// Head is what a header block says.
type Head struct {
	Fields  []Field
	Request Request // what the pseudo-header fields of a request say
	Status  int     // of a response

	// Kept means that the head is never changed, and that each block of the same
	// meaning is likely to be this one: it may be kept, with what is known of it
	// in Memo, which is the handler's.
	Kept bool
	Memo any

	block  []byte // that it was decoded from, if it is kept
	as     headKind
	length int64 // of the body, -1 if it says none
	err    error // why it is malformed
}

// NewHead is a head to be sent. The fields are not changed.
func NewHead(fields []Field) *Head { return &Head{Fields: fields} }

// headKind is what a head was looked at as.
type headKind uint8

const (
	_ headKind = iota
	requestHead
	responseHead
	trailersHead
)

// look parses the head, if that was not done.
func (d *Head) look(stream uint32, as headKind) error {
	if d.as == as && d.err == nil {
		return nil
	}
	d.as, d.length = as, -1
	var rest []Field
	switch as {
	case requestHead:
		d.Request, rest, d.err = ParseRequest(stream, d.Fields)
	case responseHead:
		d.Status, rest, d.err = ParseResponse(stream, d.Fields)
	default:
		d.err = CheckTrailers(stream, d.Fields)
		return d.err
	}
	if d.err == nil {
		d.length, d.err = ContentLength(stream, rest)
	}
	return d.err
}

// Keep returns a head that stays: d itself if it does.
func (d *Head) Keep() *Head {
	if d.Kept {
		return d
	}
	kept := *d
	kept.Fields = slices.Clone(d.Fields)
	return &kept
}

// isHEAD reports whether the head is of a request whose response has no body.
func (d *Head) isHEAD() bool {
	if d.as == requestHead {
		return d.Request.Method == "HEAD"
	}
	for i := range d.Fields {
		if !strings.HasPrefix(d.Fields[i].Name, ":") {
			return false
		}
		if d.Fields[i].Name == ":method" {
			return d.Fields[i].Value == "HEAD"
		}
	}
	return false
}

// A connection that carries one call after the other says the same again and
// again, in blocks whose fields are all in the tables. Such a block is decoded,
// looked at and encoded once, for as long as no other changes the tables.
const (
	maxSeen     = 8
	longestSeen = 64
)

// seenHeads are the last heads of that kind that came.
type seenHeads struct {
	heads [maxSeen]*Head
	next  int
}

func (s *seenHeads) find(block []byte) *Head {
	if len(block) > longestSeen {
		return nil
	}
	for _, d := range s.heads {
		if d != nil && bytes.Equal(d.block, block) {
			return d
		}
	}
	return nil
}

func (s *seenHeads) add(d *Head) {
	s.heads[s.next] = d
	s.next = (s.next + 1) % maxSeen
}

// encodedHeads are the same of the heads that were sent.
type encodedHeads struct {
	heads [maxSeen]struct {
		head  *Head
		block []byte
	}
	next int
}

func (e *encodedHeads) find(d *Head) []byte {
	for i := range e.heads {
		if e.heads[i].head == d {
			return e.heads[i].block
		}
	}
	return nil
}

func (e *encodedHeads) add(d *Head, block []byte) {
	e.heads[e.next].head, e.heads[e.next].block = d, bytes.Clone(block)
	e.next = (e.next + 1) % maxSeen
}

// decode decodes the block that is whole.
func (h *Hop) decode(block []byte) (*Head, error) {
	if d := h.seen.find(block); d != nil {
		return d, nil
	}
	fields, err := h.decoder.Decode(block)
	if err != nil && err != ErrHeadTooLarge { //nolint:errorlint // Decode returns it as it is
		return nil, err
	}
	if !Indexed(block) {
		clear(h.seen.heads[:])
	} else if err == nil && len(block) <= longestSeen {
		d := &Head{Fields: slices.Clone(fields), Kept: true, block: bytes.Clone(block)}
		h.seen.add(d)
		return d, nil
	}
	h.unseen = Head{Fields: fields}
	return &h.unseen, err
}

// appendHead appends a head to what is sent. link.mu is held.
func (h *Hop) appendHead(stream uint32, d *Head, p Priority, end bool) {
	out := h.outgoing()
	if d.Kept {
		if block := h.encoded.find(d); block != nil {
			out = p.append(AppendHeader(out, headerOfHead(stream, p, p.len()+len(block), end)))
			h.appendFrame(append(out, block...))
			return
		}
	}
	from := len(out) + HeaderLen + p.len()
	out = h.encoder.appendHead(out, stream, p, d.Fields, end, h.maxFrame)
	switch block := out[from:]; {
	case !Indexed(block):
		clear(h.encoded.heads[:])
	case d.Kept && len(block) <= longestSeen:
		h.encoded.add(d, block)
	}
	h.appendFrame(out)
}

// head handles a whole header block.
func (h *Hop) head() error {
	d, err := h.decode(h.block.Bytes())
	tooLarge := err == ErrHeadTooLarge //nolint:errorlint // decode returns it as it is
	if err != nil && !tooLarge {
		return err
	}
	id, end := h.block.Stream, h.block.End
	h.link.mu.Lock()
	h.got++
	s := h.streams[id]
	last := h.last
	h.link.mu.Unlock()
	if s != nil && h.block.Priority.Said {
		if err := h.prioritized(s, h.block.Priority); err != nil {
			return err
		}
	}
	switch {
	case s != nil && s.headed:
		return h.trailers(s, d, end, tooLarge)
	case s != nil:
		return h.response(s, d, end, tooLarge)
	case !h.server || id <= last && id%2 == 1:
		if id > last || id%2 == 0 {
			return connError(ProtocolError, "HEADERS on an idle stream")
		}
		return nil // it was on its way when the stream was reset
	case id%2 == 0:
		return connError(ProtocolError, "a caller's stream with an even number")
	}
	return h.request(id, d, end, tooLarge)
}

func (h *Hop) request(id uint32, d *Head, end, tooLarge bool) error {
	err := d.look(id, requestHead)
	if err == nil {
		err = h.block.Priority.check(id)
	}
	l := h.link
	l.mu.Lock()
	h.last = id
	if err == nil && len(h.streams) >= maxStreams {
		err = streamError(id, RefusedStream, "too many streams")
	}
	if err != nil {
		l.mu.Unlock()
		return err
	}
	s := h.newStream(id)
	h.streams[id] = s
	s.headed, s.declared, s.priority = true, d.length, h.block.Priority
	if tooLarge {
		s.declared = -1
	}
	err = s.arrived(0, 0, end)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	h.handler.Request(s, d, end, tooLarge)
	return nil
}

func (h *Hop) response(s *Stream, d *Head, end, tooLarge bool) error {
	if tooLarge {
		return streamError(s.id, EnhanceYourCalm, "head too large")
	}
	if err := d.look(s.id, responseHead); err != nil {
		return err
	}
	status := d.Status
	l := h.link
	l.mu.Lock()
	if status >= 200 {
		s.headed, s.declared = true, d.length
		s.bodiless = s.bodiless || status == 204 || status == 304
	} else if end {
		l.mu.Unlock()
		return streamError(s.id, ProtocolError, "an interim response ends the stream")
	}
	if err := s.arrived(0, 0, end); err != nil {
		l.mu.Unlock()
		return err
	}
	held := s.held != nil
	if held && !s.held.addHead(d, end) {
		l.mu.Unlock()
		return streamError(s.id, EnhanceYourCalm, "too many interim responses")
	}
	s.settle()
	l.mu.Unlock()
	if !held {
		h.handler.Response(s, d, end)
	}
	return nil
}

func (h *Hop) trailers(s *Stream, d *Head, end, tooLarge bool) error {
	switch {
	case tooLarge:
		return streamError(s.id, EnhanceYourCalm, "trailers too large")
	case s.peerEnded:
		return streamError(s.id, StreamClosed, "HEADERS after the end")
	case !end:
		return streamError(s.id, ProtocolError, "trailers that do not end the stream")
	}
	if err := d.look(s.id, trailersHead); err != nil {
		return err
	}
	l := h.link
	l.mu.Lock()
	if err := s.arrived(0, 0, true); err != nil {
		l.mu.Unlock()
		return err
	}
	held := s.held != nil
	if held {
		s.held.trailers = d.Keep()
		s.held.changed.Broadcast()
	}
	s.settle()
	l.mu.Unlock()
	if !held {
		h.handler.Trailers(s, d)
	}
	return nil
}
