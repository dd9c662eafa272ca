package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// bodies are rules that have a body pass in different ways: inline, by an
// exchange as it comes, and read whole.
var bodies = map[string]string{
	"inline": elsewhere,
	"passed": "route: r\nmatch: {http: \"/x\"}\nresponse: [{head: '.headers[\"x-r\"] = \"1\"'}]\n",
	"read":   "route: r\nmatch: {http: \"/x\"}\nrequest: [{jq: '.n += 1'}]\nresponse: [{jq: '.n += 1'}]\n",
}

func TestRuledBodiesLargerThanTheWindows(t *testing.T) {
	for way, rule := range bodies {
		t.Run(way, func(t *testing.T) {
			testbed.Leaks(t)
			upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				io.Copy(w, r.Body)
			})
			s := startSidecar(t, upstream, []string{rule}, inLane(proxy.LaneRelay))
			c := client(t, true)
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					pad := strings.Repeat("0123456789", 100_000)
					body := fmt.Sprintf(`{"n":1,"pad":%q}`, pad)
					resp, err := c.Post("http://"+s.addr+"/x", "application/json", strings.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					defer resp.Body.Close()
					got, err := io.ReadAll(resp.Body)
					want := body
					if way == "read" {
						want = strings.Replace(body, `"n":1`, `"n":3`, 1)
					}
					if err != nil || string(got) != want {
						t.Errorf("%d of %d bytes came back, %v", len(got), len(want), err)
					}
				})
			}
			all.Wait()
		})
	}
}

// A stream whose caller does not read, and one whose upstream does not, hold
// nobody but themselves.
func TestRuledStalledStreamsHoldNobody(t *testing.T) {
	for way, rule := range bodies {
		if way == "read" {
			continue
		}
		t.Run(way, func(t *testing.T) {
			talk := startTalk(t, []string{rule})
			talk.caller.head(1, true, getFields("/x")...) // will not be read
			up := talk.upstream()
			up.next()
			talk.caller.head(3, false, postFields("/x")...)
			up.next()
			up.head(1, false, ":status", "200")
			for range 4 { // all of the stream's window at the caller, which grants no more
				up.WriteData(1, false, make([]byte, 16000))
			}
			if got := talk.caller.next(); !strings.HasPrefix(got, "HEADERS 1 :status=200") {
				t.Fatal(got)
			}
			for n := 0; n < 64000; {
				n += len(talk.caller.next()) - len("DATA 1 ")
			}
			for range 2 { // and ours
				up.WriteData(1, false, make([]byte, 15000))
			}
			for range 4 { // the same the other way
				talk.caller.WriteData(3, false, make([]byte, 16000))
			}
			for n := 0; n < 64000; {
				n += len(up.next()) - len("DATA 3 ")
			}
			for range 2 {
				talk.caller.WriteData(3, false, make([]byte, 15000))
			}
			for i := range uint32(20) {
				id := 5 + 2*i
				talk.caller.head(id, false, postFields("/x")...)
				talk.caller.WriteData(id, true, []byte("ping"))
				for _, want := range []string{fmt.Sprintf("HEADERS %d ", id), fmt.Sprintf("DATA %d end ping", id)} {
					got := up.next()
					for strings.HasPrefix(got, "DATA 3 ") { // what its window takes yet
						got = up.next()
					}
					if !strings.HasPrefix(got, want) {
						t.Fatal(got)
					}
				}
				up.head(id, false, ":status", "200")
				up.WriteData(id, true, []byte("pong"))
				for {
					got := talk.caller.next()
					if got == fmt.Sprintf("DATA %d end pong", id) {
						break
					}
					if strings.HasPrefix(got, "error") {
						t.Fatal(got)
					}
				}
			}
			talk.caller.WriteRSTStream(1, http2.ErrCodeCancel)
			talk.caller.WriteRSTStream(3, http2.ErrCodeCancel)
		})
	}
}

