package proxy

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http1"
)

// front1Response is the http.ResponseWriter of a front1. Nothing is made up
// but what frames the message: Date, Content-Type and Content-Length are the
// handler's alone. Head and body gather in a buffer and leave together.
type front1Response struct {
	f      *front1
	header http.Header

	minor      int  // of the request's HTTP/1.minor
	head       bool // the request is a HEAD
	asksClose  bool // the caller ends the connection after it
	persists10 bool // a caller of HTTP/1.0 asks to keep it

	status    int // 0 before WriteHeader
	length    int64
	written   int64
	chunked   bool
	bodiless  bool
	closes    bool            // the connection ends after the response
	announced map[string]bool // trailers, by Trailer

	mu          sync.Mutex // guards what follows, and what is written
	mayContinue bool       // the caller waits for 100 Continue
	out         *[]byte    // of buffers; nil while nothing is to be written
	err         error      // of writing; sticks
}

var _ http.ResponseWriter = (*front1Response)(nil)

func (w *front1Response) begin(f *front1, head *http1.Request) {
	w.f, w.header, w.length = f, make(http.Header), -1
	w.minor, w.asksClose = head.Minor, head.Close
	w.head = string(head.Method) == http.MethodHead
	w.persists10 = head.Minor == 0 && !head.Close
	w.mayContinue = head.ExpectContinue && (head.Kind == http1.Chunked || head.Length > 0)
}

// Header implements [http.ResponseWriter].
func (w *front1Response) Header() http.Header { return w.header }

// WriteHeader begins the final response, or sends an interim one at once.
func (w *front1Response) WriteHeader(status int) {
	switch {
	case w.status != 0:
		return
	case status >= 100 && status < 200 && status != http.StatusSwitchingProtocols:
		w.interim(status)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = status
	w.closes = w.asksClose || w.mayContinue || w.f.body.broke.Load() || lists(w.header["Connection"], "close")
	w.frame()
	w.writeStatus(status)
	w.writeFields(w.outgoing())
	w.writeConnection()
	if w.chunked {
		w.write("Transfer-Encoding: chunked\r\n")
	}
	w.write("\r\n")
}

// frame decides how the body's end is told (RFC 9112, 6.3).
func (w *front1Response) frame() {
	w.bodiless = w.head || !allowsBody(w.status)
	if values := w.header["Content-Length"]; len(values) > 0 {
		n, err := strconv.ParseInt(values[0], 10, 64)
		if err == nil && n >= 0 && !lists(w.header["Transfer-Encoding"], "chunked") {
			w.length = n
		}
	}
	switch {
	case w.bodiless || w.length >= 0:
	case w.minor == 0:
		w.closes = true // only the connection's end tells
	default:
		w.chunked = true
		for _, v := range w.header["Trailer"] {
			w.announce(v)
		}
	}
	if w.minor == 0 && !w.persists10 {
		w.closes = true
	}
}

func (w *front1Response) announce(names string) {
	for each := range strings.SplitSeq(names, ",") {
		if name := textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(each)); !hopByHop[name] {
			if w.announced == nil {
				w.announced = make(map[string]bool)
			}
			w.announced[name] = true
		}
	}
}

// allowsBody reports whether responses with this status have one.
func allowsBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// outgoing reports which fields of the header stay out of the head.
func (w *front1Response) outgoing() (exclude map[string]bool) {
	exclude = map[string]bool{"Transfer-Encoding": true}
	switch {
	case w.status == http.StatusNotModified:
		exclude["Content-Type"], exclude["Content-Length"] = true, true
	case !allowsBody(w.status), w.length < 0:
		exclude["Content-Length"] = true
	}
	if w.closes && !lists(w.header["Connection"], "close") {
		exclude["Connection"] = true
	}
	for name := range w.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			exclude[name] = true
		}
	}
	return exclude
}

// writeConnection says what becomes of the connection where the header does not.
func (w *front1Response) writeConnection() {
	switch {
	case w.closes && w.minor == 1 && !lists(w.header["Connection"], "close"):
		w.write("Connection: close\r\n")
	case !w.closes && w.minor == 0 && len(w.header["Connection"]) == 0:
		w.write("Connection: keep-alive\r\n")
	}
}

func (w *front1Response) writeStatus(status int) {
	if w.minor == 0 {
		w.write("HTTP/1.0 ")
	} else {
		w.write("HTTP/1.1 ")
	}
	text := http.StatusText(status)
	if text == "" {
		text = "status code " + strconv.Itoa(status)
	}
	w.write(strconv.Itoa(status))
	w.write(" ")
	w.write(text)
	w.write("\r\n")
}

