package proxy

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/sluice-proxy/sluice/codec"
)

// maxRatio is how many times its own size a compressed body may unfold to.
const maxRatio = 100

// coding undoes and redoes a Content-Encoding (RFC 9110, 8.4). A nil coding is
// identity.
type coding struct {
	name   string
	reader func(io.Reader) (io.Reader, error)
	writer func(io.Writer) (io.WriteCloser, error)
}

var codings = map[string]*coding{
	"gzip": {"gzip",
		func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }},
	"deflate": {"deflate",
		func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
		func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil }},
	"br": {"br",
		func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
		func(w io.Writer) (io.WriteCloser, error) { return brotli.NewWriter(w), nil }},
	"zstd": {"zstd",
		func(r io.Reader) (io.Reader, error) {
			d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
			if err != nil {
				return nil, err
			}
			return d.IOReadCloser(), nil
		},
		func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) }},
}

// codingOf finds the coding that the values of Content-Encoding name.
func codingOf(values []string) (*coding, error) {
	name := strings.ToLower(strings.TrimSpace(strings.Join(values, ",")))
	switch name {
	case "", "identity":
		return nil, nil
	case "x-gzip":
		name = "gzip"
	}
	if c, ok := codings[name]; ok {
		return c, nil
	}
	return nil, fmt.Errorf("content coding %.32q is not known", name)
}

// decode unfolds data to at most limit bytes.
func (c *coding) decode(data []byte, limit int64) ([]byte, error) {
	if c == nil {
		return data, nil
	}
	// A small body may unfold a lot in proportion and still be harmless.
	limit = min(limit, max(int64(len(data))*maxRatio, 64<<10))
	r, err := c.reader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", c.name, err)
	}
	if closer, ok := r.(io.Closer); ok {
		defer closer.Close()
	}
	plain, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("decode %s: %w", c.name, err)
	case int64(len(plain)) > limit:
		return nil, fmt.Errorf("decode %s: %w", c.name, &codec.LimitError{Format: c.name, Limit: "size", Max: limit})
	}
	return plain, nil
}

func (c *coding) encode(plain []byte) ([]byte, error) {
	if c == nil {
		return plain, nil
	}
	var out bytes.Buffer
	w, err := c.writer(&out)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", c.name, err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("encode %s: %w", c.name, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encode %s: %w", c.name, err)
	}
	return out.Bytes(), nil
}
