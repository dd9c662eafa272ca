package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// h2Server serves each connection with a framer of its own after the preface
// and the settings. serve returns to end the connection.
func h2Server(t *testing.T, settings []http2.Setting, serve func(c *net.TCPConn, f *http2.Framer)) string {
	t.Helper()
	l := testbed.Loopback(t)
	testbed.ServeConns(t, l, func(c *net.TCPConn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f := http2.NewFramer(c, c)
		f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		f.WriteSettings(settings...)
		serve(c, f)
	})
	return l.Addr().String()
}

// h2Fields encodes name, value, name, value.
func h2Fields(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

func h2Answer(f *http2.Framer, stream uint32) {
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: h2Fields(":status", "200"), EndHeaders: true, EndStream: true})
}

func TestManyStreamsAtOnce(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), testbed.Shapes()), nil)
	c := testbed.Client(t, true, s.addr)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			n := 1 + i*37
			resp, err := c.Get(fmt.Sprintf("http://x/bytes/%d", n))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got, err := io.Copy(io.Discard, resp.Body); err != nil || got != int64(n) || resp.ContentLength != int64(n) {
				t.Errorf("got %d of %d bytes, %v", got, n, err)
			}
		})
	}
	all.Wait()
}

func TestHTTP2ShapesPass(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), testbed.Shapes()), nil)
	c := testbed.Client(t, true, s.addr)
	if r := testbed.Do(t, c, testbed.Request(t, "HEAD", "http://x/bytes/1234", "")); r.ContentLength != 1234 || r.Text != "" {
		t.Errorf("HEAD: %d %q", r.ContentLength, r.Text)
	}
	for _, status := range []int{204, 304, 404} {
		r := testbed.Get(t, c, fmt.Sprintf("http://x/status/%d", status))
		if r.StatusCode != status || r.Text != "" {
			t.Errorf("%d: got %d %q %q", status, r.StatusCode, r.Header, r.Text)
		}
	}
	if r := testbed.Get(t, c, "http://x/trailers"); r.Trailer.Get("X-Check") != "done" || r.Err != nil {
		t.Errorf("trailers: %q %v", r.Trailer, r.Err)
	}
	hints := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code == 103 && h.Get("Link") != "" && len(h) == 1 {
			hints++
		}
		return nil
	}})
	if r := testbed.Do(t, c, testbed.Request(t, "GET", "http://x/hints", "").WithContext(ctx)); hints != 1 || r.Header.Get("Link") != "" {
		t.Errorf("hints: %d, %q", hints, r.Header)
	}
}

func TestHTTP2AddsNothing(t *testing.T) {
	testbed.Leaks(t)
	got := make(chan []hpack.HeaderField, 1)
	upstream := h2Server(t, nil, func(c *net.TCPConn, f *http2.Framer) {
		for {
			fr, err := f.ReadFrame()
			if err != nil {
				return
			}
			if h, ok := fr.(*http2.MetaHeadersFrame); ok {
				got <- h.Fields
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: h.StreamID, BlockFragment: h2Fields(":status", "200", "x-a", "1", "x-a", "2", "x-e", ""), EndHeaders: true, EndStream: true})
			}
		}
	})
	s := startSidecar(t, upstream, nil)
	c := testbed.Dial(t, s.addr)
	io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.WriteSettings()
	sent := []string{":method", "GET", ":scheme", "http", ":authority", "Shop.example:80", ":path", "/a%2f//b?x;y&", "x-a", "1", "x-a", "2", "x-e", "", "te", "trailers", "cookie", "a=1", "cookie", "b=2"}
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h2Fields(sent...), EndHeaders: true, EndStream: true})
	arrived := map[string][]string{}
	for _, h := range <-got {
		arrived[h.Name] = append(arrived[h.Name], h.Value)
	}
	want := map[string][]string{}
	for i := 0; i < len(sent); i += 2 {
		want[sent[i]] = append(want[sent[i]], sent[i+1])
	}
	if fmt.Sprint(arrived) != fmt.Sprint(want) {
		t.Errorf("at the upstream: got %q\nwant %q", arrived, want)
	}
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := fr.(*http2.MetaHeadersFrame); ok {
			text := fmt.Sprint(h.Fields)
			if len(h.Fields) != 4 || !h.StreamEnded() {
				t.Errorf("at the caller: %s, end %v", text, h.StreamEnded())
			}
			break
		}
	}
}

