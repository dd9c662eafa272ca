package encoding

import (
	"bufio"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdCoding is RFC 8878 within the window of RFC 9659.
var zstdCoding = coding{name: "zstd", decode: unzstd, encode: zstded, open: openZstd, writer: writeZstd}

const (
	maxWindow   = 8 << 20   // RFC 9659, 3
	maxBlock    = 128 << 10 // RFC 8878, 3.1.1.2
	writeWindow = 512 << 10 // of what is written: every decoder has to make room for it
)

var (
	zstdDecoders sync.Pool // of *zstd.Decoder, for whole bodies: they have no window of their own
	zstdEncoders sync.Pool // of *zstdWriter
)

// unzstd decodes to memory whose size is guessed first from what the frame
// announces and what its length makes likely, and then in strides.
func unzstd(data []byte, bound int) ([]byte, error) {
	d, ok := zstdDecoders.Get().(*zstd.Decoder)
	if !ok {
		var err error
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return nil, err
		}
	}
	defer zstdDecoders.Put(d)
	guess := 5*len(data) + 64
	var head zstd.Header
	if err := head.Decode(data); err == nil && head.HasFCS {
		if head.SingleSegment && head.FrameContentSize > maxWindow {
			return nil, broken("zstd", 0, zstd.ErrWindowSizeExceeded)
		}
		guess = int(min(head.FrameContentSize, uint64(16*len(data)))) + 16
	}
	for {
		room := guess
		if guess >= bound {
			room = bound + maxBlock // so that the block in which it ends is no reason to fail
		}
		out, err := d.DecodeAll(data, make([]byte, 0, room))
		switch {
		case len(out) > bound, guess >= bound && errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return nil, errOver
		case err == nil:
			return out, nil
		case guess >= bound || isFinal(err):
			return nil, broken("zstd", 0, err)
		}
		guess *= 4
	}
}

// isFinal reports whether more room would change nothing. What the decoder says
// where there is too little differs from one version of its assembly to another.
func isFinal(err error) bool {
	for _, final := range []error{zstd.ErrMagicMismatch, zstd.ErrWindowSizeExceeded, zstd.ErrUnknownDictionary, zstd.ErrReservedBlockType, io.ErrUnexpectedEOF} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

type zstdReader struct{ *zstd.Decoder }

func (r zstdReader) release() { r.Close() }

// openZstd makes a decoder of its own: what it holds is as large as the peer's
// window, too large to be kept.
func openZstd(source *bufio.Reader) (stageReader, error) {
	d, err := zstd.NewReader(source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
	if err != nil {
		return nil, err
	}
	return zstdReader{d}, nil
}

type zstdWriter struct{ *zstd.Encoder }

func newZstdWriter() (*zstdWriter, error) {
	if w, ok := zstdEncoders.Get().(*zstdWriter); ok {
		return w, nil
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(writeWindow))
	return &zstdWriter{e}, err
}

func (w *zstdWriter) release() {
	w.Reset(nil)
	zstdEncoders.Put(w)
}

func zstded(data []byte) ([]byte, error) {
	w, err := newZstdWriter()
	if err != nil {
		return nil, err
	}
	defer w.release()
	return w.EncodeAll(data, make([]byte, 0, len(data)/2+64)), nil
}

func writeZstd(target io.Writer) (stageWriter, error) {
	w, err := newZstdWriter()
	if err != nil {
		return nil, err
	}
	w.Reset(target)
	return w, nil
}
