package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// A request of HTTP/1.0 has no chunks: its messages meet their steps before it
// leaves, with the length that they have then.
func TestMessagesOfAnHTTP10UploadMeetTheStepsOfTheirRoute(t *testing.T) {
	testbed.Leaks(t)
	const said, want = "{\"op\":\"a\"}\n{\"op\":\"drop\"}\n{\"op\":\"two\"}\n", "{\"op\":\"a\",\"seen\":0}\n{\"n\":1}\n{\"n\":2}\n"
	head := "POST /feed HTTP/1.0\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n"
	upstream := testbed.Script(t, testbed.Loopback(t), testbed.Expect(fmt.Sprintf(head, len(want))+want), testbed.Send("HTTP/1.0 204 No Content\r\n\r\n"), testbed.HalfClose())
	s := startSidecar(t, upstream, []string{feedRule}, inLane(proxy.LaneRelay)) // the other lane speaks HTTP/1.1 to the upstream
	c := testbed.Dial(t, s.addr)
	testbed.Play(c, testbed.Send(fmt.Sprintf(head, len(said))+said))
	if got, err := testbed.ReadUntil(c, endHead); err != nil || !strings.HasPrefix(string(got), "HTTP/1.0 204 ") {
		t.Errorf("got %q, %v", got, err)
	}
	if r := s.record("/feed"); r.Request.MessageCount != 3 || string(r.Request.Body.Bytes) != said {
		t.Errorf("record: %+v", r)
	}
}
