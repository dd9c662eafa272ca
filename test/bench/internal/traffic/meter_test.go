package traffic

import (
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

func TestQuantilesAreUpperBoundsWithinSixPercent(t *testing.T) {
	var h histogram
	if got := h.quantile(.5); got != 0 {
		t.Errorf("of nothing: got %v, want 0", got)
	}
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{.5: 500 * time.Microsecond, .99: 990 * time.Microsecond, 1: time.Millisecond} {
		if got := h.quantile(q); got < want || got > want+want/15 {
			t.Errorf("quantile(%v): got %v, want %v or a little more", q, got, want)
		}
	}
}

func TestEveryDurationIsInItsBucket(t *testing.T) {
	for _, n := range []uint64{0, 1, 15, 16, 17, 31, 32, 33, 1000, 1 << 20, 1<<40 + 12345} {
		bucket := bucketOf(n)
		if end := bucketEnd(bucket); n >= end || bucket > 0 && n < bucketEnd(bucket-1) {
			t.Errorf("%d is not in bucket %d, which ends before %d", n, bucket, end)
		}
	}
}

// What is kept of a block must not outlive the table that it was read with.
func TestABlockIsDecodedAgainOnceTheTableHasChanged(t *testing.T) {
	w, r := newHeadWriter(answerHead(), answerTrailers()), newHeadReader()
	read := func(block []byte) fields {
		t.Helper()
		got, err := r.read(block)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for range 3 {
		if got := read(w.block(0)); got.status != "200" {
			t.Errorf("got status %q, want 200", got.status)
		}
		if got := read(w.block(1)); got.grpcStatus != "0" || got.status != "" {
			t.Errorf("got %+v, want grpc-status 0 alone", got)
		}
	}
	second := newHeadWriter([]hpack.HeaderField{{Name: "grpc-status", Value: "13"}})
	read(second.block(0)) // now the newest entry of the table
	if got := read([]byte{0xbe}); got.grpcStatus != "13" {
		t.Errorf("got %+v, want grpc-status 13", got)
	}
	if got := read(newHeadWriter([]hpack.HeaderField{{Name: "grpc-status", Value: "7"}}).block(0)); got.grpcStatus != "7" {
		t.Errorf("got %+v, want grpc-status 7", got)
	}
	if got := read([]byte{0xbe}); got.grpcStatus != "7" {
		t.Errorf("the same index after the table changed: got %+v, want grpc-status 7", got)
	}
}

func TestHeadsArePickedApart(t *testing.T) {
	tests := []struct {
		in     string
		size   int
		length int
		chunks bool
		fails  bool
	}{
		{in: "HTTP/1.1 200 OK\r\nContent-Le"},
		{in: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nrest", size: 40, length: 100},
		{in: "HTTP/1.1 200 OK\ncontent-LENGTH:7\n\n", size: 34, length: 7},
		{in: "HTTP/1.1 200 OK\r\nConnection: x\r\n\r\n", size: 34},
		{in: "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", fails: true},
		{in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", size: 47, chunks: true},
	}
	for _, tt := range tests {
		got, err := parseHead([]byte(tt.in))
		if (err != nil) != tt.fails || got.size != tt.size || got.length != tt.length || got.chunks != tt.chunks {
			t.Errorf("%q: got size %d, length %d, error %v; want %d, %d, error %v", tt.in, got.size, got.length, err, tt.size, tt.length, tt.fails)
		}
	}
}
