package matrix

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// upstream is the server behind the proxies. It speaks HTTP/1.1, by hand, and
// HTTP/2, answers each request by the script of its case and notes it.
type upstream struct {
	addr string
	h2   chan net.Conn // to the HTTP/2 server
	done chan struct{}

	mu      sync.Mutex
	scripts map[string]script
	seen    map[string][]seen
}

// script answers one request.
type script struct {
	response message
	call     func(w http.ResponseWriter, r *http.Request, s *seen) // of a gRPC call; else nil
}

// message is a response or a request as it is to be sent.
type message struct {
	status   int
	fields   []string // "name: value"
	body     []byte
	framing  framing
	trailers []string
	bodiless bool // no body, and no word about one
	interim  bool
	reset    bool // instead of it
	cut      bool // in the middle of its body
}

// seen is a request as it arrived.
type seen struct {
	Line     string // POST /a?b HTTP/1.1
	Host     string
	Fields   []string
	Framing  string
	Encoding string
	Body     string   // without its encoding
	Messages []string // of a gRPC call
	Trailers []string
	Err      string // why it did not arrive whole
	wire     []byte
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	l := testbed.Loopback(t)
	u := &upstream{addr: l.Addr().String(), h2: make(chan net.Conn), done: make(chan struct{}), scripts: map[string]script{}, seen: map[string][]seen{}}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: http.HandlerFunc(u.serveHTTP2), Protocols: protocols, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(u) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	testbed.ServeConns(t, l, u.serve)
	return u
}

// expect puts the script of a case in place.
func (u *upstream) expect(id string, s script) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.scripts[id] = s
}

// saw is what arrived of a case.
func (u *upstream) saw(id string) []seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen[id])
}

func (u *upstream) note(id string, s seen) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen[id] = append(u.seen[id], s)
}

// settled waits until the case's request was noted.
func (u *upstream) settled(t *testing.T, id string) {
	t.Helper()
	testbed.Eventually(t, testbed.Patience, func() error {
		if len(u.saw(id)) == 0 {
			return errors.New("no request of " + id)
		}
		return nil
	})
}

func (u *upstream) script(id string) script {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.scripts[id]
}

// Accept, Close and Addr make u the listener of its HTTP/2 server.
func (u *upstream) Accept() (net.Conn, error) {
	select {
	case c := <-u.h2:
		return c, nil
	case <-u.done:
		return nil, net.ErrClosed
	}
}

func (u *upstream) Close() error {
	close(u.done)
	return nil
}

func (u *upstream) Addr() net.Addr { return &net.TCPAddr{} }

// peeked is a connection whose first bytes were looked at.
type peeked struct {
	*net.TCPConn
	r    *bufio.Reader
	gone chan struct{} // closed when the server closed it
	once sync.Once
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

func (p *peeked) Close() error {
	p.once.Do(func() { close(p.gone) })
	return p.TCPConn.Close()
}

func (u *upstream) serve(c *net.TCPConn) {
	r := bufio.NewReader(c)
	first, err := r.Peek(3)
	if err != nil {
		return
	}
	if string(first) != "PRI" {
		for u.serveHTTP1(c, r) == nil {
		}
		return
	}
	p := &peeked{TCPConn: c, r: r, gone: make(chan struct{})}
	select {
	case u.h2 <- p:
		<-p.gone
	case <-u.done:
	}
}

var errLast = errors.New("the last on its connection")

// serveHTTP1 serves one request.
func (u *upstream) serveHTTP1(c *net.TCPConn, r *bufio.Reader) error {
	line, fields, err := readHead(r)
	if err != nil {
		return err
	}
	s := seen{Line: line, Fields: fields, Host: valueOf(fields, "host")}
	if strings.EqualFold(valueOf(fields, "expect"), "100-continue") {
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	s.wire, s.Trailers, err = readBody(r, fields)
	if err != nil {
		s.Err = "broken off"
	}
	id := valueOf(fields, caseField)
	u.note(id, s)
	if err != nil {
		return err
	}
	return u.script(id).response.writeHTTP1(c, strings.HasPrefix(line, "HEAD "))
}

// readHead reads a start line and fields, as they are but for their names'
// case.
func readHead(r *bufio.Reader) (line string, fields []string, err error) {
	for {
		l, err := r.ReadString('\n')
		if err != nil {
			return "", nil, err
		}
		l = strings.TrimSuffix(l, "\r\n")
		switch {
		case l == "":
			return line, fields, nil
		case line == "":
			line = l
		default:
			name, value, _ := strings.Cut(l, ":")
			fields = append(fields, strings.ToLower(name)+": "+strings.Trim(value, " \t"))
		}
	}
}

func valueOf(fields []string, name string) string {
	for _, f := range fields {
		if v, ok := strings.CutPrefix(f, name+": "); ok {
			return v
		}
	}
	return ""
}

func readBody(r *bufio.Reader, fields []string) (body []byte, trailers []string, err error) {
	if valueOf(fields, "transfer-encoding") != "chunked" {
		n, _ := strconv.Atoi(valueOf(fields, "content-length"))
		whole := make([]byte, n)
		_, err = io.ReadFull(r, whole)
		return whole, nil, err
	}
	for {
		l, err := r.ReadString('\n')
		if err != nil {
			return body, nil, err
		}
		size, _, _ := strings.Cut(strings.TrimSuffix(l, "\r\n"), ";")
		n, err := strconv.ParseUint(size, 16, 31)
		if err != nil {
			return body, nil, err
		}
		if n == 0 {
			_, trailers, err = readHead(bufio.NewReader(io.MultiReader(strings.NewReader("trailers\r\n"), oneByte{r})))
			return body, trailers, err
		}
		chunk := make([]byte, n+2)
		if _, err := io.ReadFull(r, chunk); err != nil {
			return append(body, chunk[:n]...), nil, err
		}
		body = append(body, chunk[:n]...)
	}
}

// oneByte reads no further than it is asked to.
type oneByte struct{ io.Reader }

func (r oneByte) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(1, len(b))]) }

