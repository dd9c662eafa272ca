package protobuf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/sluice-proxy/sluice/codec"
)

// PrefixSize is the length of what precedes each message of a gRPC stream.
const PrefixSize = 5

// Frame is one length-prefixed message of a gRPC stream.
type Frame struct {
	// Flags is the first byte: bit 0 says that Data is compressed. gRPC-Web
	// sets bit 7 on the frame that holds the trailers.
	Flags byte
	Data  []byte
}

// Compressed reports whether Data is compressed.
func (f Frame) Compressed() bool { return f.Flags&1 != 0 }

// ReadFrame reads one frame of at most limit bytes of data, 0 meaning 4 MiB. It
// returns [io.EOF] at a clean end, between frames, and [io.ErrUnexpectedEOF]
// within a frame. If the announced length is over the limit the error is a
// [*codec.LimitError], and only the prefix has been read.
func ReadFrame(r io.Reader, limit codec.Bytes) (Frame, error) {
	if limit == 0 {
		limit = 4 * codec.MiB
	}
	var prefix [PrefixSize]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return Frame{}, err
	}
	size := binary.BigEndian.Uint32(prefix[1:])
	if int64(size) > int64(limit) {
		return Frame{}, &codec.LimitError{Format: name, Limit: "size", Max: int64(limit)}
	}
	data, err := readSized(r, int(size))
	if err != nil {
		return Frame{}, fmt.Errorf("read message of %d bytes: %w", size, err)
	}
	return Frame{Flags: prefix[0], Data: data}, nil
}

// readSized takes memory only as data comes in: the length is the sender's word.
func readSized(r io.Reader, size int) ([]byte, error) {
	const step = 64 << 10
	data := make([]byte, 0, min(size, step))
	for len(data) < size {
		if len(data) == cap(data) {
			grown := make([]byte, len(data), min(size, 2*cap(data)))
			copy(grown, data)
			data = grown
		}
		n, err := io.ReadFull(r, data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// AppendFrame appends f with its prefix. Data of 4 GiB or more has no frame: it
// panics, as a limit must have refused it long before.
func AppendFrame(dst []byte, f Frame) []byte {
	if uint64(len(f.Data)) > math.MaxUint32 {
		panic("protobuf: AppendFrame of 4 GiB or more")
	}
	dst = append(dst, f.Flags)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.Data)))
	return append(dst, f.Data...)
}
