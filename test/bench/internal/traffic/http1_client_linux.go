package traffic

import (
	"bytes"
	"fmt"
	"time"
)

// caller is what all connections of a load share.
type caller struct {
	meter *meter
	spec  Spec
	// next is called when an answer has come, to begin what comes next: in an
	// open loop nothing does.
	closed bool
}

// again reports whether an answer is to be followed by a request at once.
func (c *caller) again() bool { return c.closed && !c.meter.stopping }

// starter begins one request on its connection.
type starter interface {
	begin(at time.Duration)
}

// http1Client sends the same request again and again, one at a time.
type http1Client struct {
	*caller
	conn     *conn
	request  []byte
	body     []byte // that has to come
	began    time.Duration
	at       int  // how much of the body has come; -1: the head has not
	looking  bool // whether this body is compared, not only counted
	requests int
}

func (h *http1Client) begin(at time.Duration) {
	h.began, h.at = at, -1
	// A large body is compared now and then: comparing costs as much as the
	// proxy's copying.
	h.looking = len(h.body) < 4096 || h.requests%32 == 0
	h.requests++
	h.meter.inFlight++
	h.conn.tail = h.request
}

func (h *http1Client) receive(b []byte) (int, error) {
	taken := 0
	for taken < len(b) {
		if h.conn.tail != nil {
			return taken, fmt.Errorf("got %d B that nobody asked for", len(b)-taken)
		}
		if h.at < 0 {
			head, err := parseHead(b[taken:])
			if err != nil || head.size == 0 {
				return taken, err
			}
			if !bytes.HasPrefix(head.line, []byte("HTTP/1.1 200 ")) || head.chunks || head.length != len(h.body) {
				return taken, fmt.Errorf("got %q with %d B, want 200 with %d B", head.line, head.length, len(h.body))
			}
			taken += head.size
			h.at = 0
		}
		part := b[taken:min(len(b), taken+len(h.body)-h.at)]
		if h.looking && !bytes.Equal(part, h.body[h.at:h.at+len(part)]) {
			return taken, fmt.Errorf("the body is not what was sent, within bytes %d to %d", h.at, h.at+len(part))
		}
		taken += len(part)
		h.progress(len(part))
	}
	if !h.looking && h.at >= 0 {
		h.conn.skip = len(h.body) - h.at
	}
	return taken, nil
}

func (h *http1Client) skipped(n int) error {
	h.progress(n)
	return nil
}

// progress notes n further bytes of the body.
func (h *http1Client) progress(n int) {
	if h.at += n; h.at < len(h.body) {
		return
	}
	h.at = -1
	now := h.conn.loop.now()
	h.meter.answered(h.began, now)
	if h.again() {
		h.begin(now)
	}
}

func (h *http1Client) drained() {}

func (h *http1Client) ended(err error) { h.meter.fail(fmt.Errorf("connection ended: %w", err)) }
