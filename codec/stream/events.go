package stream

import (
	"bytes"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
)

// events cuts server-sent events after their blank lines.
//
// A CR that ends an event ends it at once, as it does for a browser, unless the
// line before ended with CRLF, so that its LF is still to come. After an event
// whose line ends are of both kinds an LF may be left over; it passes by itself.
type events struct {
	most    int
	begun   bool // past the place of a byte order mark
	scanned int
	line    int  // where in buf the line begins that is scanned
	data    bool // the event has data
	crlf    bool // the line before ended with CRLF
}

func (e *events) Next(buf []byte, final bool) (int, []byte, error) {
	if !e.begun {
		if !final && len(buf) < len(bom) && strings.HasPrefix(bom, string(buf)) {
			return 0, nil, nil
		}
		e.begun = true
		if bytes.HasPrefix(buf, []byte(bom)) {
			return len(bom), nil, nil
		}
	}
	for {
		i := bytes.IndexAny(buf[e.scanned:], "\r\n")
		if i < 0 {
			e.scanned = len(buf)
			break
		}
		end := e.scanned + i
		e.scanned = end
		half := !final && buf[end] == '\r' && end+1 == len(buf) // perhaps of a CRLF
		next := end + len(lineEndAt(buf, end))
		switch first := e.line == 0; {
		case first && (end == 0 || buf[0] == ':'):
			return e.done(buf, next) // nothing but a comment, or not even that
		case end == e.line && e.crlf && half, end > e.line && half:
			return taken(sse, e.most, buf, 0, false)
		case end == e.line && !e.crlf:
			return e.done(buf, end+1)
		case end == e.line:
			return e.done(buf, next)
		}
		e.data = e.data || isData(buf[e.line:end])
		e.crlf = next-end == 2
		e.line, e.scanned = next, next
	}
	if final {
		e.data = e.data || isData(buf[e.line:])
		return e.done(buf, len(buf))
	}
	return taken(sse, e.most, buf, 0, false)
}

// done returns the first n bytes and starts anew.
func (e *events) done(buf []byte, n int) (int, []byte, error) {
	message := e.data
	*e = events{most: e.most, begun: true}
	return taken(sse, e.most, buf, n, message)
}

func isData(line []byte) bool {
	name, _, _ := bytes.Cut(line, []byte{':'})
	return string(name) == "data"
}

// lineEndAt returns the LF, CRLF or CR at pos, or nothing.
func lineEndAt(data []byte, pos int) []byte {
	switch {
	case pos == len(data) || data[pos] != '\n' && data[pos] != '\r':
		return nil
	case data[pos] == '\r' && pos+1 < len(data) && data[pos+1] == '\n':
		return data[pos : pos+2]
	}
	return data[pos : pos+1]
}

// Split returns a Splitter of events. An event without data is no message, nor
// is a comment between events, which does not wait for the next event.
func (SSE) Split(limits codec.Limits) Splitter { return &events{most: sizeOf(limits)} }