func TestTrailersWithoutData(t *testing.T) {
	testbed.Leaks(t)
	upstream := h2Server(t, nil, func(c *net.TCPConn, f *http2.Framer) {
		for {
			fr, err := f.ReadFrame()
			if err != nil {
				return
			}
			if h, ok := fr.(*http2.MetaHeadersFrame); ok {
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: h.StreamID, BlockFragment: h2Fields(":status", "200", "x-h", "1"), EndHeaders: true})
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: h.StreamID, BlockFragment: h2Fields("x-t", "2"), EndHeaders: true, EndStream: true})
			}
		}
	})
	s := startSidecar(t, upstream, nil)
	r := testbed.Get(t, testbed.Client(t, true, s.addr), "http://x/")
	if r.Header.Get("X-H") != "1" || r.Header.Get("X-T") != "" || r.Trailer.Get("X-T") != "2" || r.Err != nil {
		t.Errorf("head %q, trailer %q, %v", r.Header, r.Trailer, r.Err)
	}
}

func TestCallerResetsItsStream(t *testing.T) {
	testbed.Leaks(t)
	began, ended := make(chan struct{}), make(chan struct{})
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/x" {
			http.NewResponseController(w).Flush()
			close(began)
			<-r.Context().Done()
			close(ended)
		}
	})
	s := startSidecar(t, upstream, []string{breakerOnX})
	c := client(t, true)
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+s.addr+"/x", nil)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	<-began
	cancel()
	resp.Body.Close()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the upstream's stream goes on")
	}
	if r := s.record("/x"); r.Error == nil || r.Error.Origin != proxy.OriginCaller {
		t.Errorf("record: %v", r.Error)
	}
	if b := s.Breakers(); len(b) != 1 || b[0].Counts.Requests != 0 {
		t.Errorf("breakers: %+v", b)
	}
	if resp, err := c.Get("http://" + s.addr + "/next"); err != nil || resp.StatusCode != 200 {
		t.Errorf("the next request: %v", err)
	}
	if n := s.Conns(); n != 1 {
		t.Errorf("%d connections, want the one", n)
	}
}

func TestUpstreamResetsAStream(t *testing.T) {
	testbed.Leaks(t)
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/late":
			io.WriteString(w, "some")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/early", "/x":
			panic(http.ErrAbortHandler)
		}
	})
	s := startSidecar(t, upstream, []string{breakerOnX})
	c := client(t, true)
	var reset http2.StreamError
	if _, err := c.Get("http://" + s.addr + "/early"); err == nil || !strings.Contains(err.Error(), "stream error") {
		t.Errorf("early: %v %v", err, errors.As(err, &reset))
	}
	resp, err := c.Get("http://" + s.addr + "/late")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err == nil || string(b) != "some" {
		t.Errorf("late: %q, %v", b, err)
	}
	resp, err = c.Get("http://" + s.addr + "/x")
	if err != nil || resp.StatusCode != 502 {
		t.Errorf("with a route: %v, %v", resp, err)
	}
	if resp, err := c.Get("http://" + s.addr + "/next"); err != nil || resp.StatusCode != 200 {
		t.Errorf("the next: %v", err)
	}
	if n := s.Conns(); n != 1 {
		t.Errorf("%d connections, want the one", n)
	}
}

