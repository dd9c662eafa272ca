package protobuf

import (
	"sync"

	"github.com/sluice-proxy/sluice/codec"
)

const (
	name     = "protobuf"
	maxDepth = 100 // as most implementations have it
)

// decoder reads messages to values.
type decoder struct {
	maxDepth int
	// Fields without presence appear even where nothing is sent, so a few bytes
	// may be a large object: slots is how many members may still be made, of
	// some 30 bytes each.
	slots, maxSlots int
	// Messages in parts and those within an Any are copied, at each level that
	// they are nested in: copies is how many bytes may still be.
	copies, maxCopies int

	// What is read, and the same as one string, made when the first is asked for:
	// strings are parts of it. Offsets count from base.
	data []byte
	text string
	base int

	// Stacks of what messages need while they are read.
	lists [][]any
	subs  []sub
	cases []*field
}

// leastSlots is what the smallest object takes.
const leastSlots = 8

func newDecoder(size, depth int) *decoder {
	d := new(decoder)
	d.start(size, depth)
	return d
}

func (d *decoder) start(size, depth int) {
	d.maxDepth, d.slots, d.copies = min(depth, maxDepth), slotsFor(size), 64<<10+4*size
	d.maxSlots, d.maxCopies = d.slots, d.copies
}

// decoders waits for messages; only their stacks matter.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// rest lets go of the message and waits for the next, unless it was a large one.
func (d *decoder) rest() {
	d.data, d.text, d.base = nil, "", 0
	if cap(d.lists)+cap(d.subs)+cap(d.cases) < 1<<10 {
		empty(&d.lists)
		empty(&d.subs)
		empty(&d.cases)
		decoders.Put(d)
	}
}

func empty[T any](stack *[]T) {
	clear((*stack)[:cap(*stack)])
	*stack = (*stack)[:0]
}

// slotsFor is how many members a message of size bytes may have.
func slotsFor(size int) int { return 1<<18 + 3*size }

// copying accounts for n bytes before they are copied.
func (d *decoder) copying(n int) error {
	if d.copies -= n; d.copies < 0 {
		return &codec.LimitError{Format: name, Limit: "copies", Max: int64(d.maxCopies)}
	}
	return nil
}

// take returns n zeros from the top of a stack, which leave gives back.
func take[T any](stack *[]T, n int) []T {
	at := len(*stack)
	if at+n > cap(*stack) { // what was taken before stays with those who have it
		*stack, at = make([]T, 0, max(16, 2*n, 2*cap(*stack))), 0
	}
	*stack = (*stack)[:at+n]
	taken := (*stack)[at : at+n : at+n]
	clear(taken)
	return taken
}

func leave[T any](stack *[]T, n int) { *stack = (*stack)[:max(0, len(*stack)-n)] }

// string returns s, which is at offset.
func (d *decoder) string(s []byte, offset int) string {
	if len(s) == 0 || d == nil || d.data == nil {
		return string(s)
	}
	if d.text == "" {
		d.text = string(d.data)
	}
	at := offset - d.base
	return d.text[at : at+len(s)]
}

// copied reads a message whose bytes stand nowhere, and are said to be at
// offset.
func (d *decoder) copied(m *message, b []byte, offset, depth int) (codec.Value, error) {
	data, text, base := d.data, d.text, d.base
	d.data, d.text, d.base = b, "", offset
	v, err := d.message(m, b, offset, depth)
	d.data, d.text, d.base = data, text, base
	return v, err
}
