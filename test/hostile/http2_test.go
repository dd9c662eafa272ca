package hostile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// attacker is an HTTP/2 client that keeps no rule. Its writes fail quietly once
// the other side has ended: err tells.
type attacker struct {
	conn   *net.TCPConn
	out    *bufio.Writer
	framer *http2.Framer
	block  *hpack.Encoder
	buffer *blockBuffer
	err    error

	reading sync.WaitGroup
	mu      sync.Mutex // guards what follows
	end     ending
	paths   map[uint32]string
}

type blockBuffer struct{ b []byte }

func (b *blockBuffer) Write(p []byte) (int, error) {
	b.b = append(b.b, p...)
	return len(p), nil
}

// ending is what an attacker has heard.
type ending struct {
	over    bool           // the connection ended
	goaway  http2.ErrCode  // of the last GOAWAY, if there was one
	told    bool           // there was a GOAWAY
	streams map[string]int // refused by RST_STREAM or an answer of 400 and more, by path
	well    map[string]int // answered well, by path
	ends    map[string]int // ended by END_STREAM, by path
}

func (e ending) String() string {
	return fmt.Sprintf("over: %v, goaway: %v %v, refused: %v, answered: %v", e.over, e.told, e.goaway, e.streams, e.well)
}

// calm reports whether the connection ended with the word for floods.
func (e ending) calm() bool { return e.over && e.told && e.goaway == http2.ErrCodeEnhanceYourCalm }

// dialH2 opens a connection and says the preface and settings.
func dialH2(t *testing.T, addr string, settings ...http2.Setting) *attacker {
	t.Helper()
	a := mute(t, addr, settings...)
	a.reading.Go(a.read)
	t.Cleanup(func() {
		a.conn.Close()
		a.reading.Wait()
	})
	return a
}

// mute is dialH2 for one that never reads.
func mute(t *testing.T, addr string, settings ...http2.Setting) *attacker {
	t.Helper()
	a := &attacker{conn: testbed.Dial(t, addr), buffer: new(blockBuffer), paths: map[uint32]string{}}
	a.end.streams, a.end.well, a.end.ends = map[string]int{}, map[string]int{}, map[string]int{}
	a.out = bufio.NewWriterSize(a.conn, 64<<10)
	a.framer = http2.NewFramer(a.out, a.conn)
	a.framer.AllowIllegalWrites = true
	a.framer.SetMaxReadFrameSize(1 << 20)
	a.block = hpack.NewEncoder(a.buffer)
	_ = a.conn.SetDeadline(time.Now().Add(2 * testbed.Patience))
	a.out.WriteString(http2.ClientPreface)
	a.frame(func(f *http2.Framer) error { return f.WriteSettings(settings...) })
	a.flush()
	return a
}

// frame writes a frame, sooner or later.
func (a *attacker) frame(write func(*http2.Framer) error) {
	if a.err == nil {
		a.err = write(a.framer)
	}
}

func (a *attacker) flush() {
	if err := a.out.Flush(); a.err == nil {
		a.err = err
	}
}

// headers opens a stream.
func (a *attacker) headers(id uint32, end bool, path string, fields ...hpack.HeaderField) {
	a.mu.Lock()
	a.paths[id] = path
	a.mu.Unlock()
	a.buffer.b = a.buffer.b[:0]
	method := "GET"
	if !end {
		method = "POST"
	}
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: method}, {Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "x"}, {Name: ":path", Value: path},
	}, fields...) {
		_ = a.block.WriteField(f) // into memory
	}
	const size = 16 << 10
	block := a.buffer.b
	first := block[:min(size, len(block))]
	a.frame(func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(first) == len(block)})
	})
	for rest := block[len(first):]; len(rest) > 0; {
		part := rest[:min(size, len(rest))]
		rest = rest[len(part):]
		a.frame(func(f *http2.Framer) error { return f.WriteContinuation(id, len(rest) == 0, part) })
	}
}

func (a *attacker) read() {
	decoder := hpack.NewDecoder(4096, nil)
	for {
		f, err := a.framer.ReadFrame()
		a.mu.Lock()
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			a.end.told, a.end.goaway = true, f.ErrCode
		case *http2.RSTStreamFrame:
			a.end.streams[a.paths[f.StreamID]]++
		case *http2.DataFrame:
			if f.StreamEnded() {
				a.end.ends[a.paths[f.StreamID]]++
			}
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				a.end.ends[a.paths[f.StreamID]]++
			}
			fields, _ := decoder.DecodeFull(f.HeaderBlockFragment())
			for _, field := range fields {
				if field.Name != ":status" {
					continue
				}
				if field.Value >= "400" {
					a.end.streams[a.paths[f.StreamID]]++
				} else {
					a.end.well[a.paths[f.StreamID]]++
				}
			}
		}
		if err != nil {
			a.end.over = !isTimeout(err)
		}
		a.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// await writes what is left, waits until the connection ends or enough was
// heard, at most 3 s, and returns what was heard.
func (a *attacker) await(enough func(ending) bool) ending {
	a.flush()
	deadline := time.Now().Add(3 * time.Second)
	for pause := time.NewTicker(5 * time.Millisecond); ; <-pause.C {
		a.mu.Lock()
		end := a.end
		end.streams, end.well, end.ends = maps.Clone(end.streams), maps.Clone(end.well), maps.Clone(end.ends)
		a.mu.Unlock()
		if end.over || enough != nil && enough(end) || time.Now().After(deadline) {
			pause.Stop()
			return end
		}
	}
}

// counter is an upstream that answers "hello" and counts requests.
type counter struct {
	addr string

	mu    sync.Mutex // guards paths
	paths map[string]int
}

func newCounter(t *testing.T) *counter {
	c := &counter{paths: map[string]int{}}
	c.addr = testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.paths[r.URL.Path]++
		c.mu.Unlock()
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "hello")
	}))
	return c
}

// of is how many requests came for path; for all but those of good callers if
// it is empty.
func (c *counter) of(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if path != "" {
		return c.paths[path]
	}
	n := 0
	for p, count := range c.paths {
		if p != "/x/good" {
			n += count
		}
	}
	return n
}
