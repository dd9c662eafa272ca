package tap

import (
	"bufio"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"
)

// ServeTap answers GET /tap: the events that its query wants, as NDJSON, or
// as server-sent events if the request accepts those.
func (t *Tap) ServeTap(w http.ResponseWriter, r *http.Request) {
	if t.ring.most == 0 {
		writeError(w, http.StatusServiceUnavailable, object{{"error", "the tap is off"}})
		return
	}
	q, err := ParseQuery(r.URL.Query(), t.config.Now())
	if err != nil {
		writeQueryError(w, err)
		return
	}
	if !t.enter() {
		writeError(w, http.StatusServiceUnavailable, object{{"error", "too many readers of the tap"}})
		return
	}
	defer t.leave()
	sink := &httpSink{
		out:   bufio.NewWriterSize(w, 32<<10),
		flush: http.NewResponseController(w).Flush,
		sse:   strings.Contains(r.Header.Get("Accept"), "text/event-stream"),
	}
	if sink.sse {
		w.Header().Set("Content-Type", "text/event-stream")
	} else {
		w.Header().Set("Content-Type", "application/x-ndjson")
	}
	w.Header().Set("Cache-Control", "no-store")
	// An error is the reader's going away: there is nobody left to tell.
	_ = t.Read(r.Context(), q, sink)
}

// httpSink writes events to a response. It is used by one goroutine.
type httpSink struct {
	out   *bufio.Writer
	flush func() error
	sse   bool
}

// Event implements [Sink].
func (s *httpSink) Event(kind string, text []byte) error {
	if s.sse {
		s.out.WriteString("event: " + kind + "\ndata: ")
	}
	s.out.Write(text)
	if s.sse {
		s.out.WriteByte('\n')
	}
	return s.out.WriteByte('\n') // a bufio.Writer keeps its first error
}

// Idle implements [Sink].
func (s *httpSink) Idle() error {
	if err := s.out.Flush(); err != nil {
		return err
	}
	return s.flush()
}

// Ping implements [Sink]: a comment in server-sent events, nothing in NDJSON.
func (s *httpSink) Ping() error {
	if !s.sse {
		return nil
	}
	s.out.WriteString(": ping\n\n")
	return s.Idle()
}

// ServeExchange answers GET /exchanges/{id}.
func (t *Tap) ServeExchange(w http.ResponseWriter, r *http.Request) {
	text, ok := t.Exchange(r.Context(), r.PathValue("id"))
	if !ok {
		writeError(w, http.StatusNotFound, object{{"error", "no such exchange is remembered: " + r.PathValue("id")}})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(text, '\n'))
}

func writeQueryError(w http.ResponseWriter, err error) {
	o := object{{"error", err.Error()}}
	var query *QueryError
	if errors.As(err, &query) {
		o.add("parameter", query.Param)
		if query.Param == "where" {
			o.add("value", query.Value)
			o.add("offset", query.Offset)
			o.add("column", utf8.RuneCountInString(query.Value[:query.Offset])+1)
		}
	}
	writeError(w, http.StatusBadRequest, o)
}

func writeError(w http.ResponseWriter, status int, o object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(appendJSON(nil, o), '\n'))
}
