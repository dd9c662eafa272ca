package stream_test

import (
	"fmt"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/stream"
)

// Events are edited as they come. Comments pass, and of an event only the lines
// change that an edit names.
func Example() {
	var format stream.Format = stream.SSE{}
	splitter := format.Split(codec.Limits{})
	var buf []byte
	for _, piece := range []string{": ping\n\nid: 7\ndata: {\"user\":\"ann\",", "\"token\":\"hunter2\"}\n", "\nid: 8\n"} {
		buf = append(buf, piece...)
		for {
			n, msg, err := splitter.Next(buf, false)
			if n == 0 || err != nil {
				break
			}
			out := buf[:n]
			if msg != nil {
				v, original, err := format.Decode(append([]byte(nil), msg...), codec.Limits{})
				if err != nil {
					break
				}
				event := v.(map[string]any)
				user := event["data"].(map[string]any)["user"]
				out, err = format.Encode(original, map[string]any{"id": event["id"], "data": map[string]any{"user": user}})
				if err != nil {
					break
				}
			}
			fmt.Printf("%q\n", out)
			buf = buf[n:]
		}
	}
	fmt.Printf("still to come: %q\n", buf)
	// Output:
	// ": ping\n"
	// "\n"
	// "id: 7\ndata: {\"user\":\"ann\"}\n\n"
	// still to come: "id: 8\n"
}
