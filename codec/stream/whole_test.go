package stream_test

import (
	"testing"

	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/stream"
)

func TestLines(t *testing.T) {
	codectest.Run(t, codectest.Suite{
		Codec: stream.Lines{},
		Cases: []codectest.Case{
			{Name: "none", In: "", Value: []any{}},
			{
				Name: "some", In: "{\"a\" : 1}\r\n\n[2]", Value: []any{map[string]any{"a": 1}, []any{2}},
				Edits: []codectest.Edit{
					{JQ: ".[0].a = 3", Out: "{\"a\":3}\n[2]\n"},
					{JQ: "{}", Err: "ndjson: .: lines are an array, not object"},
				},
			},
		},
		Invalid: []string{"{\n}\n", "1\nx\n"},
	})
}
