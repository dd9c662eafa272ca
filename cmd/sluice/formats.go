package main

import (
	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/stream"
)

// formats are the payload formats that the sidecar reads, and the media types
// that mean them.
func formats() *codec.Registry {
	return codec.NewRegistry(
		codec.Format{Codec: json.Codec{}, Types: []string{"application/json", "text/json", "+json"}},
		codec.Format{Codec: stream.NDJSON{}, Types: []string{
			"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonl", "application/jsonlines", "application/x-jsonlines",
		}},
		codec.Format{Codec: stream.SSE{}, Types: []string{"text/event-stream"}},
		codec.Format{Codec: stream.JSONSeq{}, Types: []string{"application/json-seq", "+json-seq"}},
	)
}
