package http2

import (
	"errors"

	"golang.org/x/net/http2/hpack"
)

// The bounds of a head once it is decoded.
const (
	MaxHead   = 60 << 10 // by RFC 9113's count, 6.5.2: names, values, and 32 for each field
	MaxFields = 100
)

// maxTable bounds the dynamic table that a decoder keeps, whatever the peers
// agreed on.
const maxTable = 1 << 20

// Field is one field of a head, pseudo-header fields among them.
type Field = hpack.HeaderField

// ErrHeadTooLarge is the error of a head over MaxHead or MaxFields. The
// connection's compression state is right all the same.
var ErrHeadTooLarge = errors.New("head too large")

// Decoder decodes the header blocks of one direction of a connection, which
// must all be given to it in order. It is for one goroutine.
type Decoder struct {
	hpack  *hpack.Decoder
	fields []Field
	size   int
	over   bool
}

// NewDecoder returns a decoder with the table size that holds before any
// SETTINGS.
func NewDecoder() *Decoder {
	d := new(Decoder)
	d.hpack = hpack.NewDecoder(DefaultHeaderTableSize, d.add)
	return d
}

// AllowTable tells how large a dynamic table the encoder may ask for:
// SETTINGS_HEADER_TABLE_SIZE of the block's receiver. More than 1 MiB is not
// granted.
func (d *Decoder) AllowTable(size uint32) {
	d.hpack.SetAllowedMaxDynamicTableSize(min(size, maxTable))
}

// Decode decodes one whole block. The fields are good until the next call;
// their strings stay. The error is [ErrHeadTooLarge], with the fields that were
// within bounds, or an *[Error] that ends the connection.
func (d *Decoder) Decode(block []byte) ([]Field, error) {
	clear(d.fields)
	d.fields, d.size, d.over = d.fields[:0], 0, false
	d.hpack.SetEmitEnabled(true)
	if _, err := d.hpack.Write(block); err != nil {
		return nil, connError(CompressionError, err.Error())
	}
	if err := d.hpack.Close(); err != nil {
		return nil, connError(CompressionError, err.Error())
	}
	if d.over {
		return d.fields, ErrHeadTooLarge
	}
	return d.fields, nil
}

// Indexed reports whether a block only points to fields in the tables. It does
// not change them, and means the same again as long as no other block does.
func Indexed(block []byte) bool {
	for _, b := range block {
		if b < 0x80 || b == 0xff { // not 6.1 of RFC 7541, or an index of several bytes
			return false
		}
	}
	return true
}

// add takes a field as it is decoded.
func (d *Decoder) add(f Field) {
	d.size += int(f.Size())
	if d.size > MaxHead || len(d.fields) == MaxFields {
		d.over = true
		d.hpack.SetEmitEnabled(false) // the rest is followed only
		return
	}
	d.fields = append(d.fields, f)
}

// Block puts a header block together. A block of one frame is not copied. The
// zero value works.
type Block struct {
	Stream   uint32
	Promised uint32   // by a PUSH_PROMISE, else 0
	End      bool     // the HEADERS frame had END_STREAM
	Priority Priority // that it had
	bytes    []byte
	kept     []byte // for blocks of several frames
}

// Add takes the next HEADERS, PUSH_PROMISE or CONTINUATION frame, that
// [Checker.Check] has let through. It reports whether the block is whole; then
// Bytes is good as long as f's payload, and until the next Add.
func (b *Block) Add(f *Frame) bool {
	whole := f.Flags.Has(FlagEndHeaders)
	switch f.Type {
	case FrameContinuation:
		b.kept = append(b.kept, f.Payload...)
		b.bytes = b.kept
		return whole
	case FramePushPromise:
		b.Promised, b.End, b.Priority = f.Promised(), false, Priority{}
	default:
		b.Promised, b.End, b.Priority = 0, f.Flags.Has(FlagEndStream), f.Priority()
	}
	b.Stream = f.Stream
	b.bytes = f.Fragment()
	b.kept = nil
	if !whole {
		b.kept = append(make([]byte, 0, 2*len(b.bytes)), b.bytes...)
	}
	return whole
}

// Bytes is the whole block.
func (b *Block) Bytes() []byte { return b.bytes }

// Drop lets go of a block's bytes, which else are held until the next one.
func (b *Block) Drop() { b.bytes, b.kept = nil, nil }

// InBlock reports whether a frame begins a header block or goes on with one.
func (h Header) InBlock() bool {
	return h.Type == FrameHeaders || h.Type == FrameContinuation || h.Type == FramePushPromise
}
