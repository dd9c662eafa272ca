package main

import (
	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/csv"
	"github.com/sluice-proxy/sluice/codec/form"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/msgpack"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/codec/xml"
	"github.com/sluice-proxy/sluice/codec/yaml"
)

// formats are the payload formats that the sidecar reads, and the media types
// that mean them.
func formats() *codec.Registry {
	return codec.NewRegistry(
		codec.Format{Codec: json.Codec{}, Types: []string{"application/json", "text/json", "+json"}},
		codec.Format{Codec: xml.Codec{}, Types: []string{"application/xml", "text/xml", "+xml"}},
		codec.Format{Types: []string{"application/xhtml+xml"}}, // a page
		codec.Format{Codec: yaml.Codec{}, Types: []string{"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "+yaml"}},
		codec.Format{Codec: csv.Codec{}, Types: []string{"text/csv"}},
		codec.Format{Codec: csv.TSV(), Types: []string{"text/tab-separated-values"}},
		codec.Format{Codec: form.Codec{}, Types: []string{"application/x-www-form-urlencoded"}},
		codec.Format{Codec: form.Multipart{}, Types: []string{"multipart/form-data"}},
		codec.Format{Codec: msgpack.Codec{}, Types: []string{"application/msgpack", "application/x-msgpack", "application/vnd.msgpack", "+msgpack"}},
		codec.Format{Codec: stream.NDJSON{}, Types: []string{
			"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonl", "application/jsonlines", "application/x-jsonlines",
		}},
		codec.Format{Codec: stream.SSE{}, Types: []string{"text/event-stream"}},
		codec.Format{Codec: stream.JSONSeq{}, Types: []string{"application/json-seq", "+json-seq"}},
	)
}
