package proxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// elsewhere is a rule that can touch a connection and matches nothing in these
// tests.
const elsewhere = "route: elsewhere\nmatch: {http: \"GET /elsewhere\"}\nresponse: [{head: '.headers.x = \"1\"'}]\n"

// rawEnd is a peer that speaks frames.
type rawEnd struct {
	*http2.Framer
	t    testing.TB
	name string
	conn *net.TCPConn
	enc  *hpack.Encoder
	buf  bytes.Buffer

	settings map[http2.SettingID]uint32
	wins     map[uint32]int // what WINDOW_UPDATE frames have granted
}

func newRawEnd(t testing.TB, name string, conn *net.TCPConn) *rawEnd {
	e := &rawEnd{t: t, name: name, conn: conn, Framer: http2.NewFramer(conn, conn), settings: map[http2.SettingID]uint32{}, wins: map[uint32]int{}}
	e.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	e.enc = hpack.NewEncoder(&e.buf)
	return e
}

// rawTalk is a caller and an upstream that both speak frames.
type rawTalk struct {
	*sidecar
	caller *rawEnd
	t      testing.TB
	ups    chan *rawEnd
	over   chan struct{}
	up     *rawEnd // the first connection, once it was asked for
}

// startTalk connects a caller. The upstream says settings first thing.
func startTalk(t *testing.T, files []string, settings ...http2.Setting) *rawTalk {
	t.Helper()
	testbed.Leaks(t)
	return startTalkWith(t, files, nil, settings...)
}

// startTalkWith is startTalk with options, for tests that look for leaks themselves.
func startTalkWith(t *testing.T, files []string, options []option, settings ...http2.Setting) *rawTalk {
	t.Helper()
	talk := &rawTalk{t: t, ups: make(chan *rawEnd, 8), over: make(chan struct{})}
	l := testbed.Loopback(t)
	testbed.ServeConns(t, l, func(c *net.TCPConn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		up := newRawEnd(t, "upstream", c)
		up.WriteSettings(settings...)
		talk.ups <- up
		<-talk.over
	})
	t.Cleanup(func() { close(talk.over) })
	talk.sidecar = startSidecar(t, l.Addr().String(), files, append(options, inLane(proxy.LaneRelay))...)
	talk.caller = talk.dial()
	return talk
}

// dial connects one more caller.
func (talk *rawTalk) dial(settings ...http2.Setting) *rawEnd {
	c := testbed.Dial(talk.t, talk.addr)
	io.WriteString(c, http2.ClientPreface)
	caller := newRawEnd(talk.t, "caller", c)
	caller.WriteSettings(settings...)
	return caller
}

// upstream is the upstream's end of the connection.
func (talk *rawTalk) upstream() *rawEnd {
	talk.t.Helper()
	if talk.up == nil {
		talk.up = within(talk.t, "upstream connection", talk.ups)
	}
	return talk.up
}

// getFields are those of a request.
func getFields(path string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", path}, more...)
}

func postFields(path string) []string {
	return []string{":method", "POST", ":scheme", "http", ":authority", "a.test", ":path", path}
}

// head sends HEADERS. A name that begins with ! is never indexed.
func (e *rawEnd) head(stream uint32, end bool, fields ...string) {
	e.headOn(stream, end, http2.PriorityParam{}, fields...)
}

// headOn is head with a priority.
func (e *rawEnd) headOn(stream uint32, end bool, p http2.PriorityParam, fields ...string) {
	e.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		name, sensitive := strings.CutPrefix(fields[i], "!")
		e.enc.WriteField(hpack.HeaderField{Name: name, Value: fields[i+1], Sensitive: sensitive})
	}
	e.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: e.buf.Bytes(), EndHeaders: true, EndStream: end, Priority: p})
}

