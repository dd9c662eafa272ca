package proxy_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// sidecar is a proxy in front of one upstream, with everything it told.
type sidecar struct {
	*proxy.Proxy
	t    *testing.T
	addr string
	live *rules.Live

	mu      sync.Mutex
	changed *sync.Cond
	events  []proxy.Event
}

func (s *sidecar) Observe(e proxy.Event) {
	switch lent := e.(type) {
	case *proxy.Record:
		e = lent.Clone()
	case *proxy.Message:
		e = lent.Clone()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	s.changed.Broadcast()
}

// await returns the first event that is accepted, waiting for it.
func await[E proxy.Event](s *sidecar, accept func(E) bool) E {
	s.t.Helper()
	timer := time.AfterFunc(10*time.Second, s.changed.Broadcast)
	defer timer.Stop()
	deadline := time.Now().Add(10 * time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	for seen := 0; ; s.changed.Wait() {
		for ; seen < len(s.events); seen++ {
			if e, ok := s.events[seen].(E); ok && accept(e) {
				return e
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no such %T among %d events", *new(E), len(s.events))
		}
	}
}

// told is all that was told so far.
func (s *sidecar) told() []proxy.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// record waits for the record of the exchange with that path.
func (s *sidecar) record(path string) *proxy.Record {
	s.t.Helper()
	return await(s, func(r *proxy.Record) bool { return r.Call.Head.Path == path })
}

// use compiles rule files, given as text, and puts them in force.
func (s *sidecar) use(files ...string) {
	s.t.Helper()
	s.live.Swap(compile(s.t, files...))
}

func compile(t *testing.T, texts ...string) *rules.Set {
	t.Helper()
	var files []rules.File
	for i, text := range texts {
		files = append(files, rules.File{Name: "rules/r" + string(rune('a'+i)) + ".yaml", Text: []byte(text)})
	}
	set, problems := rules.Compile(files)
	if set == nil {
		t.Fatalf("rules: %+v", problems)
	}
	return set
}

type option func(*proxy.Config)

// startSidecar runs a proxy in front of upstream until the test ends.
func startSidecar(t *testing.T, upstream string, files []string, options ...option) *sidecar {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sidecar{t: t, addr: l.Addr().String(), live: new(rules.Live)}
	s.changed = sync.NewCond(&s.mu)
	s.live.Swap(compile(t, files...))
	reflection := protobuf.NewReflection(protobuf.ReflectionConfig{})
	cfg := proxy.Config{
		Listeners: []proxy.Listener{{Name: "test", Net: l, Direction: rules.Inbound, Upstream: upstream}},
		Rules:     s.live,
		Codecs: codec.NewRegistry(
			codec.Format{Codec: json.Codec{}, Types: []string{"application/json", "text/json", "+json"}},
			codec.Format{Codec: stream.NDJSON{}, Types: []string{"application/x-ndjson"}},
			codec.Format{Codec: stream.SSE{}, Types: []string{"text/event-stream"}},
			codec.Format{Codec: stream.JSONSeq{}, Types: []string{"application/json-seq"}},
		),
		Methods:  reflection,
		Observer: s,
		Lane:     proxy.Lane(os.Getenv("SLUICE_TEST_LANE")), // test/run goes through both
	}
	for _, o := range options {
		o(&cfg)
	}
	s.Proxy, err = proxy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		s.Close()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		reflection.Close()
	})
	return s
}

// startHTTP runs an HTTP/1 and HTTP/2 cleartext server until the test ends.
func startHTTP(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// client speaks HTTP/1, or HTTP/2 by prior knowledge, and adds nothing.
func client(t *testing.T, h2 bool) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(!h2)
	protocols.SetUnencryptedHTTP2(h2)
	transport := &http.Transport{Protocols: &protocols, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func has(list []string, s string) bool { return slices.Contains(list, s) }
