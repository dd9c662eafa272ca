package telemetry

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
)

// Writer is an io.Writer that never blocks: lines wait in a bounded queue for
// a goroutine that writes them on, and are dropped and counted while the queue
// is full. Make one with [NewWriter]. It is safe for concurrent use.
type Writer struct {
	to      io.Writer
	lines   chan []byte
	done    chan struct{} // closed when the goroutine ended
	dropped atomic.Uint64

	mu     sync.RWMutex // guards closed, and lines against a send after its close
	closed bool
}

// NewWriter returns a Writer to to whose queue holds so many lines; 0 means
// 4,096. The caller closes it.
func NewWriter(to io.Writer, lines int) *Writer {
	if lines <= 0 {
		lines = 4096
	}
	w := &Writer{to: to, lines: make(chan []byte, lines), done: make(chan struct{})}
	go w.writeOn()
	return w
}

// Write queues a copy of line. It never fails.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		w.dropped.Add(1)
		return len(line), nil
	}
	select {
	case w.lines <- append([]byte(nil), line...):
	default:
		w.dropped.Add(1)
	}
	return len(line), nil
}

// Dropped returns how many lines were lost.
func (w *Writer) Dropped() uint64 { return w.dropped.Load() }

// Close ends the queue and waits until all of it is written, or ctx ends. The
// goroutine ends with the write that it is in.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.lines)
	}
	w.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writeOn ends when the queue is closed and empty.
func (w *Writer) writeOn() {
	defer close(w.done)
	for line := range w.lines {
		// A log that cannot be written has nowhere to say so.
		_, _ = w.to.Write(line)
	}
}