// interim sends a 1xx response (RFC 9110, 15.2).
func (w *front1Response) interim(status int) {
	if w.minor == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if status == http.StatusContinue {
		w.mayContinue = false
	}
	w.writeStatus(status)
	w.writeFields(map[string]bool{"Content-Length": true, "Transfer-Encoding": true})
	w.write("\r\n")
	w.flush()
}

// sayContinue tells a caller who waits for it that the body is wanted, unless a
// response has begun.
func (w *front1Response) sayContinue() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mayContinue || w.status != 0 {
		return
	}
	w.mayContinue = false
	w.write("HTTP/1.1 100 Continue\r\n\r\n")
	w.flush()
}

// Write implements [http.ResponseWriter]. What does not fit the buffer leaves at
// once.
func (w *front1Response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return 0, w.err
	case len(p) == 0:
		return 0, nil
	case w.bodiless:
		if w.head {
			return len(p), nil
		}
		return 0, http.ErrBodyNotAllowed
	case w.length >= 0 && w.written+int64(len(p)) > w.length:
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	if w.chunked {
		w.write(strconv.FormatInt(int64(len(p)), 16))
		w.write("\r\n")
	}
	w.writeBody(p)
	if w.chunked {
		w.write("\r\n")
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// FlushError sends what was written so far, for [http.ResponseController].
func (w *front1Response) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	return w.err
}

// finish ends the response.
func (w *front1Response) finish() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.chunked {
		w.write("0\r\n")
		trailer := w.trailer()
		_ = trailer.Write((*front1Text)(w)) // its errors are in w.err
		w.write("\r\n")
	}
	w.flush()
}

// trailer are the fields that were announced, and those by net/http's prefix.
func (w *front1Response) trailer() http.Header {
	var trailer http.Header
	for name, values := range w.header {
		plain, prefixed := strings.CutPrefix(name, http.TrailerPrefix)
		if !prefixed && !w.announced[name] {
			continue
		}
		if trailer == nil {
			trailer = make(http.Header)
		}
		plain = textproto.CanonicalMIMEHeaderKey(plain)
		trailer[plain] = append(trailer[plain], values...)
	}
	return trailer
}

// EnableFullDuplex is always so, for [http.ResponseController].
func (w *front1Response) EnableFullDuplex() error { return nil }

// SetReadDeadline is for [http.ResponseController].
func (w *front1Response) SetReadDeadline(t time.Time) error { return w.f.c.tcp.SetReadDeadline(t) }

// SetWriteDeadline is for [http.ResponseController].
func (w *front1Response) SetWriteDeadline(t time.Time) error { return w.f.c.tcp.SetWriteDeadline(t) }

// Hijack implements [http.Hijacker].
func (w *front1Response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.status != 0 {
		return nil, nil, errBegun
	}
	return w.f.hijack()
}

var errBegun = errors.New("the response has begun")

func (w *front1Response) writeFields(exclude map[string]bool) {
	_ = w.header.WriteSubset((*front1Text)(w), exclude) // its errors are in w.err
}

// front1Text is a front1Response as the writer of a header's text.
type front1Text front1Response

func (t *front1Text) Write(p []byte) (int, error) { return t.WriteString(string(p)) }

func (t *front1Text) WriteString(s string) (int, error) {
	(*front1Response)(t).write(s)
	return len(s), nil
}

// write adds s to what will be sent. mu is held.
func (w *front1Response) write(s string) {
	if w.room() < len(s) {
		w.flush()
	}
	w.room()
	*w.out = append(*w.out, s...)
}

// room returns how much fits the buffer, which it takes if need be.
func (w *front1Response) room() int {
	if w.out == nil {
		w.out = buffers.Get().(*[]byte)
		*w.out = (*w.out)[:0]
	}
	return cap(*w.out) - len(*w.out)
}

// writeBody adds p, or sends it with what stands before it. mu is held.
func (w *front1Response) writeBody(p []byte) {
	if w.room() >= len(p)+len("\r\n") {
		*w.out = append(*w.out, p...)
		return
	}
	if w.err == nil {
		parts := net.Buffers{*w.out, p}
		_, w.err = parts.WriteTo(w.f.c.tcp)
	}
	*w.out = (*w.out)[:0]
}

// flush sends what has gathered and gives the buffer back. mu is held.
func (w *front1Response) flush() {
	if w.out == nil {
		return
	}
	if w.err == nil && len(*w.out) > 0 {
		_, w.err = w.f.c.tcp.Write(*w.out)
	}
	*w.out = (*w.out)[:cap(*w.out)]
	buffers.Put(w.out)
	w.out = nil
}
