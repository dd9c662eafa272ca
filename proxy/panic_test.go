package proxy_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// faulty is an observer with a bug, which breaks at the paths that say so.
type faulty struct{ proxy.Observer }

func (f faulty) Observe(e proxy.Event) {
	if r, ok := e.(*proxy.Record); ok && r.Call.Head.Path == "/panic" {
		panic("secret payload")
	}
	f.Observer.Observe(e)
}

// Whichever goroutine of a connection breaks, its caller sees a reset and nobody
// else anything.
func TestAPanicEndsItsConnectionOnly(t *testing.T) {
	for name, rule := range map[string]string{
		"no route":         "",
		"a route of hers":  "match: {http: /panic}\nresponse: [{head: '.headers.x = \"1\"'}]\n",
		"a route of other": elsewhere,
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s h2 %v", name, h2), func(t *testing.T) {
				testbed.Leaks(t)
				var files []string
				if rule != "" {
					files = []string{rule}
				}
				upstream := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") })
				s := startSidecar(t, upstream, files, inLane(proxy.LaneRelay), func(c *proxy.Config) { c.Observer = faulty{c.Observer} })
				other := testbed.Client(t, h2, s.addr)
				if got := testbed.Get(t, other, "http://x/fine"); got.Text != "fine" {
					t.Fatalf("got %q", got.Text)
				}
				c := testbed.Client(t, h2, s.addr)
				if resp, err := c.Get("http://x/panic"); err == nil {
					resp.Body.Close() // it may have left before
				}
				await(s, func(c *proxy.ConnClosed) bool { return c.Error != nil && c.Error.Reason == "panic" })
				if got := testbed.Get(t, other, "http://x/fine"); got.Text != "fine" {
					t.Errorf("afterwards: %q", got.Text)
				}
			})
		}
	}
}