// Peers that read nothing at all cost a bounded amount, and no goroutine.
func TestRuledPeersThatNeverRead(t *testing.T) {
	testbed.Leaks(t)
	l := testbed.Loopback(t)
	over := make(chan struct{})
	testbed.ServeConns(t, l, func(c *net.TCPConn) {
		f := http2.NewFramer(c, io.LimitReader(c, 0))
		f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		f.WriteWindowUpdate(0, 1<<30)
		<-over
	})
	t.Cleanup(func() { close(over) })
	s := startSidecar(t, l.Addr().String(), []string{elsewhere}, inLane(proxy.LaneRelay))
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 8 {
		c := testbed.Dial(t, s.addr)
		io.WriteString(c, http2.ClientPreface)
		f := http2.NewFramer(c, c)
		f.WriteSettings()
		for i := range uint32(100) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: h2Fields(postFields("/")...), EndHeaders: true})
		}
		c.SetWriteDeadline(time.Now().Add(2 * time.Second))
		go io.Copy(io.Discard, c) // what is granted is used up whatever it is
		for n := 0; n < 3<<20; n += 16000 {
			if f.WriteData(uint32(n/16000%100)*2+1, false, make([]byte, 16000)) != nil {
				break
			}
		}
		for range 20000 { // and the answers to these are not bounded by windows
			if f.WritePing(false, [8]byte{}) != nil {
				break
			}
		}
	}
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 8*6<<20 {
		t.Errorf("%d MiB are in use for 8 connections", grown>>20)
	}
}

func TestRuledSlowHeadIsBounded(t *testing.T) {
	testbed.Leaks(t)
	upstream := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	s := startSidecar(t, upstream, []string{elsewhere}, inLane(proxy.LaneRelay), func(c *proxy.Config) { c.HeadTimeout = 200 * time.Millisecond })
	for name, part := range map[string]func(*http2.Framer, net.Conn){
		"part of a frame": func(_ *http2.Framer, c net.Conn) { c.Write([]byte{0, 0, 9, 1, 4, 0, 0, 0, 1, 0x82}) },
		"part of a block": func(f *http2.Framer, _ net.Conn) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
		},
		"no settings": nil,
	} {
		c := testbed.Dial(t, s.addr)
		io.WriteString(c, http2.ClientPreface)
		f := http2.NewFramer(c, c)
		if part == nil {
			c.Write([]byte{0, 0})
		} else {
			f.WriteSettings()
			part(f, c)
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		for {
			fr, err := f.ReadFrame()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			if g, ok := fr.(*http2.GoAwayFrame); ok {
				if g.ErrCode != http2.ErrCodeEnhanceYourCalm {
					t.Errorf("%s: %v %s", name, g.ErrCode, g.DebugData())
				}
				break
			}
		}
	}
}

func TestRuledFloodsEndTheConnection(t *testing.T) {
	for name, each := range map[string]func(*http2.Framer, uint32) error{
		"rapid reset": func(f *http2.Framer, i uint32) error {
			if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: h2Fields(getFields("/")...), EndHeaders: true, EndStream: true}); err != nil {
				return err
			}
			return f.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
		},
		"padding": func(f *http2.Framer, i uint32) error {
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h2Fields(postFields("/")...), EndHeaders: true})
			}
			return f.WriteDataPadded(1, false, nil, make([]byte, 2))
		},
	} {
		t.Run(name, func(t *testing.T) { flood(t, each) })
	}
}

// flood has a caller write 100,000 times, and wants it sent away.
func flood(t *testing.T, each func(*http2.Framer, uint32) error) {
	talk := startTalk(t, []string{elsewhere})
	flood := http2.NewFramer(talk.caller.conn, nil)
	go func() {
		for i := range uint32(100_000) {
			if each(flood, i) != nil {
				return
			}
		}
	}()
	e := newRawEnd(t, "caller", talk.caller.conn)
	e.Framer = http2.NewFramer(io.Discard, talk.caller.conn) // the other writes
	for {
		got := e.next()
		if strings.HasPrefix(got, "GOAWAY") {
			if !strings.Contains(got, "ENHANCE_YOUR_CALM") {
				t.Errorf("got %s", got)
			}
			return
		}
		if got == "EOF" || strings.HasPrefix(got, "error") {
			t.Fatal(got)
		}
	}
}

