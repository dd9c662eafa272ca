package tap

import (
	"bytes"
	"compress/gzip"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

func textPayload(text string, c codec.Codec) proxy.Payload {
	return proxy.Payload{Bytes: []byte(text), Size: int64(len(text)), Codec: c}
}

func conn() *proxy.Conn {
	return &proxy.Conn{
		ID: "c1", Direction: rules.Inbound, Listener: "inbound", Opened: noon,
		Peer: netip.MustParseAddrPort("10.0.0.9:40000"), Destination: netip.MustParseAddrPort("10.0.0.1:8080"),
	}
}

// edited is an exchange of which a rule changed heads and bodies.
func edited() *proxy.Record {
	in := &rules.Head{Method: "POST", Path: "/v1/orders", Query: "dry=1", Host: "orders", Fields: rules.Fields{
		{Name: "Content-Type", Value: "application/json"}, {Name: "Authorization", Value: "Bearer s3cret"},
		{Name: "X-Api-Key", Value: "k3y"}, {Name: "Accept", Value: "a/b"}, {Name: "accept", Value: "c/d"},
	}}
	out := *in
	out.Fields = in.Fields.With("x-tier", "gold")
	answer := &rules.Head{Status: 201, Fields: rules.Fields{
		{Name: "Content-Type", Value: "application/json"}, {Name: "Set-Cookie", Value: "sid=s3cret"}, {Name: "Set-Cookie", Value: "b=s3cret"},
	}}
	return &proxy.Record{
		ID: "x1", Conn: conn(), Protocol: proxy.HTTP1, Lane: proxy.LaneExchange, Started: noon, Duration: 3140 * time.Microsecond,
		Generation: 7, Route: "orders.create", Status: 201, Attempts: 1,
		Call: &rules.Request{ID: "x1", Direction: rules.Inbound, Head: in, Peer: conn().Peer, Destination: conn().Destination},
		Request: proxy.Half{
			In: in, Out: &out, Edited: true,
			Body: textPayload(`{"z":1.10, "debug":true,"a":[1,2]}`, json.Codec{}),
			Sent: textPayload(`{"z":1.10,"a":[1,3],"tier":"gold"}`, json.Codec{}),
			Steps: []rules.StepReport{
				{Step: "request[0].jq", Result: "ran", Body: map[string]any{"tier": "gold"}, Count: 1},
				{Step: "request[1].head", Result: "ran", Head: &out},
				{Step: "request[2].reject", Result: "when_false"},
			},
		},
		Response: proxy.Half{In: answer, Out: answer, Body: textPayload(`{"id":9007199254740993}`, json.Codec{})},
	}
}

// plainExchange is one that no rule touched.
func plainExchange(id string, at time.Time) *proxy.Record {
	in := &rules.Head{Method: "GET", Path: "/" + id, Host: "orders"}
	answer := &rules.Head{Status: 200}
	return &proxy.Record{
		ID: id, Conn: conn(), Protocol: proxy.HTTP1, Lane: proxy.LaneExchange, Started: at, Duration: time.Millisecond, Status: 200, Attempts: 1,
		Call:     &rules.Request{ID: id, Direction: rules.Inbound, Head: in, Peer: conn().Peer, Destination: conn().Destination},
		Request:  proxy.Half{In: in, Out: in},
		Response: proxy.Half{In: answer, Out: answer},
	}
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func frame(flags byte, data []byte) []byte {
	n := len(data)
	return append([]byte{flags, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, data...)
}

// collect is a sink that keeps all.
type collect struct {
	events []string
	kinds  []string
	idle   func() error
}

func (c *collect) Event(kind string, text []byte) error {
	c.kinds = append(c.kinds, kind)
	c.events = append(c.events, string(text))
	return nil
}

func (c *collect) Idle() error {
	if c.idle != nil {
		return c.idle()
	}
	return nil
}

func (c *collect) Ping() error { return nil }
