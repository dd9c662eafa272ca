package testbed

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// HTTP serves handler over HTTP/1.1 and cleartext HTTP/2 with prior knowledge,
// and returns the server's address. What the server would log is dropped.
func HTTP(t testing.TB, listener net.Listener, handler http.Handler) string {
	t.Helper()
	server := newHTTPServer(handler)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() { stopHTTP(t, server, done) })
	return listener.Addr().String()
}

func newHTTPServer(handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{Handler: handler, Protocols: protocols, ReadHeaderTimeout: Patience, ErrorLog: log.New(io.Discard, "", 0)}
}

func stopHTTP(t testing.TB, server *http.Server, done <-chan error) {
	t.Helper()
	_ = server.Close()
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("testbed: http server: %v", err)
	}
}

// Seen is what [Echo] says of a request, as net/http understood it. For the
// bytes themselves there is [RawEcho].
type Seen struct {
	Method   string      `json:"method"`
	Target   string      `json:"target"` // the request target as it came
	Proto    string      `json:"proto"`
	Host     string      `json:"host"`
	Header   http.Header `json:"header"`
	Body     []byte      `json:"body"` // base64 in JSON
	Trailer  http.Header `json:"trailer,omitempty"`
	Encoding []string    `json:"encoding,omitempty"` // transfer encodings
	Length   int64       `json:"length"`             // -1: not declared
}

// Echo answers every request with a [Seen] in JSON.
func Echo(t testing.TB, listener net.Listener) string {
	t.Helper()
	return HTTP(t, listener, http.HandlerFunc(echo))
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	seen := Seen{
		Method: r.Method, Target: r.RequestURI, Proto: r.Proto, Host: r.Host, Header: r.Header,
		Body: body, Trailer: r.Trailer, Encoding: r.TransferEncoding, Length: r.ContentLength,
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(seen)
}

// Shapes serves the shapes that HTTP answers come in:
//
//	/echo                what [Echo] answers
//	/json                {"id":9007199254740993,"email":"ada@example.com","b":1.50,"a":[1,2]}
//	/status/CODE         an empty answer with that status
//	/bytes/N             N bytes with a Content-Length
//	/chunked             three chunks, flushed one by one
//	/trailers            a body and the announced trailer X-Check: done
//	/hints               103 with a Link, then 200
//	/continue            reads the body, so that an Expect gets its 100, and echoes it
//	/early               413 before the request's body was read
//	/sse?n=N             N events, each flushed
//	/ndjson?n=N          N lines, each flushed
//	/slow?head=D&body=D  waits before the head and in the middle of the body
//	/reset               resets before the answer
//	/cut                 promises ten bytes, sends five and resets
//	/halfclose           sends an answer without length and ends its stream
//	/upgrade             101 to "echo" or "websocket", then echoes bytes
func Shapes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":9007199254740993,"email":"ada@example.com","b":1.50,"a":[1,2]}`)
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(number(r.PathValue("code"), 500)) })
	mux.HandleFunc("/bytes/{n}", sendBytes)
	mux.HandleFunc("/chunked", func(w http.ResponseWriter, _ *http.Request) { sendParts(w, "one ", "two ", "three") })
	mux.HandleFunc("/trailers", trailers)
	mux.HandleFunc("/hints", hints)
	mux.HandleFunc("/continue", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	mux.HandleFunc("/early", early)
	mux.HandleFunc("/sse", sse)
	mux.HandleFunc("/ndjson", ndjson)
	mux.HandleFunc("/slow", slow)
	mux.HandleFunc("/reset", func(w http.ResponseWriter, _ *http.Request) { takeOver(w, Abort()) })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		takeOver(w, Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfives"), Abort())
	})
	mux.HandleFunc("/halfclose", func(w http.ResponseWriter, _ *http.Request) {
		takeOver(w, Send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end"), HalfClose(), Hold())
	})
	mux.HandleFunc("/upgrade", upgrade)
	return mux
}

func number(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return otherwise
}

func sendBytes(w http.ResponseWriter, r *http.Request) {
	n := number(r.PathValue("n"), 0)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(n))
	_, _ = io.CopyN(w, &pattern{}, int64(n))
}

// pattern is an endless text without a period that a power of two divides, so
// that a lost or doubled block shows.
type pattern struct{ sent int }

func (r *pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "0123456789\n"[(r.sent+i)%11]
	}
	r.sent += len(p)
	return len(p), nil
}

// sendParts flushes each part, and so sends each in a chunk or frame of its
// own.
func sendParts(w http.ResponseWriter, parts ...string) {
	for _, part := range parts {
		if _, err := io.WriteString(w, part); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
	}
}

func trailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "X-Check")
	sendParts(w, "with trailers")
	w.Header().Set("X-Check", "done")
}

func hints(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Link", "</style.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Del("Link")
	sendParts(w, "after the hints")
}

func early(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Connection", "close")
	http.Error(w, "too large", http.StatusRequestEntityTooLarge)
}

func sse(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range number(r.FormValue("n"), 3) {
		sendParts(w, fmt.Sprintf("event: tick\nid: %d\ndata: {\"n\":%d}\n\n", i, i))
	}
}

func ndjson(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	for i := range number(r.FormValue("n"), 3) {
		sendParts(w, fmt.Sprintf("{\"n\":%d}\n", i))
	}
}

func slow(w http.ResponseWriter, r *http.Request) {
	wait(r, r.FormValue("head"))
	sendParts(w, "first half, ")
	wait(r, r.FormValue("body"))
	sendParts(w, "second half")
}

func wait(r *http.Request, text string) {
	pause, err := time.ParseDuration(text)
	if err != nil {
		return
	}
	select {
	case <-time.After(pause):
	case <-r.Context().Done():
	}
}

// takeOver plays steps on the connection under an HTTP/1 answer; over HTTP/2,
// which has none, it aborts the stream.
func takeOver(w http.ResponseWriter, steps ...Step) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = Play(tcp, steps...)
	}
}

// upgrade switches to the protocol that was asked for and echoes bytes; a
// WebSocket client gets the handshake's proof and its own frames back.
func upgrade(w http.ResponseWriter, r *http.Request) {
	protocol := r.Header.Get("Upgrade")
	if protocol == "" {
		w.Header().Set("Upgrade", "echo, websocket")
		w.WriteHeader(http.StatusUpgradeRequired)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	proof := ""
	if strings.EqualFold(protocol, "websocket") {
		proof = "Sec-WebSocket-Accept: " + websocketAccept(r.Header.Get("Sec-WebSocket-Key")) + "\r\n"
	}
	_ = conn.SetDeadline(time.Time{})
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s\r\n", protocol, proof)
	echoUpgraded(conn, buffered.Reader)
}

// websocketAccept is RFC 6455, section 4.2.2, step 5.4.
func websocketAccept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// echoUpgraded echoes first what came together with the upgrade.
func echoUpgraded(conn net.Conn, buffered *bufio.Reader) {
	_, _ = io.Copy(conn, buffered)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}
