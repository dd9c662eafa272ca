package proxy

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
)

// seenRecords is what an observer was told, as text.
type seenRecords struct{ text []string }

func (s *seenRecords) Observe(e Event) {
	r := e.(*Record)
	s.text = append(s.text, fmt.Sprintf("%s %+v %q %d %d %q %q %v", r.Protocol, *r.Call.Head, r.Request.Body.Bytes, r.Request.Body.Size, r.Status, r.Request.Trailers, r.Call.Method, r.Error))
}

// looked is what a way that was given b in pieces of n passes, and tells.
func looked(b []byte, n int) (passed []byte, records []string, err error) {
	none := new(net.TCPConn)
	seen := new(seenRecords)
	p := &Proxy{Config: Config{Observer: seen}.withDefaults()}
	v := newVerbatim(&conn{p: p, tcp: none}, none, nil)
	w := &v.toUpstream
	var unread []byte
	for len(b) > 0 && err == nil {
		n := min(n, len(b))
		unread = append(unread, b[:n]...)
		b = b[n:]
		w.in = sock.NewReader(none, &p.buffers, unread)
		var pass int
		pass, err = w.look()
		passed = append(passed, unread[:pass]...)
		unread = unread[pass:]
		for _, s := range v.streams { // as if each were answered at once
			s.ended |= upstreamEnded
			if s.ended&callerEnded != 0 {
				w.close(s)
			}
		}
		w.tell()
	}
	v.cutStreams()
	return passed, seen.text, err
}

// FuzzVerbatim: what passes is what came, however it is cut into pieces.
func FuzzVerbatim(f *testing.F) {
	e := http2.NewEncoder()
	fields := []http2.Field{{Name: ":method", Value: "POST"}, {Name: ":path", Value: "/a.B/C?d"}, {Name: "content-type", Value: "application/grpc"}}
	b := http2.AppendSettings(nil, http2.Setting{ID: http2.SettingHeaderTableSize, Value: 0})
	for stream := uint32(1); stream < 9; stream += 2 {
		b = e.AppendHead(b, stream, fields, stream == 5, 10)
		b = http2.AppendData(b, stream, stream == 1, []byte("hello"))
		b = append(b, 0, 0, 5, 0, 9, 0, 0, 0, byte(stream), 2, 'h', 'i', 0, 0) // padded
	}
	b = e.AppendHead(b, 3, fields[2:], true, 16384)
	b = http2.AppendRSTStream(b, 7, http2.Cancel)
	f.Add(b, uint8(1))
	f.Add(b, uint8(23))
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		if len(b) > 60_000 {
			return
		}
		b = append([]byte(http2.Preface), b...)
		passed, records, err := looked(b, len(b))
		if !bytes.HasPrefix(b, passed) {
			t.Fatalf("other bytes passed: %x", passed)
		}
		again, recordsAgain, errAgain := looked(b, 1+int(n))
		if !bytes.Equal(passed, again) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Errorf("in pieces: %d bytes, %v; in one: %d bytes, %v", len(again), errAgain, len(passed), err)
		}
		if len(records) != len(recordsAgain) {
			t.Errorf("in pieces: %q; in one: %q", recordsAgain, records)
		}
	})
}
