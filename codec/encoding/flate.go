package encoding

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// gzipCoding is RFC 1952.
var gzipCoding = coding{name: "gzip", decode: gunzip, encode: gzipped, open: openGzip, writer: writeGzip}

// deflateCoding is RFC 1950, and on reading also RFC 1951 without it.
var deflateCoding = coding{name: "deflate", decode: inflate, encode: deflated, open: openDeflate, writer: writeDeflate}

// The pools hold what takes hundreds of KiB to set up. A decoder keeps a window
// of 32 KiB of what went through it, which no Reset lets anyone read again.
var (
	gunzippers sync.Pool // of *gunzipper
	inflaters  sync.Pool // of *inflater
	gzippers   sync.Pool // of *gzipper
	deflaters  sync.Pool // of *deflater
)

type gunzipper struct {
	gzip.Reader
	data bytes.Reader
}

func newGunzipper() *gunzipper {
	if z, ok := gunzippers.Get().(*gunzipper); ok {
		return z
	}
	return new(gunzipper)
}

func (z *gunzipper) release() {
	z.data.Reset(nil)
	_ = z.Reset(&z.data) // lets go of a stream's reader, and finds no header
	gunzippers.Put(z)
}

func gunzip(data []byte, bound int) ([]byte, error) {
	z := newGunzipper()
	defer z.release()
	z.data.Reset(data)
	err := z.Reset(&z.data)
	var out []byte
	if err == nil {
		out, err = drain(z, len(data), bound)
	}
	if err != nil {
		return nil, broken("gzip", len(data)-z.data.Len(), err)
	}
	return out, nil
}

func openGzip(r *bufio.Reader) (stageReader, error) {
	z := newGunzipper()
	if err := z.Reset(r); err != nil {
		z.release()
		return nil, err
	}
	return z, nil
}

// inflater reads deflate with or without its wrapper.
type inflater struct {
	zlib    io.ReadCloser // also a zlib.Resetter; nil until first needed
	raw     io.ReadCloser // also a flate.Resetter
	current io.Reader
	source  io.ByteReader
	data    bytes.Reader
}

func newInflater() *inflater {
	if f, ok := inflaters.Get().(*inflater); ok {
		return f
	}
	return new(inflater)
}

func (f *inflater) release() {
	f.data.Reset(nil)
	if f.source != &f.data { // let go of a stream's reader
		f.raw, f.zlib = nil, nil
	}
	f.current, f.source = nil, nil
	inflaters.Put(f)
}

type byteSource interface {
	io.Reader
	io.ByteReader
}

// reset reads from source, of which the first bytes are head.
func (f *inflater) reset(source byteSource, head []byte) error {
	f.source = source
	var err error
	switch {
	case !wrapped(head) && f.raw == nil:
		f.raw = flate.NewReader(source)
	case !wrapped(head):
		err = f.raw.(flate.Resetter).Reset(source, nil)
	case f.zlib == nil:
		f.zlib, err = zlib.NewReader(source)
	default:
		err = f.zlib.(zlib.Resetter).Reset(source, nil)
	}
	f.current = f.raw
	if wrapped(head) {
		f.current = f.zlib
	}
	return err
}

// wrapped reports whether head is that of zlib (RFC 1950, 2.2). Bare deflate
// that looks like it would begin with a stored block that is not the last and
// with padding that is not zero: nobody writes that.
func wrapped(head []byte) bool {
	return len(head) >= 2 && head[0]&0x0f == 8 && head[0]>>4 <= 7 && (int(head[0])<<8|int(head[1]))%31 == 0
}

func (f *inflater) Read(p []byte) (int, error) {
	n, err := f.current.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if _, more := f.source.ReadByte(); more == nil {
		err = errTrailing
	} else if !errors.Is(more, io.EOF) {
		err = more
	}
	return n, err
}

func inflate(data []byte, bound int) ([]byte, error) {
	f := newInflater()
	defer f.release()
	f.data.Reset(data)
	err := f.reset(&f.data, data)
	var out []byte
	if err == nil {
		out, err = drain(f, len(data), bound)
	}
	if err != nil {
		return nil, broken("deflate", len(data)-f.data.Len(), err)
	}
	return out, nil
}

func openDeflate(r *bufio.Reader) (stageReader, error) {
	head, err := r.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	f := newInflater()
	if err := f.reset(r, head); err != nil {
		f.release()
		return nil, err
	}
	return f, nil
}

type gzipper struct {
	*gzip.Writer
	out bytes.Buffer
}

func newGzipper() *gzipper {
	if z, ok := gzippers.Get().(*gzipper); ok {
		return z
	}
	return &gzipper{Writer: gzip.NewWriter(nil)}
}

func (z *gzipper) release() {
	z.Reset(nil)
	gzippers.Put(z)
}

func gzipped(data []byte) ([]byte, error) {
	z := newGzipper()
	defer z.release()
	z.Reset(&z.out)
	return encodeAll(z.Writer, &z.out, data)
}

func writeGzip(w io.Writer) (stageWriter, error) {
	z := newGzipper()
	z.Reset(w)
	return z, nil
}

type deflater struct {
	*zlib.Writer
	out bytes.Buffer
}

func newDeflater() *deflater {
	if f, ok := deflaters.Get().(*deflater); ok {
		return f
	}
	return &deflater{Writer: zlib.NewWriter(nil)}
}

func (f *deflater) release() {
	f.Reset(nil)
	deflaters.Put(f)
}

func deflated(data []byte) ([]byte, error) {
	f := newDeflater()
	defer f.release()
	f.Reset(&f.out)
	return encodeAll(f.Writer, &f.out, data)
}

func writeDeflate(w io.Writer) (stageWriter, error) {
	f := newDeflater()
	f.Reset(w)
	return f, nil
}

// keptBuffer is the size up to which a pooled encoder keeps its output buffer.
const keptBuffer = 64 << 10

// encodeAll writes data through w, which writes to out, and returns a copy of
// what came there.
func encodeAll(w io.WriteCloser, out *bytes.Buffer, data []byte) ([]byte, error) {
	defer func() {
		if out.Cap() > keptBuffer {
			*out = bytes.Buffer{}
		}
		out.Reset()
	}()
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if out.Cap() > keptBuffer {
		return out.Bytes(), nil
	}
	return bytes.Clone(out.Bytes()), nil
}
