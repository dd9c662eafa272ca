package sock

import (
	"net"
	"strings"
	"testing"
	"time"
)

// What is unread while nothing more comes holds no buffer if it is little, and
// is there when more comes.
func TestLittleIsKeptWithoutABuffer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, first := range []string{"", "read before "} {
		r := NewReader(c.(*net.TCPConn), new(Buffers), []byte(first))
		want := first
		for _, part := range []string{"GET / HT", "TP/1.1\r\n", strings.Repeat("x", 900), strings.Repeat("y", 4000), "z"} {
			peer.Write([]byte(part))
			want += part
			for len(r.Buffered()) < len(want) {
				if n, err := r.Fill(); n == 0 || err != nil {
					t.Fatalf("fill: %d, %v", n, err)
				}
			}
			if n, err := r.TryFill(); n != 0 || err != nil { // nothing is there
				t.Fatalf("try: %d, %v", n, err)
			}
			if string(r.Buffered()) != want {
				t.Fatalf("got %q", r.Buffered())
			}
			if r.lent != (len(want) > littleSize) {
				t.Errorf("%d bytes unread: in a lent buffer: %v", len(want), r.lent)
			}
		}
		// The rest comes while Fill waits.
		r.Discard(len(want) - 2)
		c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := r.Fill(); err == nil || string(r.Buffered()) != "yz" || r.lent {
			t.Errorf("got %v, %q", err, r.Buffered())
		}
		c.SetReadDeadline(time.Time{})
		filled := make(chan error, 1)
		go func() {
			_, err := r.Fill()
			filled <- err
		}()
		time.AfterFunc(5*time.Millisecond, func() { peer.Write([]byte("!")) })
		if err := <-filled; err != nil || string(r.Buffered()) != "yz!" {
			t.Errorf("got %v, %q", err, r.Buffered())
		}
		r.Discard(3)
	}
}
