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
		guess = min(guess, bound)
		out, err := d.DecodeAll(data, make([]byte, 0, guess))
		switch {
		case err == nil:
			return out, nil
		case !errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return nil, broken("zstd", 0, err)
		case guess == bound:
			return nil, errOver
		}
		guess *= 4
	}
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
