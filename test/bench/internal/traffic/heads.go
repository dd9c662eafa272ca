package traffic

import (
	"bytes"

	"golang.org/x/net/http2/hpack"
)

// fields are what the ends look at in a head or trailers.
type fields struct{ status, path, grpcStatus, grpcMessage string }

// headReader decodes heads. A block that does not change the dynamic table
// means the same each time that it comes, until another block changes it: so
// the load need not decode what repeats.
type headReader struct {
	decoder *hpack.Decoder
	known   map[string]fields
	last    fields
}

func newHeadReader() *headReader {
	h := &headReader{known: map[string]fields{}}
	h.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		switch f.Name {
		case ":status":
			h.last.status = f.Value
		case ":path":
			h.last.path = f.Value
		case "grpc-status":
			h.last.grpcStatus = f.Value
		case "grpc-message":
			h.last.grpcMessage = f.Value
		}
	})
	return h
}

func (h *headReader) read(block []byte) (fields, error) {
	changes := changesTable(block)
	if !changes {
		if f, ok := h.known[string(block)]; ok {
			return f, nil
		}
	}
	h.last = fields{}
	if _, err := h.decoder.Write(block); err != nil {
		return fields{}, err
	}
	if err := h.decoder.Close(); err != nil {
		return fields{}, err
	}
	switch {
	case changes:
		clear(h.known)
	case len(h.known) < 64:
		h.known[string(block)] = h.last
	}
	return h.last, nil
}

// changesTable reports whether a block adds to the dynamic table or resizes it
// (RFC 7541, 6), or cannot be told.
func changesTable(b []byte) bool {
	for len(b) > 0 {
		var ok bool
		switch first := b[0]; {
		case first&0x80 != 0: // indexed
			_, b, ok = varint(b, 7)
		case first&0xe0 != 0: // literal to be indexed, or a new size
			return true
		default:
			var index uint
			index, b, ok = varint(b, 4)
			for texts := 0; ok && texts < 2; texts++ {
				if texts == 0 && index != 0 {
					continue // the name is that of the index
				}
				var n uint
				if len(b) == 0 {
					return true
				}
				if n, b, ok = varint(b, 7); ok && n <= uint(len(b)) {
					b = b[n:]
				} else {
					return true
				}
			}
		}
		if !ok {
			return true
		}
	}
	return false
}

// varint reads an integer with a prefix of so many bits (RFC 7541, 5.1).
func varint(b []byte, prefix uint) (n uint, rest []byte, ok bool) {
	mask := uint(1)<<prefix - 1
	n = uint(b[0]) & mask
	if b = b[1:]; n < mask {
		return n, b, true
	}
	for shift := uint(0); len(b) > 0 && shift < 28; shift += 7 {
		c := b[0]
		b = b[1:]
		n += uint(c&0x7f) << shift
		if c&0x80 == 0 {
			return n, b, true
		}
	}
	return 0, nil, false
}

// headWriter encodes the few heads that one end sends, as real ends do: names
// and values go into the dynamic table once and are indexes from then on. Once
// each head was sent, its block is the same for good and is kept.
type headWriter struct {
	heads   [][]hpack.HeaderField
	blocks  [][]byte
	sent    []bool
	buf     bytes.Buffer
	encoder *hpack.Encoder
}

func newHeadWriter(heads ...[]hpack.HeaderField) *headWriter {
	w := &headWriter{heads: heads, blocks: make([][]byte, len(heads)), sent: make([]bool, len(heads))}
	w.encoder = hpack.NewEncoder(&w.buf)
	return w
}

// limit keeps the dynamic table below what the other end allows.
func (w *headWriter) limit(size int) {
	w.encoder.SetMaxDynamicTableSizeLimit(uint32(min(size, 4096)))
	clear(w.blocks)
	clear(w.sent)
}

// block is head i as it is to be sent now; valid until the next call.
func (w *headWriter) block(i int) []byte {
	if w.blocks[i] != nil {
		return w.blocks[i]
	}
	settled := true
	for _, sent := range w.sent {
		settled = settled && sent
	}
	w.buf.Reset()
	for _, f := range w.heads[i] {
		_ = w.encoder.WriteField(f) // a bytes.Buffer does not fail
	}
	w.sent[i] = true
	if settled {
		w.blocks[i] = bytes.Clone(w.buf.Bytes())
	}
	return w.buf.Bytes()
}

func requestHead(path string) []hpack.HeaderField {
	return []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: path}, {Name: ":authority", Value: "bench.example"},
		{Name: "content-type", Value: "application/grpc"}, {Name: "user-agent", Value: "grpc-go/1.85.0"}, {Name: "te", Value: "trailers"},
	}
}

func answerHead() []hpack.HeaderField {
	return []hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "content-type", Value: "application/grpc"}}
}

func answerTrailers() []hpack.HeaderField {
	return []hpack.HeaderField{{Name: "grpc-status", Value: "0"}, {Name: "grpc-message", Value: ""}}
}
