package proxy_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// counted is JSON that counts how often a value was made of it.
type counted struct {
	json.Codec

	decoded *atomic.Int64
}

func (c counted) Decode(data []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	c.decoded.Add(1)
	return c.Codec.Decode(data, limits)
}

// A breaker judges a body as it passes, whatever the steps do with it, and makes
// a value of it only if its failure is no simple one.
func TestBreakersJudgeBodies(t *testing.T) {
	testbed.Leaks(t)
	coding, err := encoding.Parse("gzip")
	if err != nil {
		t.Fatal(err)
	}
	const simple, other = `.body.error != null`, `[.body.error | values] != []`
	const edits, needsValue = "response:\n  - jq: del(.error)\n", "response:\n  - jq: to_entries | from_entries | del(.error)\n"
	for _, test := range []struct {
		name, failure, steps, body string
		failed                     bool
		decoded                    int64
	}{
		{"no steps", simple, "", `{"error": 1}`, true, 0},
		{"no steps, no failure", simple, "", `{"n": 1}`, false, 0},
		{"edited in place", simple, edits, `{"error": 1}`, true, 0},
		{"edited in place, judged by value", other, edits, `{"error": 1}`, true, 1},
		{"edited by value", simple, needsValue, `{"error": 1}`, true, 1},
		{"judged by value", other, "", `{"error": 1}`, true, 1},
		{"judged by value, no failure", other, "", `{"error": null}`, false, 1},
		{"what a plan cannot tell", `.body.error.code == 1`, "", `{"error": 1}`, false, 1},
		{"what is no JSON", simple, "", `{"error": `, false, 1},
		{"nothing", simple, "", ``, false, 0},
		{"over the limit", simple, "limits: {body: 100B}\n", `{"error": 1, "a": "` + strings.Repeat("x", 100) + `"}`, false, 0},
		{"over the limit with steps", simple, "limits: {body: 100B}\non_error: pass\n" + edits, `{"error": 1, "a": "` + strings.Repeat("x", 100) + `"}`, false, 0},
	} {
		for _, way := range []struct {
			h2, zipped bool
		}{{false, false}, {true, false}, {false, true}, {true, true}} {
			t.Run(fmt.Sprintf("%s/h2=%v,zipped=%v", test.name, way.h2, way.zipped), func(t *testing.T) {
				var decoded atomic.Int64
				body, fields := []byte(test.body), []string{"Content-Type", "application/json"}
				if way.zipped && test.body != "" {
					if body, err = coding.Encode(body); err != nil {
						t.Fatal(err)
					}
					fields = append(fields, "Content-Encoding", "gzip")
				}
				rule := "route: r\nupstream:\n  breaker:\n    failure: '" + test.failure + "'\n" + test.steps
				s := startSidecar(t, answering(t, body, fields...), []string{rule}, func(c *proxy.Config) {
					c.Codecs = codec.NewRegistry(codec.Format{Codec: counted{decoded: &decoded}, Types: []string{"application/json"}})
				})
				testbed.Get(t, testbed.Client(t, way.h2, s.addr), "http://x/")
				await(s, func(*proxy.Record) bool { return true })
				counts := s.Breakers()[0].Counts
				if counts.Requests != 1 || counts.Failures == 1 != test.failed {
					t.Errorf("got %+v", counts)
				}
				if got := decoded.Load(); got != test.decoded {
					t.Errorf("decoded %d times, want %d", got, test.decoded)
				}
			})
		}
	}
}
