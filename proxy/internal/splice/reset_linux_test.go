package splice

import (
	"errors"
	"io"
	"sync"
	"syscall"
	"testing"
)

// A server that closes with bytes unread resets the connection, and the kernel
// tells that once: to the direction that writes to it, or to the one that reads.
// Whichever it is, the caller must not take what it got for all.
func TestAResetThatTheWriterLearnsOfIsNoCleanEnd(t *testing.T) {
	for range 4 {
		r := newRig(t, Options{})
		var writing sync.WaitGroup
		writing.Go(func() {
			_, _ = r.caller.Write(make([]byte, 1<<20)) // breaks off
		})
		if _, err := io.ReadFull(r.server, make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
		send(t, r.server, "part")
		r.server.Close()
		_, err := io.Copy(io.Discard, r.caller)
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("got %v, want a reset", err)
		}
		r.caller.Close()
		writing.Wait()
		if err := r.end(t); err == nil {
			t.Fatal("ended well")
		}
	}
}
