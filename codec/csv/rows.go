package csv

import (
	"bytes"
	"math"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// Rows reads and writes one text row by row as its bytes come, and holds no
// more of it than a row. It is of one stream: Next cuts off a row, Decode reads
// it, Encode writes it, and then comes the next. It is not safe for concurrent
// use.
//
// The header row waits for the first row that is written, and what that row
// leaves decides the columns of them all: keys that it adds are new columns,
// keys that it lacks are removed. A later row with another key is an
// [*codec.ExpressError]. So every row that is to be sent goes through Encode,
// also one that nothing changes.
type Rows struct {
	codec  Codec
	limits codec.Limits
	cutter cutter
	begun  bool   // the first row was cut off
	ended  bool   // what is left of the stream is in top
	lead   int    // where in the row that was cut off last, the row begins
	top    []byte // what stands before the first row, until it is written
	bad    error  // of the header row

	head    *head
	planned bool
	columns columns
	lineEnd string
	last    []cell // of the row that was decoded last
	read    int64  // bytes of rows
	padding int64  // cells that were written beyond those that were read
}

// Rows returns a reader and writer of one stream. Of limits, Size bounds a row.
func (c Codec) Rows(limits codec.Limits) *Rows {
	limits = limits.WithDefaults()
	limits.Size = min(limits.Size, math.MaxInt32)
	return &Rows{codec: c, limits: limits, head: &head{}, lineEnd: c.lineEnd()}
}

// Name returns the codec's name.
func (r *Rows) Name() string { return r.codec.Name() }

// Next returns how many bytes of buf come next in the stream, and row if these
// are a row with its line end, the first together with all that stands before
// it; nil if they are to be passed on as they are. It returns 0 if it needs more
// bytes; at the end of the stream it may leave blank lines, which End returns if no
// row was written before them. buf begins where the last call left off, and final says that it ends
// with the stream. The only error is a [*codec.LimitError]. row is part of buf.
func (r *Rows) Next(buf []byte, final bool) (n int, row []byte, err error) {
	if r.ended {
		return 0, nil, nil
	}
	n, rows := r.cutter.cut(r.codec, buf, final, r.begun, !r.begun || r.top != nil)
	held := n
	if n == 0 {
		held = len(buf)
	}
	if held > int(r.limits.Size) {
		return 0, nil, &codec.LimitError{Format: r.Name(), Limit: "size", Max: int64(r.limits.Size)}
	}
	switch {
	case n == 0:
		return 0, nil, nil
	case rows == 0 && r.top != nil: // blank lines after all that was dropped
		r.ended = true
		r.top = append(r.top, buf[:n]...)
		return 0, nil, nil
	case rows == 0:
		return n, nil, nil
	case !r.begun:
		r.begun = true
		r.begin(buf[:n])
	default:
		for r.lead = 0; isLineEnd(buf[r.lead]); r.lead++ {
		}
		if r.lead > 0 && len(r.top)+r.lead <= int(r.limits.Size) { // only as long as there is a top for it
			r.top = append(r.top, buf[:r.lead]...)
		}
	}
	return n, buf[:n:n], nil
}

// begin reads what stands before the first row in first.
func (r *Rows) begin(first []byte) {
	s := scanner{codec: r.codec, data: first, text: string(first)}
	s.bom()
	if !r.codec.NoHeader {
		line, _, err := s.row()
		if err == nil {
			var h *head
			if h, err = newHead(&s, line); err == nil {
				r.head = h
				r.learn(first, line)
			}
		}
		r.bad = err
	}
	for s.pos < len(first) && isLineEnd(first[s.pos]) {
		s.pos++
	}
	r.lead = s.pos
	r.top = bytes.Clone(first[:s.pos])
}

func (r *Rows) learn(data []byte, l line) {
	if l.end < l.next {
		r.lineEnd = string(data[l.end:l.next])
	}
}

// rowOriginal is what Decode keeps of a row.
type rowOriginal struct {
	data  []byte
	line  line
	value codec.Value
}

// Decode reads the row that Next has just returned, with the limits that Rows
// was made with.
func (r *Rows) Decode(row []byte, _ codec.Limits) (codec.Value, codec.Original, error) {
	if err := r.codec.check(row, r.limits); err != nil {
		return nil, nil, err
	}
	if r.bad != nil {
		return nil, nil, r.bad
	}
	s := scanner{codec: r.codec, data: row, text: string(row), pos: min(r.lead, len(row)), cells: r.last}
	l, ok, err := s.row()
	if err == nil && !ok {
		err = s.syntax(s.pos, "found the end, expected a row")
	}
	if err != nil {
		return nil, nil, err
	}
	known := len(r.head.names)
	v, err := r.head.value(&s)
	if err != nil {
		return nil, nil, err
	}
	r.last, r.read = s.cells, r.read+int64(len(row))
	r.learn(row, l)
	if r.planned && !r.columns.changed { // else they have no place
		for i, name := range r.head.names[known:] {
			r.columns.add(column{known + i, name})
			r.columns.old++
		}
	}
	return v, &rowOriginal{row, l, v}, nil
}

// Encode writes v as a row, onto original or, if that is nil, as a new one. The
// first that is written comes with all that stands before it. Its error may also
// be a [*codec.LimitError]: under a wide header row, short rows become long ones
// only within reason.
func (r *Rows) Encode(original codec.Original, v codec.Value) ([]byte, error) {
	o, _ := original.(*rowOriginal)
	if err := r.plan(o, v); err != nil {
		return nil, err
	}
	if o != nil && r.top == nil && r.asItWas(o, v) && o.line.start == 0 {
		return o.data, nil
	}
	e := editor{
		writer: writer{codec: r.codec, midway: r.top == nil}, head: r.head, columns: r.columns, lineEnd: r.lineEnd,
	}
	if r.top != nil {
		e.text = scanner{codec: r.codec, data: r.top}
		e.keepTo(int(r.head.line.start))
		if r.columns.changed {
			e.headerRow()
			e.pos = int(r.head.line.end)
		}
		e.keepTo(len(r.top))
		e.separate(e.lineEnd)
	}
	var err error
	if o != nil {
		e.text, e.pos = scanner{codec: r.codec, data: o.data}, int(o.line.end)
		if err = e.line(o.line, o.value, v); err == nil {
			e.keepTo(len(o.data))
		}
	} else {
		e.style = styleOf(r.last)
		err = e.fresh(-1, v)
	}
	if err != nil {
		return nil, err
	}
	r.padding += int64(max(0, e.cells-len(r.last)))
	if most := minCells + paddingPerByte*r.read; r.padding > most {
		return nil, &codec.LimitError{Format: r.Name(), Limit: "fields", Max: most}
	}
	r.top = nil
	return e.out, nil
}

func (r *Rows) asItWas(o *rowOriginal, v codec.Value) bool {
	return !r.columns.changed && value.Equal(o.value, v)
}

// plan settles the columns with the first row, and checks that later ones fit.
func (r *Rows) plan(o *rowOriginal, v codec.Value) error {
	if r.codec.NoHeader {
		return nil
	}
	row, ok := v.(map[string]any)
	if !ok {
		return r.codec.inexpressible("a row is an object, and " + value.TypeName(v) + " is none")
	}
	if r.planned && r.top == nil {
		for name := range row {
			if _, ok := r.columns.places[name]; !ok {
				return value.Within(value.Key(name), r.codec.inexpressible("the header row was written without this column"))
			}
		}
		return nil
	}
	var before []any
	if o != nil {
		before = []any{o.value}
	}
	cols, err := r.head.plan(r.codec, before, []any{row})
	if err != nil {
		return unindexed(err)
	}
	r.columns, r.planned = cols, true
	return nil
}

// unindexed takes the index of the only row from the path of an error.
func unindexed(err error) error {
	e, ok := err.(*codec.ExpressError)
	if !ok {
		return err
	}
	path := e.Path[len(".[0]"):]
	if path == "" || path[0] == '[' {
		path = "." + path
	}
	return &codec.ExpressError{Format: e.Format, Path: path, Msg: e.Msg}
}

// Pass returns what is written for a row that Next has just returned and that goes
// on as it came, without being read. It fails if the columns have changed.
func (r *Rows) Pass(row []byte) ([]byte, error) {
	if r.planned && r.columns.changed {
		return nil, r.codec.inexpressible("the header row was written with other columns than this row has")
	}
	out := row[min(r.lead, len(row)):]
	if r.top != nil {
		out = append(r.top[:len(r.top):len(r.top)], out...)
	}
	if !r.planned {
		r.columns, r.planned = r.head.unchanged(), true
	}
	r.top = nil
	return out, nil
}

// Terminate returns row with a line end if it has none, so that another row may
// follow what was the last.
func (r *Rows) Terminate(row []byte) []byte {
	if len(row) == 0 || isLineEnd(row[len(row)-1]) {
		return row
	}
	return append(row[:len(row):len(row)], r.lineEnd...)
}

// End returns what is still to be written at the end of the stream: all that was
// no row, if none was written.
func (r *Rows) End() []byte {
	top := r.top
	r.top = nil
	return top
}
