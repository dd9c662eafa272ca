package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// TestResetAmidTrafficIsNoCleanEnd: the kernel tells of a reset once, to whoever
// asks first. Where one side goes on writing, that is the writer; the reader of
// the other way must not take the silence after it for the end of a body.
func TestResetAmidTrafficIsNoCleanEnd(t *testing.T) {
	const attempts = 3
	for _, set := range ruleSets {
		for name, c := range map[string]struct{ begin, again, answer string }{
			"to the end":  {"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", "HTTP/1.1 200 OK\r\n\r\nhalf"},
			"chunks":      {"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"},
			"raw":         {"hello\n", "a", "half"},
			"a tunnel":    {"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", "a", "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhalf"},
			"verbatim h2": {http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x40\x00\xbe\x00\x00\x00\x00\x00" + strings.Repeat("a", 16<<10), "\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x04\xbe\x00\x00\x00\x00\x00half"},
		} {
			if set.touch && name == "verbatim h2" {
				continue
			}
			t.Run(set.name+" "+name, func(t *testing.T) {
				testbed.Leaks(t)
				b := newBetween(t, "127.0.0.1:0", set.text, narrow)
				for i := range attempts {
					caller, upstream, err := b.connect()
					if err != nil {
						t.Fatal(err)
					}
					if err := resetAmid(caller, upstream, c.begin, c.again, c.answer); err != nil {
						t.Fatalf("attempt %d: %v", i, err)
					}
				}
			})
		}
	}
}

// narrow makes the kernel hold little on the way to an upstream.
func narrow(l *proxy.Listener) {
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4<<10)
		})
		return errors.Join(err, failed)
	}}
	l.Dial = func(ctx context.Context, address string) (*net.TCPConn, error) {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return conn.(*net.TCPConn), nil
	}
}

// resetAmid has the upstream answer in part, and reset while the way to it is
// full of what the caller has written.
func resetAmid(caller, upstream *net.TCPConn, begin, again, answer string) error {
	defer caller.Close()
	defer upstream.Close()
	_ = caller.SetDeadline(time.Now().Add(patience))
	_ = upstream.SetDeadline(time.Now().Add(patience))
	_ = upstream.SetReadBuffer(4 << 10)
	if _, err := io.WriteString(caller, begin); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if _, err := io.ReadFull(upstream, make([]byte, len(begin))); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if _, err := io.WriteString(upstream, answer); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if _, err := io.ReadFull(caller, make([]byte, len(answer))); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if _, err := io.WriteString(caller, strings.Repeat(again, (1<<20)/len(again))); err != nil {
		return fmt.Errorf("amid: %w", err)
	}
	_ = testbed.Reset(upstream)
	n, err := io.Copy(io.Discard, caller)
	if !testbed.IsReset(err) {
		return fmt.Errorf("the caller sees %d bytes and not a reset but %v", n, err) //nolint:errorlint // it may be nil
	}
	return nil
}
