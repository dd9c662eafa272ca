package http2

import "testing"

// TestDataPassesWithoutAllocations pins the fast path: DATA for which there is
// room goes from one hop's input to the other's output.
func TestDataPassesWithoutAllocations(t *testing.T) {
	r, say, toServer := openPlain(t)
	frame := AppendData(nil, 1, false, make([]byte, 1000))
	grant := AppendWindowUpdate(AppendWindowUpdate(nil, 0, 1000), 1, 1000)
	step := func() {
		say(r.caller, frame)
		say(r.upstream, grant)
		toServer.b = toServer.b[:0]
	}
	for range 1000 { // buffers grow to their size
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n > 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func BenchmarkData(b *testing.B) {
	r, say, toServer := openPlain(b)
	frame := AppendData(nil, 1, false, make([]byte, 1000))
	grant := AppendWindowUpdate(AppendWindowUpdate(nil, 0, 1000), 1, 1000)
	b.ReportAllocs()
	for b.Loop() {
		say(r.caller, frame)
		say(r.upstream, grant)
		toServer.b = toServer.b[:0]
	}
}

// BenchmarkUnary relays a gRPC call: heads, a message each way, trailers.
func BenchmarkUnary(b *testing.B) {
	r, say, toServer := openPlain(b)
	caller, upstream := NewEncoder(), NewEncoder()
	request := []Field{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/shop.v1.Orders/Create"}, {Name: ":authority", Value: "orders:80"},
		{Name: "content-type", Value: "application/grpc"}, {Name: "user-agent", Value: "grpc-go/1.85"}, {Name: "te", Value: "trailers"},
	}
	response := []Field{{Name: ":status", Value: "200"}, {Name: "content-type", Value: "application/grpc"}}
	trailers := []Field{{Name: "grpc-status", Value: "0"}}
	message := make([]byte, 100)
	id := uint32(1)
	var in, out []byte
	b.ReportAllocs()
	for b.Loop() {
		id += 2
		in = caller.AppendHead(in[:0], id, request, false, DefaultMaxFrame)
		in = AppendData(in, id, true, message)
		say(r.caller, in)
		out = AppendWindowUpdate(out[:0], 0, 100)
		out = upstream.AppendHead(out, id, response, false, DefaultMaxFrame)
		out = AppendData(out, id, false, message)
		out = upstream.AppendHead(out, id, trailers, true, DefaultMaxFrame)
		say(r.upstream, out)
		say(r.caller, AppendWindowUpdate(nil, 0, 100))
		toServer.b = toServer.b[:0]
		r.caller.output.(*sink).b = r.caller.output.(*sink).b[:0]
	}
}

// openPlain is a relay with stream 1 open.
func openPlain(t testing.TB) (r *plain, say func(*Hop, []byte), toServer *sink) {
	toClient, toServer := new(sink), new(sink)
	r = newPlain(toClient, toServer)
	say = func(h *Hop, b []byte) {
		if n, err := h.walk(b); err != nil || n != len(b) {
			t.Fatalf("%d of %d bytes: %v", n, len(b), err)
		}
		h.guard.Flush()
		r.link.Flush()
		toClient.b = toClient.b[:0]
	}
	say(r.caller, AppendSettings(nil))
	say(r.upstream, AppendSettings(nil))
	say(r.caller, NewEncoder().AppendHead(nil, 1, []Field{{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/"}}, false, DefaultMaxFrame))
	return r, say, toServer
}
