package testbed

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// RawEcho is an HTTP/1 server on bare TCP that answers each request with the
// very bytes it received as the body, so that a test sees header case, order
// and spacing, chunk borders and trailers. It keeps the connection alive.
func RawEcho(t testing.TB, listener *net.TCPListener) string {
	t.Helper()
	ServeConns(t, listener, func(conn *net.TCPConn) {
		for {
			request, err := ReadRawRequest(conn)
			if err != nil {
				return
			}
			head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", len(request))
			if _, err := conn.Write(append([]byte(head), request...)); err != nil {
				return
			}
		}
	})
	return listener.Addr().String()
}

// ReadRawRequest reads the next HTTP/1 request of conn, body and trailers
// included, and returns its bytes as they came. It consumes nothing after it.
func ReadRawRequest(conn io.Reader) ([]byte, error) {
	head, err := ReadUntil(conn, "\r\n\r\n")
	if err != nil {
		return nil, err
	}
	// net/http knows where the body ends; the tee keeps the bytes. One byte a
	// read, so that its buffer never runs ahead into the next request.
	raw := bytes.NewBuffer(head)
	rest := io.TeeReader(oneByteReader{conn}, raw)
	request, err := http.ReadRequest(bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(head)), rest), 16))
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	if _, err := io.Copy(io.Discard, request.Body); err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	return raw.Bytes(), nil
}

type oneByteReader struct{ from io.Reader }

func (r oneByteReader) Read(p []byte) (int, error) {
	if len(p) > 1 {
		p = p[:1]
	}
	return r.from.Read(p)
}

// EchoTCP sends back what it receives and ends its stream when the client ends
// its own.
func EchoTCP(t testing.TB, listener *net.TCPListener) string {
	t.Helper()
	return Script(t, listener, EchoBytes())
}

// Greeting is a server that speaks first, as MySQL, SMTP and NATS do: it sends
// greeting at once and then echoes.
func Greeting(t testing.TB, listener *net.TCPListener, greeting string) string {
	t.Helper()
	return Script(t, listener, Send(greeting), EchoBytes())
}

// Resetting is a server that reads the first byte and resets.
func Resetting(t testing.TB, listener *net.TCPListener) string {
	t.Helper()
	ServeConns(t, listener, func(conn *net.TCPConn) {
		_, _ = io.ReadFull(conn, make([]byte, 1))
		_ = Reset(conn)
	})
	return listener.Addr().String()
}

// Silent is a server that accepts and never says anything.
func Silent(t testing.TB, listener *net.TCPListener) string {
	t.Helper()
	return Script(t, listener, Hold())
}

// Recorder is a bare TCP server that answers nothing and keeps what it
// receives.
type Recorder struct {
	Addr string

	mu    sync.Mutex // guards conns
	conns [][]byte
}

// Record starts a [Recorder].
func Record(t testing.TB, listener *net.TCPListener) *Recorder {
	t.Helper()
	recorder := &Recorder{Addr: listener.Addr().String()}
	ServeConns(t, listener, recorder.serve)
	return recorder
}

func (r *Recorder) serve(conn *net.TCPConn) {
	r.mu.Lock()
	index := len(r.conns)
	r.conns = append(r.conns, nil)
	r.mu.Unlock()
	buffer := make([]byte, 32<<10)
	for {
		n, err := conn.Read(buffer)
		r.mu.Lock()
		r.conns[index] = append(r.conns[index], buffer[:n]...)
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Received returns what each connection has sent so far, in the order in which
// they were accepted.
func (r *Recorder) Received() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	received := make([][]byte, len(r.conns))
	for i, bytesOf := range r.conns {
		received[i] = bytes.Clone(bytesOf)
	}
	return received
}
