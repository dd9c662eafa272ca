package rootless

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// pipeEnd is a [net.Pipe]'s end that takes nothing unless the other end reads.
type pipeEnd struct{ net.Conn }

func (p pipeEnd) CloseWrite() error { return p.Close() }

func TestReaderThatNeverReadsDoesNotKeepItsDNSConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		command, inside := net.Pipe()
		resolver, outside := net.Pipe()
		defer command.Close()
		go func() { _, _ = resolver.Write([]byte("an answer that nobody reads")) }()
		start := time.Now()
		copyUntilIdle(pipeEnd{inside}, outside)
		if took := time.Since(start); took != dnsIdle {
			t.Errorf("gave up after %v, want %v", took, dnsIdle)
		}
	})
}
