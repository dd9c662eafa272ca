package http2

import (
	"errors"
	"sync"
	"testing"
)

// gated is an output whose first write waits.
type gated struct {
	entered, leave chan struct{}
	first          sync.Once

	mu    sync.Mutex // guards what follows
	wrote []byte
	shut  bool
}

func (g *gated) TryWrite(b []byte) (int, error) {
	g.first.Do(func() {
		close(g.entered)
		<-g.leave
	})
	return g.Write(b)
}

func (g *gated) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrote = append(g.wrote, b...)
	return len(b), nil
}

func (g *gated) CloseWrite() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	return nil
}

// What is said before Shut is written though the connection fails while somebody
// else is still writing.
func TestTheLastWordIsWrittenWhoeverWrites(t *testing.T) {
	link := NewLink(func(run func()) { go run() })
	out := &gated{entered: make(chan struct{}), leave: make(chan struct{})}
	hop := link.Caller(plainSide{}, out)
	flushed := make(chan struct{})
	go func() {
		link.Flush() // the settings
		close(flushed)
	}()
	<-out.entered
	hop.GoAway(0, ProtocolError, "why")
	hop.Shut()
	hop.Fail(errors.New("over"))
	close(out.leave)
	<-flushed
	out.mu.Lock()
	defer out.mu.Unlock()
	var last Frame
	for b := out.wrote; len(b) > 0; {
		f, n := Parse(b)
		last, b = f, b[n:]
	}
	if last.Type != FrameGoAway || !out.shut {
		t.Errorf("the last frame is %+v, shut: %v", last.Header, out.shut)
	}
}
