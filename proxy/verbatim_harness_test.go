package proxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
	wire "github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// link is a caller and an upstream that speak HTTP/2 byte by byte, with a
// sidecar between them whose rules touch nothing.
type link struct {
	*sidecar
	listener           *net.TCPListener // of the upstream
	caller, upstream   *net.TCPConn
	fromCaller, fromUp *hpackOut
}

// newLink connects the two; both have read the other's preface and settings.
func newLink(t *testing.T, options ...option) *link {
	t.Helper()
	l := testbed.Loopback(t)
	s := startSidecar(t, l.Addr().String(), nil, append([]option{inLane(proxy.LaneRelay)}, options...)...)
	caller := testbed.Dial(t, s.addr)
	caller.Write(wire.AppendSettings([]byte(wire.Preface)))
	l.SetDeadline(time.Now().Add(10 * time.Second))
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	upstream := nc.(*net.TCPConn)
	t.Cleanup(func() { upstream.Close() })
	for _, c := range []*net.TCPConn{caller, upstream} {
		c.SetDeadline(time.Now().Add(20 * time.Second))
	}
	upstream.Write(wire.AppendSettings(nil))
	k := &link{sidecar: s, listener: l, caller: caller, upstream: upstream, fromCaller: newHpackOut(), fromUp: newHpackOut()}
	expectBytes(t, upstream, wire.AppendSettings([]byte(wire.Preface)))
	expectBytes(t, caller, wire.AppendSettings(nil))
	return k
}

// hpackOut encodes the heads of one direction.
type hpackOut struct {
	buf bytes.Buffer
	enc *hpack.Encoder
}

func newHpackOut() *hpackOut {
	o := new(hpackOut)
	o.enc = hpack.NewEncoder(&o.buf)
	return o
}

// block encodes name, value, name, value.
func (o *hpackOut) block(fields ...string) []byte {
	o.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		o.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(o.buf.Bytes())
}

// head is a HEADERS frame.
func (o *hpackOut) head(stream uint32, flags wire.Flags, fields ...string) []byte {
	return frame(wire.FrameHeaders, flags|wire.FlagEndHeaders, stream, o.block(fields...))
}

func (o *hpackOut) get(stream uint32, path string) []byte {
	return o.head(stream, wire.FlagEndStream, ":method", "GET", ":scheme", "http", ":authority", "shop.example", ":path", path)
}

func frame(kind wire.FrameType, flags wire.Flags, stream uint32, payload []byte) []byte {
	b := wire.AppendHeader(nil, wire.Header{Length: uint32(len(payload)), Type: kind, Flags: flags, Stream: stream})
	return append(b, payload...)
}

func expectBytes(t *testing.T, c io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c, got)
	if err != nil {
		t.Fatalf("got %d of %d bytes: %v", n, len(want), err)
	}
	if !bytes.Equal(got, want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		t.Fatalf("byte %d of %d differs: got %.40x, want %.40x", i, len(want), got[i:], want[i:])
	}
}

// pass sends b and awaits it on the other side.
func pass(t *testing.T, from, to *net.TCPConn, b []byte) {
	t.Helper()
	if _, err := from.Write(b); err != nil {
		t.Fatal(err)
	}
	expectBytes(t, to, b)
}

// lastWord reads frames until the end of the connection, closes it, and returns
// the last GOAWAY's code.
func lastWord(t *testing.T, c *net.TCPConn) wire.ErrCode {
	t.Helper()
	defer c.Close()
	b, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection did not end")
		return 0xffff
	}
	code := wire.ErrCode(0xffff)
	for len(b) > 0 {
		f, n := wire.Parse(b)
		if n == 0 || n > len(b) {
			t.Errorf("half a frame at the end: %.20x", b)
			break
		}
		if f.Type == wire.FrameGoAway {
			code = f.ErrCode()
		}
		b = b[n:]
	}
	return code
}

// closed waits for the connection's end.
func (k *link) closed() *proxy.ConnClosed {
	k.t.Helper()
	return await(k.sidecar, func(*proxy.ConnClosed) bool { return true })
}
