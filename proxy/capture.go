package proxy

import (
	"bytes"
	"sync"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
)

// capture keeps the beginning of what passes, for observers. It is written by
// the goroutine that copies and read by finish, which may come earlier: a
// response can end while the request is still being sent.
type capture struct {
	max   int
	alone bool // one goroutine has it, and needs no lock
	mu    sync.Mutex
	head  []byte
	size  int64

	follow func([]byte) // is shown all that passes; may be nil
}

func (c *capture) lock() {
	if !c.alone {
		c.mu.Lock()
	}
}

func (c *capture) unlock() {
	if !c.alone {
		c.mu.Unlock()
	}
}

// share lets another goroutine have c too, which is started after it. A nil
// capture is nobody's.
func (c *capture) share() {
	if c != nil {
		c.alone = false
	}
}

// lentCapture keeps what observers may see of a body, in memory that is used
// again: it is theirs for as long as they are told. It is this goroutine's alone
// until it is shared. It returns nil if nobody looks.
func (p *Proxy) lentCapture(c *capture) *capture {
	if !p.watched || p.Capture == 0 {
		return nil
	}
	c.max, c.alone, c.head, c.size = int(p.Capture), true, kept(c.head), 0
	return c
}

func newCapture(max int) *capture { return &capture{max: max} }

// add notes what passed. A nil capture keeps nothing.
func (c *capture) add(b []byte) {
	if c == nil || len(b) == 0 {
		return
	}
	c.lock()
	defer c.unlock()
	c.size += int64(len(b))
	if c.follow != nil {
		c.follow(b)
	}
	if room := c.max - len(c.head); room > 0 {
		c.head = append(c.head, b[:min(room, len(b))]...)
	}
}

// full reports whether nothing more will be kept. A nil capture is full.
func (c *capture) full() bool {
	if c == nil {
		return true
	}
	c.lock()
	defer c.unlock()
	return len(c.head) == c.max
}

// skip notes that n bytes passed unseen.
func (c *capture) skip(n int64) {
	if c == nil {
		return
	}
	c.lock()
	defer c.unlock()
	c.size += n
}

func (c *capture) payload() Payload {
	c.lock()
	defer c.unlock()
	return Payload{Bytes: c.head[:len(c.head):len(c.head)], Size: c.size}
}

// payloadOf shows at most max bytes of data. A part of it is a copy, so that the
// observers who keep it do not keep the whole.
func payloadOf(data []byte, max codec.Bytes, c codec.Codec) Payload {
	if len(data) <= int(max) {
		return Payload{Bytes: data, Size: int64(len(data)), Codec: c}
	}
	return Payload{Bytes: bytes.Clone(data[:max]), Size: int64(len(data)), Codec: c}
}

// observed describes the body for the record: as received and, if a rule
// changed it, as sent on.
func (b *body) observed(fields func(name string) string) (received, sent Payload) {
	if b.seen == nil && !b.whole {
		return Payload{}, Payload{} // there was none, or nobody looked
	}
	max := b.x.mostSeen()
	format := b.codec
	coding := ""
	if format == nil {
		format, _ = b.x.p.Codecs.ByContentType(fields("Content-Type"))
		coding = fields("Content-Encoding")
	}
	switch {
	case b.undecoded != nil && b.isEdited:
		return payloadOf(b.undecoded, max, format), payloadOf(b.plain, max, format)
	case b.undecoded != nil:
		return payloadOf(b.undecoded, max, format), Payload{}
	case b.whole && b.original != nil && b.isEdited:
		before, _ := b.coding.Decode(b.raw, encoding.Limits{Size: b.x.route.Limits().Body})
		written := format
		if b.written != nil {
			written = b.written
		}
		return payloadOf(before, max, format), payloadOf(b.plain, max, written)
	case b.whole && b.original != nil:
		return payloadOf(b.plain, max, format), Payload{}
	case b.whole && b.isEdited:
		return payloadOf(b.raw, max, nil), payloadOf(b.plain, max, format)
	case b.whole:
		received = payloadOf(b.raw, max, format)
	case b.seen != nil:
		received = b.seen.payload()
		received.Codec = format
	}
	received.Encoding = coding
	return received, Payload{}
}
