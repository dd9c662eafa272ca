package hostile

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// touchableWays are those where Sluice ends HTTP/2 and begins it anew: nothing
// malformed may pass. Where no rule can touch a connection, frames pass as they
// are, and peers judge each other.
var touchableWays = ways[1:]

// rawH2 is an HTTP/2 upstream on frames: reply says what it does for each
// request. It returns the address and how many requests have begun.
func rawH2(t *testing.T, reply func(f *http2.Framer, id uint32) error) (addr string, begun *atomic.Int64) {
	t.Helper()
	begun = new(atomic.Int64)
	listener := testbed.Loopback(t)
	testbed.ServeConns(t, listener, func(conn *net.TCPConn) {
		_ = conn.SetDeadline(time.Now().Add(testbed.Patience))
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		framer := http2.NewFramer(conn, conn)
		framer.AllowIllegalWrites = true
		framer.SetMaxReadFrameSize(1 << 20)
		_ = framer.WriteSettings() // it may be gone already, here and below
		for {
			f, err := framer.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() {
					_ = framer.WriteSettingsAck()
				}
			case *http2.HeadersFrame:
				begun.Add(1)
				if reply(framer, f.StreamID) != nil {
					return
				}
			}
		}
	})
	return listener.Addr().String(), begun
}

// fieldsOf encodes fields given as name, value, name, value.
func fieldsOf(pairs ...string) []byte {
	b := new(blockBuffer)
	e := hpack.NewEncoder(b)
	for i := 0; i < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}) // into memory
	}
	return b.b
}

func head(f *http2.Framer, id uint32, end bool, pairs ...string) error {
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: fieldsOf(pairs...), EndStream: end, EndHeaders: true})
}

func TestMalformedHTTP2RequestsReachNobody(t *testing.T) {
	good := []string{":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/x/"}
	with := func(more ...string) []string { return append(append([]string(nil), good...), more...) }
	cases := []struct {
		name   string
		fields []string
	}{
		{"an upper case name", with("X-Upper", "1")},
		{"a name with a space", with("x y", "1")},
		{"a name with a colon", with("x:y", "1")},
		{"an empty name", with("", "1")},
		{"a name with a NUL", with("x\x00", "1")},
		{"a name with CR LF", with("x\r\ny", "1")},
		{"a name over 127", with("x\xe9", "1")},
		{"a value with CR LF", with("x-a", "1\r\nx-b: 2")},
		{"a value with LF", with("x-a", "1\nx-b: 2")},
		{"a value with CR", with("x-a", "1\rx-b: 2")},
		{"a value with a NUL", with("x-a", "1\x002")},
		{"connection", with("connection", "close")},
		{"transfer-encoding", with("transfer-encoding", "chunked")},
		{"keep-alive", with("keep-alive", "timeout=5")},
		{"proxy-connection", with("proxy-connection", "close")},
		{"upgrade", with("upgrade", "h2c")},
		{"te that is no trailers", with("te", "gzip")},
		{"two lengths", with("content-length", "0", "content-length", "1")},
		{"a length that is none", with("content-length", "+1")},
		{"a length without a body", with("content-length", "5")},
		{"no method", good[2:]},
		{"no path", good[:6]},
		{"no scheme", append(append([]string(nil), good[:2]...), good[4:]...)},
		{"an empty path", []string{":method", "GET", ":scheme", "http", ":authority", "x", ":path", ""}},
		{"a path with a space", []string{":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/x/ HTTP/1.1"}},
		{"a path with CR LF", []string{":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/x/\r\nx: y"}},
		{"a path that is none", []string{":method", "GET", ":scheme", "http", ":authority", "x", ":path", "x"}},
		{"a method with a space", []string{":method", "GET /", ":scheme", "http", ":authority", "x", ":path", "/x/"}},
		{"an empty method", []string{":method", "", ":scheme", "http", ":authority", "x", ":path", "/x/"}},
		{"two methods", with(":method", "POST")},
		{"two paths", with(":path", "/y")},
		{"two authorities", with(":authority", "y")},
		{"another host", with("host", "y")},
		{"two hosts", with("host", "x", "host", "y")},
		{"an authority with a path", []string{":method", "GET", ":scheme", "http", ":authority", "x/y", ":path", "/x/"}},
		{"an authority with a space", []string{":method", "GET", ":scheme", "http", ":authority", "x y", ":path", "/x/"}},
		{"a status", with(":status", "200")},
		{"a pseudo field nobody knows", with(":what", "1")},
		{"a pseudo field after others", append([]string{"x-a", "1"}, good...)},
		{"protocol without CONNECT", with(":protocol", "websocket")},
		{"CONNECT with a path and no protocol", []string{":method", "CONNECT", ":scheme", "http", ":authority", "x:80", ":path", "/x/"}},
	}
	// net/http, which fronts the exchange lane, makes one sense of these and
	// writes them anew.
	lenient := []string{"two lengths", "a length that is none", "a length without a body", "a path with a space", "another host", "two hosts"}
	for _, w := range touchableWays {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			for _, c := range cases {
				if w.lane == proxy.LaneExchange && slices.Contains(lenient, c.name) {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					addr, begun := rawH2(t, func(f *http2.Framer, id uint32) error { return head(f, id, true, ":status", "200") })
					s := start(t, w, addr)
					a := dialH2(t, s.addr)
					a.paths[1] = c.name
					a.frame(func(f *http2.Framer) error { return head(f, 1, true, c.fields...) })
					end := a.await(func(e ending) bool { return e.streams[c.name]+e.well[c.name] > 0 })
					if end.well[c.name] > 0 || !end.over && end.streams[c.name] == 0 {
						t.Errorf("not refused: %v", end)
					}
					if n := begun.Load(); n > 0 {
						t.Errorf("it reached the upstream")
					}
				})
			}
		})
	}
}

