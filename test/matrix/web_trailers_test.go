package matrix

import (
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// webEnd is how a call ends: as its upstream says it, and as its caller hears it
// by each rule.
type webEnd struct {
	shapes                    []string
	said                      string
	edited, failed, untouched string
}

var webEnds = []webEnd{
	{
		[]string{"grpc-web", "grpc-web in text"},
		"\x80grpc-status: 5\r\ngrpc-message: no%20x\r\nX-T: 1\r\n",
		"\x80grpc-status: 15\r\ngrpc-message: no x!\r\nx-t: 1\r\na: b\r\n",
		"\x80grpc-status: 13\r\ngrpc-message: a rule failed\r\nx-sluice-error: failed/trailers[0].jq; jq_error\r\n",
		"\x80grpc-status: 5\r\ngrpc-message: no%20x\r\nX-T: 1\r\n",
	},
	{
		[]string{"connect", "connect in json"},
		"\x02" + `{"error": {"code":"not_found","message":"no x","details":[1]},"metadata":{"x-t":["1"]}}`,
		"\x02" + `{"error":{"code":"data_loss","details":[1],"message":"no x!"},"metadata":{"a":["b"],"x-t":["1"]}}`,
		"\x02" + `{"error":{"code":"internal","message":"a rule failed"},"metadata":{"x-sluice-error":["failed/trailers[0].jq; jq_error"]}}`,
		"\x02" + `{"error": {"code":"not_found","message":"no x","details":[1]},"metadata":{"x-t":["1"]}}`,
	},
}

// TestTrailersOfWebCallsInEveryLane takes the ends of responses through steps, in
// every lane and protocol.
func TestTrailersOfWebCallsInEveryLane(t *testing.T) {
	testbed.Leaks(t)
	match := func(name string) string { return "grpc: matrix.v1.Items/*, headers: {x-rule: " + name + "}" }
	files := []rules.File{
		ruleFile("edited", match("edited"), "trailers:\n  - when: .grpc_status == \"NOT_FOUND\"\n    jq: .grpc_status = \"DATA_LOSS\" | .grpc_message += \"!\" | .a = \"b\"\n"),
		ruleFile("failed", match("failed"), "trailers:\n  - jq: error(\"no\")\n"),
		ruleFile("untouched", match("untouched"), "trailers:\n  - when: .grpc_status == \"OK\"\n    jq: error(\"no\")\n"),
	}
	upstream := testbed.HTTP(t, testbed.Loopback(t), &mirror{seen: map[string]string{}})
	for _, l := range lanes(t) {
		car := startSidecar(t, l, upstream, files)
		for _, protocol := range protocols {
			for _, row := range webEnds {
				for _, name := range row.shapes {
					s := shapeNamed(t, name)
					for rule, want := range map[string]string{"edited": row.edited, "failed": row.failed, "untouched": row.untouched} {
						id := strings.Join([]string{l.name, s.name, protocol, rule}, " ")
						client := testbed.Client(t, protocol == "http2", car.addr)
						got := testbed.Do(t, client, testbed.Request(t, "POST", "http://x"+s.path(0), first(s)+ending(s, row.said), "Content-Type", s.contentType, caseField, id, "x-rule", rule))
						client.CloseIdleConnections()
						if text := first(s) + ending(s, want); got.Err != nil || got.StatusCode != 200 || got.Text != text || len(got.Trailer) > 0 {
							t.Errorf("%s: got %d %q, %v, %v, want %q", id, got.StatusCode, got.Text, got.Trailer, got.Err, text)
						}
						record, _ := car.record(t, id)
						code := map[string]rules.Code{"edited": "DATA_LOSS", "failed": "INTERNAL", "untouched": "NOT_FOUND"}[rule]
						if record.GRPCStatus != code || record.Lane != l.shown || len(record.Response.Steps) != 1 {
							t.Errorf("%s: record %+v", id, record)
						}
					}
				}
			}
		}
	}
}
