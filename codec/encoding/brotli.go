package encoding

import (
	"bufio"
	"bytes"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
)

// brotliCoding is RFC 7932. Its window is at most 16 MiB, which a peer's first
// bytes can make the decoder take.
var brotliCoding = coding{name: "br", decode: unbrotli, encode: brotlied, open: openBrotli, writer: writeBrotli}

// brotliQuality takes two to four times as long as gzip, and saves a tenth more;
// 11, which servers use for files they keep, takes a hundred times as long.
const brotliQuality = 3

var (
	brotliReaders sync.Pool // of *brotliReader
	brotliWriters sync.Pool // of *brotliWriter
)

type brotliReader struct {
	brotli.Reader
	data bytes.Reader
}

func newBrotliReader() *brotliReader {
	if r, ok := brotliReaders.Get().(*brotliReader); ok {
		return r
	}
	return new(brotliReader)
}

func (r *brotliReader) release() {
	r.data.Reset(nil)
	_ = r.Reset(&r.data) // never fails, and drops the window
	brotliReaders.Put(r)
}

func unbrotli(data []byte, bound int) ([]byte, error) {
	r := newBrotliReader()
	defer r.release()
	r.data.Reset(data)
	_ = r.Reset(&r.data)
	out, err := drain(r, len(data), bound)
	if err != nil {
		return nil, broken("br", len(data)-r.data.Len(), err)
	}
	return out, nil
}

func openBrotli(source *bufio.Reader) (stageReader, error) {
	r := newBrotliReader()
	return r, r.Reset(source)
}

type brotliWriter struct {
	*brotli.Writer
	out bytes.Buffer
}

func newBrotliWriter() *brotliWriter {
	if w, ok := brotliWriters.Get().(*brotliWriter); ok {
		return w
	}
	return &brotliWriter{Writer: brotli.NewWriterLevel(nil, brotliQuality)}
}

func (w *brotliWriter) release() {
	w.Reset(nil)
	brotliWriters.Put(w)
}

func brotlied(data []byte) ([]byte, error) {
	w := newBrotliWriter()
	defer w.release()
	w.Reset(&w.out)
	return encodeAll(w.Writer, &w.out, data)
}

func writeBrotli(target io.Writer) (stageWriter, error) {
	w := newBrotliWriter()
	w.Reset(target)
	return w, nil
}
