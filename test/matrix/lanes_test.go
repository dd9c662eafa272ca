package matrix

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

var (
	update    = flag.Bool("update", false, "write the golden files anew")
	onlyLanes = flag.String("lanes", "exchange,relay", "the lanes to run, of which the first is the oracle")
)

func TestMain(m *testing.M) {
	flag.Parse()
	proxy.RegisterEncodings()
	os.Exit(m.Run())
}

// lane is one way through Sluice for the exchanges of this test.
type lane struct {
	name   string
	config proxy.Lane // Config.Lane
	shown  proxy.Lane // in records
}

// lanes are all lanes, the oracle first: the one that stands on net/http and
// grpc-go.
func lanes(t *testing.T) []lane {
	t.Helper()
	known := map[string]lane{
		"exchange": {"exchange", proxy.LaneExchange, proxy.LaneExchange},
		"relay":    {"relay", "", "relay"},
	}
	var all []lane
	for name := range strings.SplitSeq(*onlyLanes, ",") {
		l, ok := known[name]
		if !ok {
			t.Fatalf("-lanes: no lane %s", name)
		}
		all = append(all, l)
	}
	return all
}

// use is the only place that knows how a proxy is told its lane.
func (l lane) use(c *proxy.Config) { c.Lane = l.config }

// sidecar is a proxy in front of one upstream, and what it told of each case.
type sidecar struct {
	*proxy.Proxy
	addr, upstream string

	mu       sync.Mutex
	told     *sync.Cond // a record was added
	records  map[string]*proxy.Record
	messages map[string][]*proxy.Message // by exchange
	shadowed map[string]*proxy.Shadowed  // by exchange
}

// caseField is the request's field that names its case, and is left out of
// every result.
const caseField = "x-case"

func (s *sidecar) Observe(e proxy.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := e.(type) {
	case *proxy.Record:
		s.records[e.Call.Head.Fields.Get(caseField)] = e.Clone()
		s.told.Broadcast()
	case *proxy.Message:
		s.messages[e.Exchange] = append(s.messages[e.Exchange], e.Clone())
	case *proxy.Shadowed:
		s.shadowed[e.Exchange] = e
		s.told.Broadcast()
	}
}

// verdict waits for what the proxy tells of a case.
func (s *sidecar) record(t *testing.T, id string) (*proxy.Record, []*proxy.Message) {
	t.Helper()
	timer := time.AfterFunc(testbed.Patience, s.told.Broadcast)
	defer timer.Stop()
	deadline := time.Now().Add(testbed.Patience)
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.records[id] == nil {
		if time.Now().After(deadline) {
			t.Fatalf("no record of %s", id)
		}
		s.told.Wait()
	}
	r := s.records[id]
	return r, s.messages[r.ID]
}

// startSidecar runs a proxy with rule files, by name, in front of upstream until
// the test ends.
func startSidecar(t *testing.T, l lane, upstream string, files []rules.File) *sidecar {
	t.Helper()
	listener := testbed.Loopback(t)
	s := &sidecar{
		addr: listener.Addr().String(), upstream: upstream,
		records: map[string]*proxy.Record{}, messages: map[string][]*proxy.Message{}, shadowed: map[string]*proxy.Shadowed{},
	}
	s.told = sync.NewCond(&s.mu)
	set, problems := rules.Compile(files)
	if set == nil {
		t.Fatalf("rules: %+v", problems)
	}
	live := new(rules.Live)
	live.Swap(set)
	var known []codec.Format
	for _, f := range formats {
		if f.Codec != nil {
			known = append(known, codec.Format{Codec: f.Codec, Types: []string{f.contentType}})
		}
	}
	for _, s := range shapes {
		if s.Codec != nil {
			known = append(known, codec.Format{Codec: s.Codec, Types: s.types})
		}
	}
	cfg := proxy.Config{
		Listeners: []proxy.Listener{{Name: "matrix", Net: listener, Direction: rules.Inbound, Upstream: upstream}},
		Rules:     live,
		Codecs:    codec.NewRegistry(known...),
		Methods:   descriptors(t),
		Observer:  s,
		Seed:      1,
	}
	l.use(&cfg)
	var err error
	if s.Proxy, err = proxy.New(cfg); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		s.Close()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

// sidecars are the proxies that the cases of one lane and one table share.
type sidecars struct {
	bare, ruled               *sidecar // in front of the upstream, without and with the table's rules
	refusedBare, refusedRuled *sidecar // in front of nobody
}

func startSidecars(t *testing.T, l lane, upstream string, files []rules.File) *sidecars {
	t.Helper()
	nobody := testbed.Refused(t)
	return &sidecars{
		bare: startSidecar(t, l, upstream, nil), ruled: startSidecar(t, l, upstream, files),
		refusedBare: startSidecar(t, l, nobody, nil), refusedRuled: startSidecar(t, l, nobody, files),
	}
}

func (s *sidecars) of(where place) *sidecar {
	switch where {
	case noRules:
		return s.bare
	case refusedNoRules:
		return s.refusedBare
	case refused:
		return s.refusedRuled
	}
	return s.ruled
}

// place is which of the sidecars a row is for.
type place int

const (
	amongRules place = iota // with every rule of the table in force
	noRules
	refused // the same two, in front of nobody
	refusedNoRules
)

// ruleFile is a route's file. Its name is the route's.
func ruleFile(name, match, text string) rules.File {
	return rules.File{Name: "rules/" + name + ".yaml", Text: fmt.Appendf(nil, "match: {%s}\n%s", match, strings.TrimLeft(text, "\n"))}
}

// itemsFile describes the service of the calls: one method of each kind.
const itemsFile = `
name: "matrix/v1/items.proto" package: "matrix.v1" syntax: "proto3"
message_type { name: "Item"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "name" }
  field { name: "big"  number: 2 type: TYPE_INT64  label: LABEL_OPTIONAL json_name: "big" }
  field { name: "note" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "note" }
}
service { name: "Items"
  method { name: "Unary"  input_type: ".matrix.v1.Item" output_type: ".matrix.v1.Item" }
  method { name: "Server" input_type: ".matrix.v1.Item" output_type: ".matrix.v1.Item" server_streaming: true }
  method { name: "Client" input_type: ".matrix.v1.Item" output_type: ".matrix.v1.Item" client_streaming: true }
  method { name: "Bidi"   input_type: ".matrix.v1.Item" output_type: ".matrix.v1.Item" client_streaming: true server_streaming: true }
}`

// itemsDescriptor is itemsFile, read.
func itemsDescriptor(t testing.TB) *descriptorpb.FileDescriptorProto {
	t.Helper()
	file := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(itemsFile), file); err != nil {
		t.Fatal(err)
	}
	return file
}

// descriptors is where the proxies find the service's methods.
func descriptors(t testing.TB) protobuf.Source {
	t.Helper()
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{itemsDescriptor(t)}})
	if err != nil {
		t.Fatal(err)
	}
	files, err := protobuf.NewFiles(protobuf.File{Name: "items.binpb", Data: set})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
