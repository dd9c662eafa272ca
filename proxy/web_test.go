package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// A gRPC-Web or Connect call is matched as gRPC; its messages pass as they are,
// with their frames and the trailers behind them.
func TestCallsInOtherClothesPassInEveryProtocol(t *testing.T) {
	const (
		request  = "\x00\x00\x00\x00\x02\x08\x07"
		response = "\x00\x00\x00\x00\x02\x08\x01\x80\x00\x00\x00\x0fgrpc-status:0\r\n"
	)
	upstream := testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.Header().Set("X-Heard", strings.TrimSpace(fmt.Sprintf("%q %s", sent, r.Header.Get("X-Room"))))
		io.WriteString(w, response)
	}))
	routes := []string{
		"route: heads\nmatch: {grpc: a.B/C}\nrequest: [{head: '.headers[\"x-room\"] = \"7\"'}]\nresponse: [{head: '.headers[\"x-any\"] = \"1\"'}]\n",
		"route: closed\nmatch: {grpc: a.B/Closed}\nrequest: [{reject: {grpc: PERMISSION_DENIED, message: no}}]\n",
		"route: edits\nmatch: {grpc: a.B/Edits}\nrequest: [{jq: .a = 1}]\n",
	}
	for _, version := range []bool{false, true} {
		for _, media := range []string{"application/grpc-web+proto", "application/grpc-web-text", "application/connect+proto"} {
			t.Run(fmt.Sprintf("h2 %v %s", version, media), func(t *testing.T) {
				testbed.Leaks(t)
				s := startSidecar(t, upstream, routes)
				c := testbed.Client(t, version, s.addr)
				call := func(method string) testbed.Response {
					return testbed.Do(t, c, testbed.Request(t, "POST", "http://x/a.B/"+method, request, "Content-Type", media))
				}
				got := call("C")
				if got.Text != response || got.Header.Get("X-Heard") != fmt.Sprintf("%q 7", request) || got.Header.Get("X-Any") != "1" || got.Header.Get("Content-Type") != media {
					t.Errorf("got %q, %v", got.Text, got.Header)
				}
				if r := s.record("/a.B/C"); r.Route != "heads" || r.Call.Service != "a.B" || r.Call.Method != "C" {
					t.Errorf("record: %+v", r)
				}
				if got := call("Other"); got.Text != response || got.Header.Get("X-Heard") != strings.TrimSpace(fmt.Sprintf("%q", request)) {
					t.Errorf("unmatched: got %q, %v", got.Text, got.Header)
				}
				if got := call("Closed"); got.StatusCode != 403 || !strings.HasPrefix(got.Header.Get("X-Sluice-Error"), "closed/request[0].reject") {
					t.Errorf("rejected: got %d %v", got.StatusCode, got.Header)
				}
				if got := call("Edits"); got.Header.Get("X-Heard") != strings.TrimSpace(fmt.Sprintf("%q", request)) {
					t.Errorf("edited: got %v", got.Header)
				}
				if r := s.record("/a.B/Edits"); len(r.Request.Steps) != 1 || r.Request.Steps[0].Result != "skipped_format" {
					t.Errorf("record: %+v", r.Request)
				}
			})
		}
	}
}
