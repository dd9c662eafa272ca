package http2

import (
	"runtime"
	"sync"
	"testing"
)

// writes counts them.
type writes struct {
	mu    sync.Mutex // guards what follows
	count int
	bytes int
}

func (w *writes) TryWrite(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	w.bytes += len(b)
	return len(b), nil
}

func (w *writes) Write(b []byte) (int, error) { return w.TryWrite(b) }
func (w *writes) CloseWrite() error           { return nil }

// On one processor all of them can run before the first one writes.
func TestGoroutinesThatFlushTogetherShareAWrite(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const streams = 64
	l := NewLink(func(f func()) { go f() })
	out := new(writes)
	h := l.Caller(nil, out)
	l.Flush()
	settings, before := out.bytes, out.count
	var all sync.WaitGroup
	for range streams {
		all.Go(func() {
			l.mu.Lock()
			h.out = append(h.out, "frame"...)
			l.mu.Unlock()
			l.FlushTogether()
		})
	}
	all.Wait()
	if got := out.bytes - settings; got != streams*len("frame") {
		t.Errorf("%d bytes were written, want %d", got, streams*len("frame"))
	}
	if got := out.count - before; got > streams/4 {
		t.Errorf("%d streams took %d writes", streams, got)
	}
	count := out.count
	if l.FlushTogether(); out.count != count {
		t.Error("nothing was written once more")
	}
}
