package encoding

import (
	"bufio"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/sluice-proxy/sluice/codec"
)

// coding is one content coding.
type coding struct {
	name string

	// decode unfolds data to at most bound bytes; beyond, its error is errOver.
	decode func(data []byte, bound int) ([]byte, error)
	encode func(data []byte) ([]byte, error)

	// open begins to read a stream. What it returns is not used after the
	// first error, and released once.
	open func(*bufio.Reader) (stageReader, error)
	// writer begins to write a stream. What it returns is released once.
	writer func(io.Writer) (stageWriter, error)
}

type stageReader interface {
	io.Reader
	release()
}

type stageWriter interface {
	io.WriteCloser
	Flush() error
	release()
}

func find(name string) *coding {
	for _, c := range [...]*coding{&gzipCoding, &deflateCoding, &brotliCoding, &zstdCoding} {
		if c.name == name {
			return c
		}
	}
	return nil
}

var (
	errOver     = errors.New("unfolds too far")
	errTrailing = errors.New("more after the end")
)

// broken makes what a decoder says of its input at about offset one of ours.
func broken(name string, offset int, err error) error {
	msg := err.Error()
	switch {
	case errors.Is(err, errOver):
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return &codec.LimitError{Format: name, Limit: "window", Max: maxWindow}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		msg = "found the end in the middle of the data"
	}
	return &codec.SyntaxError{Format: name, Offset: offset, Msg: msg}
}

// drain reads all of r, which unfolds encoded bytes, up to bound.
func drain(r io.Reader, encoded, bound int) ([]byte, error) {
	// Most texts unfold to less than this; what is more grows by what came, not
	// by what a peer announced.
	out := make([]byte, 0, min(bound, 5*encoded+64)+1)
	for {
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case len(out) > bound:
			return nil, errOver
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
	}
}