// next describes the next frame that is not of the hop alone.
func (e *rawEnd) next() string {
	e.t.Helper()
	for {
		e.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		f, err := e.ReadFrame()
		var reset http2.StreamError
		switch {
		case errors.As(err, &reset):
			return "malformed: " + err.Error()
		case err != nil:
			if errors.Is(err, io.EOF) {
				return "EOF"
			}
			return "error: " + err.Error()
		}
		if text := e.describe(f); text != "" {
			return text
		}
	}
}

func (e *rawEnd) describe(f http2.Frame) string {
	end := ""
	if f.Header().Flags.Has(http2.FlagDataEndStream) {
		end = " end"
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			_ = f.ForeachSetting(func(s http2.Setting) error { e.settings[s.ID] = s.Val; return nil })
			e.WriteSettingsAck()
		}
		return ""
	case *http2.WindowUpdateFrame:
		e.wins[f.StreamID] += int(f.Increment)
		return ""
	case *http2.MetaHeadersFrame:
		var b strings.Builder
		fmt.Fprintf(&b, "HEADERS %d%s", f.StreamID, end)
		if f.HasPriority() {
			fmt.Fprintf(&b, " (on %d weight %d exclusive %v)", f.Priority.StreamDep, f.Priority.Weight, f.Priority.Exclusive)
		}
		for _, h := range f.Fields {
			mark := ""
			if h.Sensitive {
				mark = "!"
			}
			fmt.Fprintf(&b, " %s%s=%s", mark, h.Name, h.Value)
		}
		return b.String()
	case *http2.DataFrame:
		e.WriteWindowUpdate(0, uint32(max(len(f.Data()), 1)))
		return fmt.Sprintf("DATA %d%s %s", f.StreamID, end, f.Data())
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("RST_STREAM %d %v", f.StreamID, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %v %s", f.LastStreamID, f.ErrCode, f.DebugData())
	case *http2.PingFrame:
		if f.IsAck() {
			return fmt.Sprintf("PING ack %s", f.Data[:])
		}
		return fmt.Sprintf("PING %s", f.Data[:])
	case *http2.PriorityFrame:
		return fmt.Sprintf("PRIORITY %d on %d weight %d", f.StreamID, f.StreamDep, f.Weight)
	case *http2.PriorityUpdateFrame:
		return fmt.Sprintf("PRIORITY_UPDATE of %d %s", f.PrioritizedStreamID, f.Priority)
	case *http2.UnknownFrame:
		return fmt.Sprintf("type %d on %d %q", f.Type, f.StreamID, f.Payload())
	}
	return fmt.Sprint(f)
}

// expect reads the frames that are wanted, in their order.
func (e *rawEnd) expect(want ...string) {
	e.t.Helper()
	for _, w := range want {
		if got := e.next(); got != w {
			e.t.Fatalf("at the %s: got  %s\nwant %s", e.name, got, w)
		}
	}
}

// data reads n bytes of DATA of one stream and grants as much again.
func (e *rawEnd) data(stream uint32, n int) (got []byte, ended bool) {
	e.t.Helper()
	for len(got) < n && !ended {
		e.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		f, err := e.ReadFrame()
		if err != nil {
			e.t.Fatalf("at the %s: after %d of %d bytes: %v", e.name, len(got), n, err)
		}
		d, ok := f.(*http2.DataFrame)
		if !ok {
			if text := e.describe(f); text != "" {
				e.t.Fatalf("at the %s: after %d of %d bytes: %s", e.name, len(got), n, text)
			}
			continue
		}
		if d.StreamID != stream {
			e.t.Fatalf("at the %s: DATA of stream %d", e.name, d.StreamID)
		}
		got = append(got, d.Data()...)
		ended = d.StreamEnded()
		if len(d.Data()) > 0 {
			e.WriteWindowUpdate(0, uint32(len(d.Data())))
			if !ended {
				e.WriteWindowUpdate(stream, uint32(len(d.Data())))
			}
		}
	}
	return got, ended
}