func TestUpstreamSaysGoAway(t *testing.T) {
	testbed.Leaks(t)
	var conns atomic.Int64
	upstream := h2Server(t, nil, func(c *net.TCPConn, f *http2.Framer) {
		conns.Add(1)
		for {
			fr, err := f.ReadFrame()
			if err != nil {
				return
			}
			if h, ok := fr.(*http2.MetaHeadersFrame); ok {
				f.WriteGoAway(h.StreamID, http2.ErrCodeNo, nil)
				h2Answer(f, h.StreamID)
			}
		}
	})
	s := startSidecar(t, upstream, nil, inLane(proxy.LaneExchange)) // the relay lane passes the GOAWAY on
	c := testbed.Client(t, true, s.addr)
	for range 5 {
		if r := testbed.Get(t, c, "http://x/"); r.StatusCode != 200 {
			t.Errorf("got %d", r.StatusCode)
		}
	}
	if n := conns.Load(); n != 5 {
		t.Errorf("%d upstream connections, want 5", n)
	}
	if n := s.Conns(); n != 1 {
		t.Errorf("%d connections of callers, want 1: its own did not go", n)
	}
}

// readStreams tells the streams that f's peer opens, until it ends or over.
func readStreams(f *http2.Framer, streams chan<- uint32, over <-chan struct{}) {
	defer close(streams)
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			return
		}
		head, ok := fr.(*http2.MetaHeadersFrame)
		if !ok {
			continue
		}
		select {
		case streams <- head.StreamID:
		case <-over:
			return
		}
	}
}

func TestMoreStreamsThanTheUpstreamAllows(t *testing.T) {
	testbed.Leaks(t)
	var conns atomic.Int64
	upstream := h2Server(t, []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 3}}, func(c *net.TCPConn, f *http2.Framer) {
		conns.Add(1)
		streams, over := make(chan uint32), make(chan struct{})
		defer close(over)
		go readStreams(f, streams, over)
		var open []uint32
		for {
			var quiet <-chan time.Time
			if len(open) > 0 {
				quiet = time.After(20 * time.Millisecond)
			}
			select {
			case id, ok := <-streams:
				if !ok {
					return
				}
				open = append(open, id) // more than three before the settings are seen
			case <-quiet: // as many are open as will be: answer them
				for _, id := range open {
					h2Answer(f, id)
				}
				open = nil
			}
		}
	})
	s := startSidecar(t, upstream, nil)
	c := client(t, true)
	get := func() {
		resp, err := c.Get("http://" + s.addr + "/")
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
	}
	var all sync.WaitGroup
	for range 12 {
		all.Go(get)
	}
	all.Wait()
	t.Logf("%d upstream connections", conns.Load())
}

func TestSlowReaderBoundsMemory(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			testbed.Leaks(t)
			const size = 256 << 20
			var written atomic.Int64
			upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				block := make([]byte, 64<<10)
				for range size / len(block) {
					if _, err := w.Write(block); err != nil {
						return
					}
					written.Add(int64(len(block)))
				}
			})
			s := startSidecar(t, upstream, nil)
			resp, err := client(t, h2).Get("http://" + s.addr + "/")
			if err != nil {
				t.Fatal(err)
			}
			io.ReadFull(resp.Body, make([]byte, 1<<20))
			// The upstream comes to a stand: nothing is kept here but windows and buffers.
			last := int64(-1)
			testbed.Eventually(t, 10*time.Second, func() error {
				time.Sleep(50 * time.Millisecond)
				now := written.Load()
				defer func() { last = now }()
				if now != last {
					return fmt.Errorf("%d bytes written", now)
				}
				return nil
			})
			runtime.GC() // what other tests have left
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if last > 40<<20 || m.HeapInuse > 100<<20 {
				t.Errorf("%d bytes written, %d in use, while nobody reads", last, m.HeapInuse)
			}
			resp.Body.Close()
		})
	}
}

func TestLargeBodiesBothWays(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			testbed.Leaks(t)
			s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), testbed.Shapes()), nil)
			body := bytes.Repeat([]byte("0123456789\n"), 2<<20/11*10)
			r := testbed.Do(t, testbed.Client(t, h2, s.addr), testbed.Request(t, "POST", "http://x/continue", string(body)))
			if r.Err != nil || r.Text != string(body) {
				t.Errorf("%d of %d bytes came back: %v", len(r.Text), len(body), r.Err)
			}
		})
	}
}