func TestRuledExtendedConnectPasses(t *testing.T) {
	for way, rule := range bodies {
		if way == "read" {
			continue
		}
		t.Run(way, func(t *testing.T) {
			talk := startTalk(t, []string{rule}, http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
			talk.caller.head(1, false, ":method", "CONNECT", ":protocol", "x-own", ":scheme", "http", ":path", "/x", ":authority", "a.test", "sec-websocket-version", "13")
			up := talk.upstream()
			up.expect("HEADERS 1 :method=CONNECT :protocol=x-own :scheme=http :path=/x :authority=a.test sec-websocket-version=13")
			up.head(1, false, ":status", "200")
			talk.caller.next()
			for range 3 {
				talk.caller.WriteData(1, false, []byte("to"))
				up.expect("DATA 1 to")
				up.WriteData(1, false, []byte("fro"))
				talk.caller.expect("DATA 1 fro")
			}
			talk.caller.WriteData(1, true, nil)
			up.expect("DATA 1 end ")
			up.WriteData(1, true, []byte("end"))
			talk.caller.expect("DATA 1 end end")
		})
	}
}

func TestRuledExpectContinueOfAStepThatReads(t *testing.T) {
	testbed.Leaks(t)
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	s := startSidecar(t, upstream, []string{bodies["read"]}, inLane(proxy.LaneRelay))
	c := client(t, true)
	c.Transport.(*http.Transport).ExpectContinueTimeout = 5 * time.Second
	req, _ := http.NewRequest("POST", "http://"+s.addr+"/x", strings.NewReader(`{"n":1}`))
	req.Header.Set("Expect", "100-continue")
	req.Header.Set("Content-Type", "application/json")
	began := time.Now()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, _ := io.ReadAll(resp.Body); string(got) != `{"n":2}` || time.Since(began) > 4*time.Second {
		t.Errorf("got %q after %v", got, time.Since(began))
	}
}

func TestRuledUpstreamThatIsRefused(t *testing.T) {
	testbed.Leaks(t)
	rule := "route: r\nmatch: {http: \"/x\"}\nrequest: [{head: '.headers[\"x-r\"] = \"1\"'}]\nupstream: {breaker: {trip: '.failures >= 100', open: 1s, fallback: {status: 200, body: {ok: true}}}}\n"
	s := startSidecar(t, testbed.Refused(t), []string{rule}, inLane(proxy.LaneRelay))
	c := client(t, true)
	for range 3 {
		resp, err := c.Get("http://" + s.addr + "/x")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 502 || resp.Header.Get("X-Sluice-Error") != "r/upstream; refused" {
			t.Errorf("with a route: %d %v", resp.StatusCode, resp.Header)
		}
	}
	if n := s.Conns(); n != 1 {
		t.Errorf("%d connections, want the one", n)
	}
	if resp, err := c.Get("http://" + s.addr + "/other"); err == nil {
		t.Errorf("without a route: %v, want a reset", resp.Status)
	}
	if r := s.record("/other"); r.Error == nil || r.Error.Reason != "refused" || r.Attempts != 0 {
		t.Errorf("record: %+v %v", r, r.Error)
	}
}

// Whatever the upstream's connection ends with while streams are open, their
// callers do not take what they have for all.
func TestRuledUpstreamThatGoes(t *testing.T) {
	for _, reset := range []bool{false, true} {
		t.Run(fmt.Sprintf("reset=%v", reset), func(t *testing.T) {
			talk := startTalk(t, []string{bodies["passed"]})
			talk.caller.head(1, true, getFields("/inline")...)
			talk.caller.head(3, true, getFields("/x")...)
			up := talk.upstream()
			first, second := up.next(), up.next()
			if strings.HasPrefix(second, "HEADERS 1") || strings.Contains(first, "/x") {
				up.head(3, false, ":status", "200")
			} else {
				up.head(1, false, ":status", "200")
			}
			if got := talk.caller.next(); !strings.Contains(got, ":status=200") {
				t.Fatal(got)
			}
			if reset {
				_ = testbed.Reset(up.conn)
			} else {
				up.conn.Close()
			}
			var ends []string
			for {
				got := talk.caller.next()
				ends = append(ends, got)
				if got == "EOF" || strings.HasPrefix(got, "error") {
					break
				}
			}
			text := strings.Join(ends, "\n")
			if strings.Contains(text, "timeout") || !strings.Contains(text, "RST_STREAM 1 INTERNAL_ERROR") || !strings.Contains(text, "HEADERS 3 :status=502") {
				t.Errorf("got %q", ends)
			}
		})
	}
}

// A hundred callers at once, half of whom hang up, leave nothing behind.
func TestRuledCancelledCallsLeaveNothing(t *testing.T) {
	testbed.Leaks(t)
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, io.LimitReader(r.Body, 10))
		http.NewResponseController(w).Flush()
		if r.URL.Query().Has("hang") {
			<-r.Context().Done()
			return
		}
		io.Copy(w, r.Body)
	})
	s := startSidecar(t, upstream, []string{bodies["passed"]}, inLane(proxy.LaneRelay))
	c := client(t, true)
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			url := "http://" + s.addr + []string{"/x", "/inline"}[i%2]
			if i%4 > 1 {
				url += "?hang"
			}
			req, _ := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(make([]byte, 100_000)))
			resp, err := c.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			if i%4 > 1 {
				cancel()
			} else if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != 100_000-10 {
				t.Errorf("got %d bytes, %v", n, err)
			}
			resp.Body.Close()
		})
	}
	all.Wait()
}