// TestGarbageForHTTP2Answers: what an upstream says wrong ends the stream or the
// connection, in time, and is never passed on as a good answer.
func TestGarbageForHTTP2Answers(t *testing.T) {
	ok := func(f *http2.Framer, id uint32) error { return head(f, id, false, ":status", "200") }
	cases := []struct {
		name  string
		reply func(f *http2.Framer, id uint32) error
	}{
		{"no status", func(f *http2.Framer, id uint32) error { return head(f, id, true, "x-a", "1") }},
		{"two statuses", func(f *http2.Framer, id uint32) error { return head(f, id, true, ":status", "200", ":status", "204") }},
		{"a status that is none", func(f *http2.Framer, id uint32) error { return head(f, id, true, ":status", "2xx") }},
		{"a status after fields", func(f *http2.Framer, id uint32) error { return head(f, id, true, "x-a", "1", ":status", "200") }},
		{"a path", func(f *http2.Framer, id uint32) error { return head(f, id, true, ":status", "200", ":path", "/") }},
		{"an upper case name", func(f *http2.Framer, id uint32) error { return head(f, id, true, ":status", "200", "X-A", "1") }},
		{"a value with CR LF", func(f *http2.Framer, id uint32) error {
			return head(f, id, true, ":status", "200", "x-a", "1\r\nx-b: 2")
		}},
		{"connection", func(f *http2.Framer, id uint32) error {
			return head(f, id, true, ":status", "200", "connection", "close")
		}},
		{"an interim answer that ends", func(f *http2.Framer, id uint32) error { return head(f, id, true, ":status", "103") }},
		{"a 101", func(f *http2.Framer, id uint32) error { return head(f, id, true, ":status", "101") }},
		{"data before a head", func(f *http2.Framer, id uint32) error { return f.WriteData(id, true, []byte("hello")) }},
		{"a block that is none", func(f *http2.Framer, id uint32) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true, EndStream: true})
		}},
		{"a head of 100 KiB", func(f *http2.Framer, id uint32) error {
			return head(f, id, true, ":status", "200", "x-a", strings.Repeat("\x7e", 100<<10))
		}},
		{"a head without an end", func(f *http2.Framer, id uint32) error {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: fieldsOf(":status", "200")})
			return f.WriteData(id, true, nil)
		}},
		{"a frame that is too long", func(f *http2.Framer, id uint32) error {
			_ = ok(f, id)
			return f.WriteData(id, true, make([]byte, 1<<20))
		}},
		{"a length that is not kept", func(f *http2.Framer, id uint32) error {
			_ = head(f, id, false, ":status", "200", "content-length", "3")
			return f.WriteData(id, true, []byte("hello"))
		}},
		{"a promise", func(f *http2.Framer, id uint32) error {
			return f.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, BlockFragment: fieldsOf(":method", "GET"), EndHeaders: true})
		}},
		{"another stream's data", func(f *http2.Framer, id uint32) error { return f.WriteData(id+100, true, []byte("hello")) }},
		{"HTTP/1", func(*http2.Framer, uint32) error { return io.EOF }},
		{"a settings frame of five bytes", func(f *http2.Framer, _ uint32) error {
			return f.WriteRawFrame(http2.FrameSettings, 0, 0, []byte("12345"))
		}},
		{"a window of zero", func(f *http2.Framer, _ uint32) error { return f.WriteWindowUpdate(0, 0) }},
		{"a window that overflows", func(f *http2.Framer, _ uint32) error {
			_ = f.WriteWindowUpdate(0, 1<<31-1)
			return f.WriteWindowUpdate(0, 1<<31-1)
		}},
		{"trailers that do not end", func(f *http2.Framer, id uint32) error {
			_ = ok(f, id)
			return head(f, id, false, "x-t", "1")
		}},
		{"trailers with a status", func(f *http2.Framer, id uint32) error {
			_ = ok(f, id)
			return head(f, id, true, ":status", "200")
		}},
	}
	lenient := []string{"connection"} // the exchange lane drops it
	for _, w := range touchableWays {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			for _, c := range cases {
				if w.lane == proxy.LaneExchange && slices.Contains(lenient, c.name) {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					before := heap()
					addr, _ := rawH2(t, c.reply)
					s := start(t, w, addr)
					a := dialH2(t, s.addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
					a.headers(1, true, "/x/")
					end := a.await(func(e ending) bool { return e.streams["/x/"]+e.ends["/x/"] > 0 })
					if end.ends["/x/"] > 0 && end.streams["/x/"] == 0 || !end.over && end.streams["/x/"] == 0 {
						t.Errorf("not an abort: %v, ended well: %v", end, end.ends)
					}
					bounded(t, before)
				})
			}
		})
	}
}

// TestUpstreamThatKeepsNoWindow: what is sent beyond the window, and read by
// nobody, is not kept.
func TestUpstreamThatKeepsNoWindow(t *testing.T) {
	for _, w := range relayWays {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			before := heap()
			flooded := make(chan struct{}, 1)
			addr, _ := rawH2(t, func(f *http2.Framer, id uint32) error {
				err := head(f, id, false, ":status", "200")
				for i := 0; i < 20_000 && err == nil; i++ {
					err = f.WriteData(id, false, make([]byte, 16<<10))
				}
				flooded <- struct{}{}
				return err
			})
			s := start(t, w, addr)
			a := dialH2(t, s.addr)
			a.headers(1, true, "/x/")
			a.flush()
			if w.rule != "" { // else it is the caller's affair
				select {
				case <-flooded:
				case <-time.After(testbed.Patience):
					t.Error("the upstream is not hung up on")
				}
			}
			bounded(t, before)
		})
	}
}
