package main

import (
	"bytes"
	"embed"
	"text/template"
)

// The peers' configurations are the defaults, but for what the comments in
// them say.
//
//go:embed nginx.conf.tmpl haproxy.cfg.tmpl haproxy.lua.tmpl sluice.yaml.tmpl
var configs embed.FS

// settings fill a configuration's template.
type settings struct {
	Dir   string
	Conns int // of callers, at most
	Most  int // as many callers as the limit of open files allows

	HTTP1, GRPC, Raw                         string // addresses to listen on
	HTTP1Upstream, GRPCUpstream, RawUpstream string

	Modules []string // of nginx, that are not built in
	HTTP2On bool     // nginx 1.25.1 and later have http2 as a directive
	Lua     string   // what a peer does to the order v; empty: nothing

	Health  string // of Sluice
	NoTap   bool
	Schema  bool // there is a schema of the messages
	Inbound bool // Sluice is at the end of a redirect
}

// Descriptors are as many as the connections of callers and those to the
// upstream need.
func (s settings) Descriptors() int { return 2*s.Conns + 64 }

// render is a template with s.
func (s settings) render(name string) ([]byte, error) {
	t, err := template.ParseFS(configs, name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, s)
	return b.Bytes(), err
}
