package soak

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// The fields with which a caller tells the upstream what to do.
const (
	idField    = "X-Id"
	faultField = "X-Fault" // a fault's number and the byte
)

// pattern is an endless text of a seed: byte i tells where it is, so that a
// lost, doubled or foreign block shows.
type pattern struct {
	seed uint64
	at   int
}

func (p *pattern) Read(b []byte) (int, error) {
	var word [8]byte
	for i := range b {
		if i == 0 || p.at%8 == 0 {
			x := p.seed + uint64(p.at/8)*0x9e3779b97f4a7c15
			x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
			x = (x ^ x>>27) * 0x94d049bb133111eb
			binary.LittleEndian.PutUint64(word[:], x^x>>31)
		}
		b[i] = word[p.at%8]
		p.at++
	}
	return len(b), nil
}

// bytesOf are the first n bytes of a seed's pattern.
func bytesOf(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = (&pattern{seed: seed}).Read(b)
	return b
}

// readPattern reads n bytes of a seed's pattern and then the end. An error that
// is errCorrupt is one that nothing explains.
func readPattern(r io.Reader, seed uint64, n int) error {
	want := &pattern{seed: seed}
	got, expected := make([]byte, 16<<10), make([]byte, 16<<10)
	for total := 0; ; {
		m, err := r.Read(got)
		if total+m > n {
			return fmt.Errorf("%w: %d bytes, want %d", errCorrupt, total+m, n)
		}
		_, _ = want.Read(expected[:m])
		if !bytes.Equal(got[:m], expected[:m]) {
			return fmt.Errorf("%w: wrong bytes after %d of %d", errCorrupt, total, n)
		}
		total += m
		switch {
		case errors.Is(err, io.EOF) && total < n:
			return fmt.Errorf("%w after %d of %d bytes", errCut, total, n)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("after %d of %d bytes: %w", total, n, err)
		}
	}
}

// errCorrupt is of what no fault explains: wrong bytes, or an end that looks
// whole and is not.
var (
	errCorrupt = errors.New("corrupt")
	errCut     = fmt.Errorf("%w: a clean end", errCorrupt)
)

// tcpKey finds the connection of a request.
type tcpKey struct{}

// startWeb runs the upstream of HTTP/1.1 and HTTP/2:
//
//	/blob?seed=S&n=N  N bytes of the pattern; chunked=1 without a length
//	/sum              the length and the checksum of the request's body
//	/echo             the request's body as it comes, and its trailers
//	/json, /reject    the request's body, and what rules added to its head
//	/breaker          200, or a 500 that is asked for
//	/upgrade          101, then echoes bytes
func startWeb(t *testing.T, r *rig) string {
	l := testbed.Loopback(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/blob", blob)
	mux.HandleFunc("/sum", sum)
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/json", echoJSON)
	mux.HandleFunc("/reject", echoJSON)
	mux.HandleFunc("/breaker", func(w http.ResponseWriter, r *http.Request) {
		// Go's server would end the connection, and not say so, where an empty body
		// in chunks was not read: every proxy's caller can then run into the end.
		_, _ = io.Copy(io.Discard, r.Body)
		status, _ := strconv.Atoi(r.FormValue("status"))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "asked for")
	})
	mux.HandleFunc("/upgrade", upgrade)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Protocols: protocols, ErrorLog: log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, tcpKey{}, c) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if id, err := strconv.ParseUint(req.Header.Get(idField), 10, 64); err == nil {
				r.asked(id)
			}
			_ = http.NewResponseController(w).EnableFullDuplex()
			f, at := faultOf(req)
			if f == upstreamResets {
				breakOff(req, f)
			}
			mux.ServeHTTP(&faulty{ResponseWriter: w, req: req, fault: f, left: at}, req)
		}),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return l.Addr().String()
}

func faultOf(r *http.Request) (fault, int) {
	var f, at int
	_, _ = fmt.Sscan(r.Header.Get(faultField), &f, &at)
	return fault(f), at
}

// breakOff ends a request's connection, or in HTTP/2 its stream.
func breakOff(r *http.Request, f fault) {
	if c, ok := r.Context().Value(tcpKey{}).(*net.TCPConn); ok && r.ProtoMajor == 1 {
		if f == upstreamEnds {
			_ = c.CloseWrite()
		} else {
			_ = testbed.Reset(c)
		}
	}
	panic(http.ErrAbortHandler)
}

// faulty is an answer that is broken off after some bytes of its body.
type faulty struct {
	http.ResponseWriter
	req   *http.Request
	fault fault
	left  int
}

func (f *faulty) Unwrap() http.ResponseWriter { return f.ResponseWriter }

func (f *faulty) Write(b []byte) (int, error) {
	if f.fault != upstreamCuts && f.fault != upstreamEnds {
		return f.ResponseWriter.Write(b)
	}
	if len(b) <= f.left {
		f.left -= len(b)
		return f.ResponseWriter.Write(b)
	}
	_, _ = f.ResponseWriter.Write(b[:f.left])
	_ = http.NewResponseController(f.ResponseWriter).Flush()
	breakOff(f.req, f.fault)
	return 0, nil
}

func blob(w http.ResponseWriter, r *http.Request) {
	seed, _ := strconv.ParseUint(r.FormValue("seed"), 10, 64)
	n, _ := strconv.Atoi(r.FormValue("n"))
	w.Header().Set("Content-Type", "application/octet-stream")
	if r.FormValue("chunked") == "" {
		w.Header().Set("Content-Length", strconv.Itoa(n))
	}
	_, _ = io.Copy(struct{ io.Writer }{w}, io.LimitReader(&pattern{seed: seed}, int64(n)))
}

func sum(w http.ResponseWriter, r *http.Request) {
	h := crc32.NewIEEE()
	n, err := io.Copy(h, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = fmt.Fprintf(w, "%d %08x", n, h.Sum32())
}

func echo(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	if len(r.Trailer) > 0 {
		h.Set("Trailer", "X-Sum")
	}
	if _, err := io.Copy(struct{ io.Writer }{w}, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	h.Set("X-Sum", r.Trailer.Get("X-Sum"))
}

func echoJSON(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Saw", r.Header.Get("X-Set"))
	_, _ = w.Write(body)
}

func upgrade(w http.ResponseWriter, r *http.Request) {
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+strings.ToLower(r.Header.Get("Upgrade"))+"\r\n\r\n")
	f, at := faultOf(r)
	echoBytes(c.(*net.TCPConn), buffered.Reader, f, at)
}

// echoBytes sends back what it reads, and breaks off after some of it.
func echoBytes(c *net.TCPConn, r io.Reader, f fault, at int) {
	if f == upstreamCuts || f == upstreamEnds {
		_, _ = io.CopyN(c, r, int64(at))
		if f == upstreamCuts {
			_ = testbed.Reset(c)
		}
		return
	}
	_, _ = io.Copy(c, r)
	_ = c.CloseWrite()
}
