package encoding

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sluice-proxy/sluice/codec"
)

// Reader reads a body that comes bit by bit, its codings undone. It returns
// what the sender has flushed without waiting for more. A Reader belongs to one
// goroutine.
type Reader struct {
	source *counter
	limits Limits
	stages []*stage // in the order in which the bytes pass
	top    io.Reader
}

// NewReader returns a Reader of r. It reads nothing before its first Read. Of
// limits Ratio and Floor hold, for all that was read so far; Size does not, as
// a stream has no end: it is for who keeps what was read.
//
// Read's errors are those of [Stack.Decode], or r's own as they are. Close the
// Reader to give back its memory, which is up to 8 MiB for zstd, 16 for br, as
// the sender chose its window; it does not close r.
func (s Stack) NewReader(r io.Reader, limits Limits) *Reader {
	source := &counter{r: r}
	reader := &Reader{source: source, limits: limits.withDefaults(), top: source}
	for _, c := range slices.Backward(s.codings) {
		st := &stage{reader: reader, coding: c, in: bufio.NewReader(reader.top)}
		reader.stages = append(reader.stages, st)
		reader.top = st
	}
	return reader
}

// Read reads decoded bytes.
func (r *Reader) Read(p []byte) (int, error) { return r.top.Read(p) }

// Close releases what r holds. Reads after it fail.
func (r *Reader) Close() error {
	for _, st := range r.stages {
		_ = st.end(errClosed)
	}
	r.top = closed{}
	return nil
}

var errClosed = errors.New("read or written after Close")

type closed struct{}

func (closed) Read([]byte) (int, error)  { return 0, errClosed }
func (closed) Write([]byte) (int, error) { return 0, errClosed }

// counter counts what is read, and remembers why there is no more.
type counter struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.err = err
	return n, err
}

// stage undoes one coding.
type stage struct {
	reader *Reader
	coding *coding
	in     *bufio.Reader
	out    stageReader // nil before the first Read
	n      int64       // bytes read
	err    error
}

func (st *stage) Read(p []byte) (int, error) {
	if st.err != nil || len(p) == 0 {
		return 0, st.err
	}
	if st.out == nil {
		if err := st.open(); err != nil {
			return 0, st.end(err)
		}
	}
	n, err := st.out.Read(p)
	st.n += int64(n)
	if limits := st.reader.limits; st.n > limits.byRatio(st.reader.source.n) {
		return 0, st.end(&codec.LimitError{Format: st.coding.name, Limit: "ratio", Max: limits.Ratio})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = st.cause(err)
	}
	if err != nil {
		return n, st.end(err)
	}
	return n, nil
}

// open begins to decode. Its error is io.EOF if there is not even a first byte.
func (st *stage) open() error {
	if _, err := st.in.Peek(1); err != nil {
		return err
	}
	out, err := st.coding.open(st.in)
	if err != nil {
		return st.cause(err)
	}
	st.out = out
	return nil
}

// cause is why there is no more to be read: the source's error, what is said of
// an earlier stage, or what the decoder says of its input.
func (st *stage) cause(err error) error {
	if source := st.reader.source; source.err != nil && !errors.Is(source.err, io.EOF) {
		return source.err
	}
	for _, earlier := range st.reader.stages {
		if earlier == st {
			break
		}
		if earlier.err != nil && !errors.Is(earlier.err, io.EOF) {
			return earlier.err
		}
	}
	return broken(st.coding.name, int(st.reader.source.n), err)
}

// end settles that all further reads return err, and gives memory back.
func (st *stage) end(err error) error {
	if st.err == nil {
		st.err = err
	}
	if st.out != nil {
		st.out.release()
		st.out = nil
	}
	return st.err
}

// Writer applies a stack's codings to what is written. It belongs to one
// goroutine.
type Writer struct {
	stages []stageWriter // in the order in which the bytes pass
	top    io.Writer
}

// NewWriter returns a Writer to w, which it does not close.
func (s Stack) NewWriter(w io.Writer) (*Writer, error) {
	writer := &Writer{top: w}
	for _, c := range slices.Backward(s.codings) {
		st, err := c.writer(writer.top)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", c.name, err)
		}
		writer.stages = append(writer.stages, st)
		writer.top = st
	}
	slices.Reverse(writer.stages)
	return writer, nil
}

// Write encodes p. The codings keep some of it until Flush or Close.
func (w *Writer) Write(p []byte) (int, error) { return w.top.Write(p) }

// Flush writes out all that was written so far, so that a reader at the other
// end has it. Each costs a few bytes.
func (w *Writer) Flush() error {
	for _, st := range w.stages {
		if err := st.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the body and gives back what w holds. A second Close does nothing.
func (w *Writer) Close() error {
	var first error
	for _, st := range w.stages {
		if err := st.Close(); err != nil && first == nil {
			first = err
		}
	}
	for _, st := range w.stages {
		st.release()
	}
	w.stages, w.top = nil, closed{}
	return first
}
