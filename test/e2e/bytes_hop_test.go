package e2e

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// frameLimit is what every receiver takes in one frame (RFC 9113, section 4.2).
const frameLimit = 16384

// hop is one end of an HTTP/2 connection whose other end is a hop of its own:
// it keeps the windows, confirms settings and pings, and remembers what it said
// and heard of its streams.
type hop struct {
	name string
	conn *net.TCPConn
	*encoder
	reading sync.WaitGroup

	mu      sync.Mutex // guards what follows, and writing
	changed *sync.Cond
	said    *streams
	heard   *streams
	err     error            // why nothing more is heard
	window  map[uint32]int64 // that the other end granted; 0 is the connection's
	granted int64            // to new streams, by settings
	opened  bool             // the own settings were said
	owed    []frame          // confirmations
}

func newHop(name string, conn *net.TCPConn) *hop {
	h := &hop{
		name: name, conn: conn, encoder: newEncoder(), said: newStreams(), heard: newStreams(),
		window: map[uint32]int64{0: 65535}, granted: 65535,
	}
	h.changed = sync.NewCond(&h.mu)
	_ = conn.SetDeadline(time.Now().Add(patience))
	h.reading.Go(h.read)
	return h
}

func (h *hop) stop() {
	h.conn.Close()
	h.reading.Wait()
}

func (h *hop) read() {
	err := h.readFrames()
	h.mu.Lock()
	h.err = err
	h.changed.Broadcast()
	h.mu.Unlock()
}

func (h *hop) readFrames() error {
	if h.name == "upstream" {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(h.conn, preface); err != nil || string(preface) != http2.ClientPreface {
			return fmt.Errorf("preface: %q, %w", preface, err)
		}
	}
	framer := http2.NewFramer(nil, h.conn)
	framer.SetMaxReadFrameSize(1 << 20)
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		h.mu.Lock()
		err = h.take(f)
		h.changed.Broadcast()
		h.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// take is called with mu held.
func (h *hop) take(f http2.Frame) error {
	var reply []frame
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			break
		}
		if n, ok := f.Value(http2.SettingInitialWindowSize); ok {
			for id := range h.window {
				if id != 0 {
					h.window[id] += int64(n) - h.granted
				}
			}
			h.granted = int64(n)
		}
		if n, ok := f.Value(http2.SettingHeaderTableSize); ok {
			h.hpack.SetMaxDynamicTableSizeLimit(n)
		}
		reply = append(reply, frame{kind: "settings", ack: true})
	case *http2.PingFrame:
		if !f.IsAck() {
			reply = append(reply, frame{kind: "ping", ack: true, text: string(f.Data[:])})
		}
	case *http2.WindowUpdateFrame:
		h.window[f.StreamID] = h.windowOf(f.StreamID) + int64(f.Increment)
	case *http2.DataFrame:
		if f.Length > 0 {
			reply = append(reply, frame{kind: "window", number: f.Length})
			if !f.StreamEnded() {
				reply = append(reply, frame{kind: "window", stream: f.StreamID, number: f.Length})
			}
		}
	}
	h.owed = append(h.owed, reply...)
	if err := h.pay(); err != nil && !gone(err) {
		return err
	}
	return h.heard.add(f)
}

// pay writes the confirmations that are due, but none before the own settings
// (RFC 9113, section 3.4). It is called with mu held.
func (h *hop) pay() error {
	for h.opened && len(h.owed) > 0 {
		f := h.owed[0]
		h.owed = h.owed[1:]
		if err := h.put(f); err != nil {
			return err
		}
	}
	return nil
}

// windowOf is called with mu held.
func (h *hop) windowOf(id uint32) int64 {
	if w, ok := h.window[id]; ok {
		return w
	}
	return h.granted
}

// put writes f at once. It is called with mu held.
func (h *hop) put(f frame) error {
	b, err := h.encode(f)
	if err != nil {
		return err
	}
	if _, err := h.conn.Write(b); err != nil {
		return fmt.Errorf("%s: write: %w", h.name, err)
	}
	return nil
}

// say sends f as the windows allow, and remembers it as of stream id.
func (h *hop) say(f frame, id uint32) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch f.kind {
	case "data":
		return h.sayData(f, id)
	case "headers":
		h.said.headers(id, f.fields, f.end)
	case "rst":
		h.said.stream(id).event("rst %v", f.code)
	case "settings":
		for _, s := range f.settings {
			if s.ID == http2.SettingHeaderTableSize {
				h.heard.hpack.SetAllowedMaxDynamicTableSize(s.Val)
			}
		}
		if err := h.put(f); err != nil {
			return err
		}
		h.opened = true
		return h.pay()
	}
	return h.put(f)
}

// sayData is called with mu held.
func (h *hop) sayData(f frame, id uint32) error {
	rest := f.text
	for {
		for len(rest) > 0 && min(h.windowOf(f.stream), h.window[0]) <= int64(f.pad+1) {
			if h.err != nil {
				return fmt.Errorf("%s: %d bytes wait for a window: %w", h.name, len(rest), h.err)
			}
			h.changed.Wait()
		}
		part := f
		room := min(frameLimit, int(min(h.windowOf(f.stream), h.window[0]))) - f.pad - 1
		n := min(len(rest), max(room, 0))
		part.text, rest = rest[:n], rest[n:]
		part.end = f.end && rest == ""
		size := int64(len(part.text))
		if f.pad > 0 {
			size += int64(f.pad) + 1
		}
		h.window[f.stream] = h.windowOf(f.stream) - size
		h.window[0] -= size
		h.said.addData(id, []byte(part.text), part.end)
		if err := h.put(part); err != nil || rest == "" {
			return err
		}
	}
}

// await waits until h has heard on stream id what was said on it.
func (h *hop) await(id uint32, said string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.heard.of(id) != said {
		if h.err != nil {
			return fmt.Errorf("%s heard on stream %d: %s\nwant: %s\n%w", h.name, id, h.heard.of(id), said, h.err)
		}
		h.changed.Wait()
	}
	return nil
}

// awaitStreams waits until n streams have begun, and returns the last one.
func (h *hop) awaitStreams(n int) (uint32, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.heard.order) < n {
		if h.err != nil {
			return 0, fmt.Errorf("%s heard of %d streams, want %d: %w", h.name, len(h.heard.order), n, h.err)
		}
		h.changed.Wait()
	}
	return h.heard.order[n-1], nil
}

// awaitReset waits until the connection was reset.
func (h *hop) awaitReset() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.err == nil {
		h.changed.Wait()
	}
	if !testbed.IsReset(h.err) {
		return fmt.Errorf("%s does not see the reset but %w", h.name, h.err)
	}
	return nil
}
