package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// talk is a call whose two directions are open at once.
type talk struct {
	t    *testing.T
	send *io.PipeWriter
	body io.ReadCloser
}

// hears waits for text.
func (c *talk) hears(text string) {
	c.t.Helper()
	b := make([]byte, len(text))
	if n, err := io.ReadFull(c.body, b); err != nil || string(b) != text {
		c.t.Fatalf("got %q, %v, want %q", b[:n], err, text)
	}
}

func (c *talk) says(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.send, text); err != nil {
		c.t.Fatal(err)
	}
}

// echoing sends back what it is sent, as it comes.
func echoing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	b := make([]byte, 1000)
	for {
		n, err := r.Body.Read(b)
		w.Write(b[:n])
		w.(http.Flusher).Flush()
		if err != nil {
			return
		}
	}
}

func callBothWays(t *testing.T, addr, media string) *talk {
	t.Helper()
	r := testbed.Request(t, "POST", "http://x"+chat, "", "Content-Type", media)
	read, write := io.Pipe()
	r.Body, r.ContentLength = read, -1
	resp, err := testbed.Client(t, true, addr).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		write.Close()
		resp.Body.Close()
	})
	return &talk{t, write, resp.Body}
}

// Each message leaves as soon as it is whole, both ways; and one of the request
// that is refused ends the response, whether or not that has steps.
func TestWebCallsAreLive(t *testing.T) {
	for name, rule := range map[string]string{
		"steps on both": webRule,
		"one":           webRule[:strings.Index(webRule, "response:")],
	} {
		for media, end := range map[string]string{
			webProto:     envelope(0x80, "grpc-status: 9\r\ngrpc-message: not here\r\nx-sluice-error: items/request[0].reject; rejected\r\n"),
			webText:      envelope(0x80, "grpc-status: 9\r\ngrpc-message: not here\r\nx-sluice-error: items/request[0].reject; rejected\r\n"),
			connectProto: envelope(2, `{"error":{"code":"failed_precondition","message":"not here"},"metadata":{"x-sluice-error":["items/request[0].reject; rejected"]}}`),
		} {
			t.Run(fmt.Sprintf("%s %s", name, media), func(t *testing.T) {
				testbed.Leaks(t)
				wire := func(s string) string { return s }
				if media == webText {
					wire = func(s string) string { return inText(s) }
				}
				s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(echoing)), []string{rule}, itemsKnown(t))
				c := callBothWays(t, s.addr, media)
				c.says(wire(envelopes(item("keep"))))
				c.hears(wire(envelopes(item("keep"))))
				c.says(wire(envelopes(item("old"))))
				c.hears(wire(envelopes(item("new"))))
				c.says(wire(envelopes(item("bad"))))
				c.hears(wire(end))
				if rest, err := io.ReadAll(c.body); err != nil || len(rest) > 0 {
					t.Errorf("then %q, %v", rest, err)
				}
				if r := s.record(chat); r.Answered != "reject" || r.GRPCStatus != "FAILED_PRECONDITION" {
					t.Errorf("record %+v", r)
				}
			})
		}
	}
}

// A coding that nobody here can undo is not asked for.
func TestWebCallsAskForKnownCodings(t *testing.T) {
	for media, field := range map[string]string{webProto: "Grpc-Accept-Encoding", connectProto: "Connect-Accept-Encoding"} {
		for said, want := range map[string]string{"snappy, gzip,br": "gzip, br", "gzip,br": "gzip,br", "snappy": ""} {
			for _, version := range []bool{false, true} {
				testbed.Leaks(t)
				asked := make(chan string, 1)
				s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					asked <- r.Header.Get(field)
				})), []string{webRule}, itemsKnown(t))
				testbed.Do(t, testbed.Client(t, version, s.addr), testbed.Request(t, "POST", "http://x"+chat, envelopes(""), "Content-Type", media, field, said))
				if got := <-asked; got != want {
					t.Errorf("h2 %v %s: asked for %q, want %q", version, said, got, want)
				}
			}
		}
	}
}
