package e2e

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/test/netns"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// bytesPort is where the scripts' upstreams listen, in the pod and at the peer.
const bytesPort = 8081

// TestBytesPassThroughARedirect plays the scripts through the binary, into the
// pod and out of it, without rules and with one for another path.
func TestBytesPassThroughARedirect(t *testing.T) {
	http1, http2 := conversations(t, "http1", parseText), conversations(t, "http2", parseFrames)
	for _, set := range ruleSets {
		if set.text != "" && !set.touch || set.match {
			continue
		}
		t.Run(set.name, func(t *testing.T) {
			p := newPod(t)
			inside := p.Listen(t, fmt.Sprintf(":%d", bytesPort), service)
			outside := p.peer.Listen(t, fmt.Sprintf(":%d", bytesPort), netns.As{})
			if set.text != "" {
				p.rule("other", set.text)
			}
			p.start()
			p.ways(t, func(t *testing.T, from *netns.Host, as netns.As, to func(int) string) {
				upstreams := inside
				if from == p.Host {
					upstreams = outside
				}
				each := func(t *testing.T, script conversation, play func(caller, upstream *net.TCPConn) error) {
					if !script.isFor(set) {
						return
					}
					t.Run(script.name, func(t *testing.T) {
						caller := dial(t, from, as, to(bytesPort)).(*net.TCPConn)
						_ = upstreams.SetDeadline(time.Now().Add(testbed.Patience))
						upstream, err := upstreams.AcceptTCP()
						if err != nil {
							t.Fatal(err)
						}
						if err := play(caller, upstream); err != nil {
							t.Error(err)
						}
					})
				}
				for _, script := range http1 {
					each(t, script, func(caller, upstream *net.TCPConn) error {
						return play(caller, upstream, script.steps, cuts["pieces"])
					})
				}
				for _, script := range http2 {
					each(t, script, func(caller, upstream *net.TCPConn) error {
						if set.touch {
							return playStreams(caller, upstream, script.steps)
						}
						return play(caller, upstream, encoded(t, script.steps), cuts["pieces"])
					})
				}
			})
			p.stop()
		})
	}
}
