package e2e

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// streams is what frames say of the streams of one direction: what has to be
// the same at both ends, however the hops between them frame it, count their
// windows and compress.
type streams struct {
	order  []uint32 // as they began
	heard  map[uint32]*transcript
	block  []byte // of a header block that goes on
	ends   bool
	hpack  *hpack.Decoder
	goaway string // the last one
}

// transcript is one direction of one stream.
type transcript struct {
	events []string
	data   []byte // since the last event
}

func newStreams() *streams {
	return &streams{heard: make(map[uint32]*transcript), hpack: hpack.NewDecoder(4096, nil)}
}

// of is what was said on stream id; empty if nothing was.
func (s *streams) of(id uint32) string {
	if t := s.heard[id]; t != nil {
		return t.String()
	}
	return ""
}

func (t *transcript) String() string {
	return strings.Join(t.events, "\n") + t.pending()
}

// pending is the data since the last event.
func (t *transcript) pending() string {
	if len(t.data) == 0 {
		return ""
	}
	return fmt.Sprintf("\ndata %d %.100q %x", len(t.data), t.data, hash(t.data))
}

func hash(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

func (t *transcript) event(format string, args ...any) {
	if data := t.pending(); data != "" {
		t.events, t.data = append(t.events, data[1:]), nil
	}
	t.events = append(t.events, fmt.Sprintf(format, args...))
}

func (s *streams) stream(id uint32) *transcript {
	t := s.heard[id]
	if t == nil {
		t = new(transcript)
		s.heard[id] = t
		s.order = append(s.order, id)
	}
	return t
}

// add takes the next frame. What concerns a hop alone changes nothing.
func (s *streams) add(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.HeadersFrame:
		s.block, s.ends = bytes.Clone(f.HeaderBlockFragment()), f.StreamEnded()
		if f.HeadersEnded() {
			return s.decode(f.StreamID)
		}
	case *http2.ContinuationFrame:
		s.block = append(s.block, f.HeaderBlockFragment()...)
		if f.HeadersEnded() {
			return s.decode(f.StreamID)
		}
	case *http2.DataFrame:
		s.addData(f.StreamID, f.Data(), f.StreamEnded())
	case *http2.RSTStreamFrame:
		s.stream(f.StreamID).event("rst %v", f.ErrCode)
	case *http2.GoAwayFrame:
		s.goaway = fmt.Sprintf("%v after stream %d", f.ErrCode, f.LastStreamID)
	}
	return nil
}

func (s *streams) decode(id uint32) error {
	fields, err := s.hpack.DecodeFull(s.block)
	if err != nil {
		return fmt.Errorf("stream %d: %w", id, err)
	}
	s.headers(id, fields, s.ends)
	return nil
}

func (s *streams) headers(id uint32, fields []hpack.HeaderField, end bool) {
	var text strings.Builder
	for _, f := range fields {
		if f.Sensitive {
			text.WriteByte('!') // RFC 7541, section 7.1.3: it stays so from hop to hop
		}
		fmt.Fprintf(&text, "%s: %q; ", f.Name, f.Value)
	}
	if end {
		text.WriteString("and ends")
	}
	s.stream(id).event("headers %s", text.String())
}

func (s *streams) addData(id uint32, data []byte, end bool) {
	t := s.stream(id)
	t.data = append(t.data, data...)
	if end {
		t.event("end")
	}
}
