package hostile

import (
	"io"
	"net"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// closing tells that a script has come so far.
func closing(signal chan struct{}) testbed.Step {
	return func(*net.TCPConn) error { close(signal); return nil }
}

// reading reads to the connection's end, however it ends, and tells what.
func reading(got chan<- string) testbed.Step {
	return func(conn *net.TCPConn) error {
		b, _ := io.ReadAll(conn)
		got <- string(b)
		return nil
	}
}
