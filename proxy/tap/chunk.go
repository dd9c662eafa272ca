package tap

import "encoding/binary"

// chunk is memory with packed events, which fill it from the front, and an
// entry for each of them, which fill it from the end: where its bytes start, and
// its refs.
type chunk struct {
	mem    []byte
	used   int    // of mem from the front
	first  uint64 // the number of the first event
	count  int    // of events, all in a row
	refs   []any  // of all events
	weight int64  // what refs hold on to, about
}

const entrySize = 8

// chunkSize is what a chunk measures of a ring with so much memory. It is what
// is forgotten at a time.
func chunkSize(most int64) int { return int(min(max(most/16, 512), 256<<10)) }

// end is the number after the last event.
func (c *chunk) end() uint64 { return c.first + uint64(c.count) }

// fits reports whether an event of size bytes has room.
func (c *chunk) fits(size int) bool { return c.used+size+entrySize*(c.count+1) <= len(c.mem) }

// put appends an event that fits.
func (c *chunk) put(p *packer) {
	c.count++
	entry := c.mem[len(c.mem)-entrySize*c.count:]
	binary.NativeEndian.PutUint32(entry, uint32(c.used))
	binary.NativeEndian.PutUint32(entry[4:], uint32(len(c.refs)))
	p.copyTo(c.mem[c.used:])
	c.used += p.size()
	if len(p.refs) > 0 {
		c.refs = append(c.refs, p.refs...)
		c.weight += p.weight
	}
}

// get returns the bytes and refs of event number at. They are the chunk's.
func (c *chunk) get(at uint64) ([]byte, []any) {
	i := int(at - c.first)
	start, refs := c.entry(i)
	end, refsEnd := c.used, len(c.refs)
	if i+1 < c.count {
		end, refsEnd = c.entry(i + 1)
	}
	return c.mem[start:end], c.refs[refs:refsEnd]
}

func (c *chunk) entry(i int) (start, refs int) {
	entry := c.mem[len(c.mem)-entrySize*(i+1):]
	return int(binary.NativeEndian.Uint32(entry)), int(binary.NativeEndian.Uint32(entry[4:]))
}

// batch is copies of events, for a reader to unpack without a lock.
type batch struct {
	data    []byte
	refs    []any
	entries []batchEntry
}

type batchEntry struct{ dataEnd, refsEnd int }

// batchBytes bounds what is copied under one lock, but for a single event.
const batchBytes = 64 << 10

func (b *batch) reset() {
	clear(b.refs)
	b.data, b.refs, b.entries = b.data[:0], b.refs[:0], b.entries[:0]
}

// add copies event number at of c; false if it is too much.
func (b *batch) add(c *chunk, at uint64) bool {
	data, refs := c.get(at)
	if len(b.entries) > 0 && len(b.data)+len(data) > batchBytes {
		return false
	}
	b.data = append(b.data, data...)
	b.refs = append(b.refs, refs...)
	b.entries = append(b.entries, batchEntry{len(b.data), len(b.refs)})
	return true
}

// at returns event i of the batch, which stays whatever the batch is used for.
func (b *batch) at(i int) packed {
	var start batchEntry
	if i > 0 {
		start = b.entries[i-1]
	}
	end := b.entries[i]
	e := packed{data: string(b.data[start.dataEnd:end.dataEnd])}
	if end.refsEnd > start.refsEnd {
		e.refs = append(e.refs, b.refs[start.refsEnd:end.refsEnd]...)
	}
	return e
}
