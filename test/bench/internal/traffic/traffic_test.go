//go:build linux

package traffic

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// backend serves on loopback until the test ends.
func backend(t *testing.T) map[Protocol]string {
	t.Helper()
	listeners, addresses := map[Protocol]net.Listener{}, map[Protocol]string{}
	for _, p := range Protocols {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[p], addresses[p] = l, l.Addr().String()
	}
	end, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Backend(listeners, end) }()
	t.Cleanup(func() {
		hold.Close()
		if err := <-done; err != nil {
			t.Errorf("backend: %v", err)
		}
		end.Close()
	})
	return addresses
}

// Nobody edits what passes between the two ends here.
func TestWhatWasNotEditedFails(t *testing.T) {
	addresses := backend(t)
	for name, spec := range map[string]Spec{
		"mask":  {Kind: Order, Size: SmallOrder, Edit: Mask, Conns: 1},
		"sum":   {Kind: Order, Size: SmallOrder, Edit: Sum, Conns: 1},
		"total": {Kind: Order, Size: LargeOrder, Edit: Total, Conns: 1},
		"call":  {Kind: Call, Edit: Mask, Conns: 1, Streams: 1},
	} {
		t.Run(name, func(t *testing.T) {
			spec.Address = addresses[spec.Kind.Protocol()]
			spec.For, spec.PIDs = 5*time.Second, []int{os.Getpid()}
			got, err := Load(spec)
			if err != nil {
				t.Fatal(err)
			}
			if got.Errors == 0 {
				t.Errorf("%v answers, no error", got.Count)
			}
		})
	}
}

func TestOrdersAreNearlyOfTheirSize(t *testing.T) {
	for _, size := range []int{SmallOrder, LargeOrder} {
		if text, _ := orderJSON(size); len(text) > size || len(text) < size*9/10 {
			t.Errorf("%d B of JSON for %d", len(text), size)
		}
	}
	if n := len(orderProto().proto()); n > protoOrder || n < protoOrder*9/10 {
		t.Errorf("%d B of protobuf for %d", n, protoOrder)
	}
}

func TestChunksAreReadWhole(t *testing.T) {
	const text = "5\r\nhello\r\n0\r\n\r\n"
	for n := range len(text) {
		data, size, err := parseChunk([]byte(text[:n]))
		if err != nil || (size > 0) != (n >= 10) || size > 0 && string(data) != "hello" {
			t.Errorf("%q: got %q, %d, %v", text[:n], data, size, err)
		}
	}
	if data, size, err := parseChunk([]byte(text[10:])); len(data) > 0 || size != 5 || err != nil {
		t.Errorf("the last one: got %q, %d, %v", data, size, err)
	}
	if _, _, err := parseChunk([]byte("-5\r\n")); err == nil {
		t.Error("a negative size: no error")
	}
}

func TestABodyIsJudgedByWhatItSays(t *testing.T) {
	o := orderProto()
	c := newChecker(o.after(Mask))
	text, err := json.Marshal(o.after(Mask))
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	sorted, _ := json.MarshalIndent(value, "", " ") // it was unmarshalled
	for range 2 {
		if err := errors.Join(c.check(text), c.check(sorted)); err != nil {
			t.Error(err)
		}
		for _, wrong := range []string{"", "{}", string(text[:len(text)-1]), strings.Replace(string(text), `"x"`, `"y"`, 1)} {
			if c.check([]byte(wrong)) == nil {
				t.Errorf("no error of %s", wrong)
			}
		}
	}
}

// With no proxy between them the two ends have to agree on every kind.
func TestLoadAndBackendAgree(t *testing.T) {
	addresses := backend(t)
	tests := map[string]Spec{
		"get":      {Kind: Get, Conns: 8},
		"post":     {Kind: Post, Conns: 8},
		"download": {Kind: Download, Conns: 4},
		"raw":      {Kind: Raw, Conns: 2},
		"unary":    {Kind: Unary, Conns: 2, Streams: 8},
		"paced":    {Kind: Unary, Conns: 2, Rate: 500},
		"bidi":     {Kind: Bidi, Conns: 2, Streams: 4, InFlight: 16},
		"idle":     {Kind: Idle, Conns: 50},
		"order":    {Kind: Order, Size: SmallOrder, Conns: 8},
		"call":     {Kind: Call, Conns: 2, Streams: 8},
	}
	for name, spec := range tests {
		t.Run(name, func(t *testing.T) {
			spec.Address = addresses[spec.Kind.Protocol()]
			spec.Warm, spec.For, spec.PIDs = 20*time.Millisecond, 200*time.Millisecond, []int{os.Getpid()}
			got, err := Load(spec)
			if err != nil {
				t.Fatal(err)
			}
			if got.Errors != 0 {
				t.Fatalf("%d errors: %s", got.Errors, got.Error)
			}
			if got.Count < 20 || got.RSS == 0 {
				t.Errorf("got %+v", got)
			}
			if name == "paced" && (got.Count < 90 || got.Count > 110) {
				t.Errorf("got %v requests in 200 ms, want 100", got.Count)
			}
			if latency := spec.Kind != Raw && spec.Kind != Idle; latency && (got.P50 == 0 || got.P50 > got.P99) {
				t.Errorf("got p50 %v, p99 %v", got.P50, got.P99)
			}
		})
	}
}
