package proxy_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/encoding"
)

// compressed frames a message in an encoding.
func compressed(t testing.TB, name string, message string) string {
	t.Helper()
	var b strings.Builder
	flag := byte(0)
	if name == "" {
		b.WriteString(message)
	} else {
		flag = 1
		w, err := encoding.GetCompressor(name).Compress(&b)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, message)
		w.Close()
	}
	return string(binary.BigEndian.AppendUint32([]byte{flag}, uint32(b.Len()))) + b.String()
}

// expanded is the message of one frame, and whether it was compressed.
func expanded(t testing.TB, name string, frame string) string {
	t.Helper()
	if len(frame) < 5 {
		return "no frame: " + frame
	}
	if frame[0] == 0 {
		return frame[5:]
	}
	r, err := encoding.GetCompressor(name).Decompress(strings.NewReader(frame[5:]))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("%s frame %q: %v", name, frame, err)
	}
	return string(b)
}

// An upstream answers in the encoding that it is asked for, which need not be
// that of the request.
func TestEncodingsAreUndoneAndRedone(t *testing.T) {
	type seen struct{ encoding, accept, message string }
	calls := make(chan seen, 1)
	item := mustItem(t)
	_ = item
	upstream := startEchoingEncodings(t, func(r *http.Request, frame string) {
		name := r.Header.Get("Grpc-Encoding")
		calls <- seen{name, r.Header.Get("Grpc-Accept-Encoding"), expanded(t, name, frame)}
	})
	car := startSidecar(t, upstream, []string{shouting})
	long := strings.Repeat("a", 100)
	message := "\x0a\x64" + long
	for _, test := range []struct {
		request, accept, answer string
		want                    string // encoding back to the caller
	}{
		{"", "", "", ""},
		{"gzip", "gzip", "gzip", "gzip"},
		{"zstd", "gzip,zstd", "zstd", "zstd"},
		{"gzip", "gzip, zstd", "zstd", "zstd"},
		{"gzip", "gzip", "", ""}, // answered plain although asked in gzip
		{"", "gzip", "gzip", "gzip"},
		{"gzip", "", "gzip", "gzip"}, // what a caller writes it reads
		{"", "snappy,gzip", "gzip", "gzip"},
	} {
		name := fmt.Sprintf("%+v", test)
		resp, body := callRaw(t, car.addr, get, compressed(t, test.request, message),
			"Grpc-Encoding", test.request, "Grpc-Accept-Encoding", test.accept, "X-Answer", test.answer)
		got := <-calls
		if got.encoding != test.request || got.message != "\x0a\x67in:"+long {
			t.Errorf("%s: the upstream got %+q", name, got)
		}
		if strings.Contains(got.accept, "snappy") {
			t.Errorf("%s: the upstream may answer in %s", name, got.accept)
		}
		if e := resp.Header.Get("Grpc-Encoding"); e != test.want || resp.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("%s: got encoding %q, trailer %v, want %q", name, e, resp.Trailer, test.want)
			continue
		}
		if m := expanded(t, test.want, body); m != "\x0a\x6bout:in:"+long {
			t.Errorf("%s: got %q", name, m)
		}
	}
}

// startEchoingEncodings answers calls of Get with what they sent, in the
// encoding that X-Answer names. It reflects on nothing: its descriptors come
// from a second server.
func startEchoingEncodings(t *testing.T, see func(r *http.Request, frame string)) string {
	t.Helper()
	s := startEcho(t, false)
	reflected := client(t, true)
	return startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/grpc.reflection.") {
			forward(w, r, reflected, s.addr)
			return
		}
		body, _ := io.ReadAll(r.Body)
		see(r, string(body))
		message := expanded(t, r.Header.Get("Grpc-Encoding"), string(body))
		h := w.Header()
		h.Set("Content-Type", "application/grpc")
		h.Set("Trailer", "Grpc-Status")
		answer := r.Header.Get("X-Answer")
		if answer != "" {
			h.Set("Grpc-Encoding", answer)
		}
		io.WriteString(w, compressed(t, answer, message))
		h.Set("Grpc-Status", "0")
	})
}

// forward passes one stream on to another server.
func forward(w http.ResponseWriter, r *http.Request, via *http.Client, addr string) {
	out, _ := http.NewRequestWithContext(r.Context(), r.Method, "http://"+addr+r.URL.Path, r.Body)
	out.Header = r.Header
	resp, err := via.Do(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	flush := http.NewResponseController(w)
	flush.Flush()
	buf := make([]byte, 4<<10)
	for {
		n, err := resp.Body.Read(buf)
		w.Write(buf[:n])
		flush.Flush()
		if err != nil {
			break
		}
	}
	for name, values := range resp.Trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
}

func TestAnUnknownEncodingPassesUnlessARuleDecides(t *testing.T) {
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/grpc")
		h.Set("Grpc-Encoding", "snappy")
		h.Set("Trailer", "Grpc-Status")
		io.Copy(w, r.Body)
		h.Set("Grpc-Status", "0")
	})
	frame := "\x01\x00\x00\x00\x03abc"
	car := startSidecar(t, upstream, []string{shouting})
	resp, body := callRaw(t, car.addr, get, frame, "Grpc-Encoding", "snappy")
	if body != frame || resp.Trailer.Get("Grpc-Status") != "0" || resp.Header.Get("Grpc-Encoding") != "snappy" {
		t.Errorf("got %q %v, trailer %v, want it untouched", body, resp.Header, resp.Trailer)
	}
	r := car.record(get)
	if results := []string{r.Request.Steps[0].Result, r.Response.Steps[0].Result}; !slices.Equal(results, []string{"skipped_format", "skipped_format"}) {
		t.Errorf("got %q, want both skipped", results)
	}
	car = startSidecar(t, upstream, []string{"route: r\nmatch: {grpc: \"*\"}\nrequest: [{when: '.name == \"bad\"', reject: {grpc: ABORTED}}]\n"})
	resp, _ = callRaw(t, car.addr, get, frame, "Grpc-Encoding", "snappy")
	if resp.Header.Get("Grpc-Status") != "3" || !strings.HasPrefix(resp.Header.Get("X-Sluice-Error"), "r/request[0]") {
		t.Errorf("got %v, want INVALID_ARGUMENT", resp.Header)
	}
}

func TestACompressionBombIsTooLarge(t *testing.T) {
	s := startEcho(t, false)
	car := startSidecar(t, s.addr, []string{untouching})
	for _, name := range []string{"gzip", "zstd"} {
		bomb := compressed(t, name, strings.Repeat("\x00", 200<<20))
		resp, _ := callRaw(t, car.addr, get, bomb, "Grpc-Encoding", name)
		if resp.Header.Get("Grpc-Status") != "8" || resp.Header.Get("X-Sluice-Error") != "same/request; too_large" {
			t.Errorf("%s: got %v", name, resp.Header)
		}
	}
}