func (m message) writeHTTP1(c *net.TCPConn, head bool) error {
	if m.reset {
		return errors.Join(testbed.Reset(c), errLast)
	}
	var b strings.Builder
	if m.interim {
		b.WriteString("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
	}
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", m.status, http.StatusText(m.status))
	for _, f := range m.fields {
		b.WriteString(f + "\r\n")
	}
	body := m.body
	switch {
	case m.bodiless:
		if m.status != http.StatusNoContent && m.status != http.StatusNotModified {
			b.WriteString("content-length: 0\r\n")
		}
	case m.framing.length:
		fmt.Fprintf(&b, "content-length: %d\r\n", len(m.body))
	case m.framing.close:
		b.WriteString("connection: close\r\n")
	default:
		b.WriteString("transfer-encoding: chunked\r\n")
		if m.framing.trailers {
			b.WriteString("trailer: x-sum\r\n")
		}
	}
	b.WriteString("\r\n")
	if m.cut {
		body = body[:len(body)/2]
	}
	switch {
	case head || m.bodiless:
	case m.framing.length, m.framing.close:
		b.Write(body)
	default:
		half := len(body) / 2
		fmt.Fprintf(&b, "%x\r\n%s\r\n%x\r\n%s\r\n", half, body[:half], len(body)-half, body[half:])
		if !m.cut {
			fmt.Fprintf(&b, "0\r\n%s\r\n", strings.Join(append(slices.Clone(m.trailers), ""), "\r\n"))
		}
	}
	_, err := io.WriteString(c, b.String())
	switch {
	case m.cut && m.framing.close:
		return errors.Join(err, testbed.Reset(c), errLast) // a clean end would be the body's
	case m.cut:
		return errors.Join(err, c.CloseWrite(), errLast)
	case m.framing.close:
		return errors.Join(err, c.CloseWrite(), errLast)
	}
	return err
}

func (u *upstream) serveHTTP2(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(caseField)
	s := seen{Line: r.Method + " " + r.RequestURI + " " + r.Proto, Host: r.Host, Fields: fieldsOf(r.Header)}
	script := u.script(id)
	if script.call != nil {
		defer func() { u.note(id, s) }() // also if it aborts
		script.call(w, r, &s)
		return
	}
	var err error
	if s.wire, err = io.ReadAll(r.Body); err != nil {
		s.Err = "broken off"
	}
	s.Trailers = fieldsOf(r.Trailer)
	u.note(id, s)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	script.response.writeHTTP2(w)
}

func fieldsOf(h http.Header) []string {
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			fields = append(fields, strings.ToLower(name)+": "+v)
		}
	}
	return fields
}

func (m message) writeHTTP2(w http.ResponseWriter) {
	if m.reset {
		panic(http.ErrAbortHandler)
	}
	if m.interim {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
	}
	h := w.Header()
	h["Date"], h["Content-Type"] = nil, nil
	for _, f := range m.fields {
		name, value, _ := strings.Cut(f, ": ")
		h.Add(name, value)
	}
	if m.framing.length && !m.bodiless {
		h.Set("Content-Length", strconv.Itoa(len(m.body)))
	}
	if m.framing.trailers {
		h.Set("Trailer", "X-Sum")
	}
	w.WriteHeader(m.status)
	if m.bodiless {
		return
	}
	body := m.body
	if m.cut {
		body = body[:len(body)/2]
	}
	w.Write(body[:len(body)/2])
	http.NewResponseController(w).Flush()
	w.Write(body[len(body)/2:])
	if m.cut {
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for _, f := range m.trailers {
		name, value, _ := strings.Cut(f, ": ")
		h.Add(name, value)
	}
}
