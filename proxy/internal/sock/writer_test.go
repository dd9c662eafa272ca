package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestWriterWritesAllInItsTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c := nc.(*net.TCPConn)
	w := NewWriter(c)

	// More than the sockets hold: the peer reads meanwhile, quietly too.
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	got := make(chan []byte, 1)
	go func() {
		r := NewReader(peer.(*net.TCPConn), new(Buffers), nil)
		r.Quiet()
		var all []byte
		for len(all) < len(sent) {
			if _, err := r.Fill(); err != nil {
				break
			}
			all = append(all, r.Buffered()...)
			r.Discard(len(r.Buffered()))
		}
		got <- all
	}()
	if n, err := w.Write(sent); n != len(sent) || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if !bytes.Equal(<-got, sent) {
		t.Error("other bytes arrived")
	}
	if n, err := w.Write(nil); n != 0 || err != nil {
		t.Errorf("wrote nothing: %d, %v", n, err)
	}

	// Nobody reads.
	c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	n, err := w.Write(sent)
	if n >= len(sent) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wrote %d, %v", n, err)
	}
	c.SetWriteDeadline(time.Time{})

	// The peer is gone.
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	io.Copy(io.Discard, c)
	_, err = w.Write(sent)
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "write" || !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
	c.Close()
	if _, err := w.Write(sent); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
