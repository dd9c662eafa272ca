package csv

import (
	"bytes"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// editor writes changed rows onto the text that they were decoded from.
type editor struct {
	writer
	text    scanner
	head    *head
	columns columns
	lines   []line
	pos     int    // the text from here on is still to be copied or to be left out
	lineEnd string // of the line before
	style   style  // of the line before
	pairer  value.Pairer
}

// style says which cells of a row are in quotes.
type style struct {
	known  bool
	quoted []bool
}

func (s style) at(i int) bool {
	return len(s.quoted) > 0 && s.quoted[min(i, len(s.quoted)-1)]
}

func styleOf(cells []cell) style {
	quoted := make([]bool, len(cells))
	for i, c := range cells {
		quoted[i] = c.quoted
	}
	return style{true, quoted}
}

func (o *Original) editor() *editor {
	return &editor{
		writer: writer{codec: o.codec}, text: scanner{codec: o.codec, data: o.data},
		head: o.head, lineEnd: o.codec.lineEnd(),
	}
}

func (o *Original) edit(after []any) ([]byte, error) {
	e := o.editor()
	pairs := e.pairer.Pair(o.rows, after)
	if value.InPlace(pairs, len(o.rows)) && value.Equal(o.rows, after) {
		return o.data, nil
	}
	if !o.codec.NoHeader {
		var err error
		if e.columns, err = o.head.plan(o.codec, o.rows, after); err != nil {
			return nil, err
		}
	}
	e.index(o.body)
	e.header(o)
	if err := e.rows(o.rows, after, pairs); err != nil {
		return nil, err
	}
	if e.endsOpen() {
		e.out = bytes.TrimSuffix(bytes.TrimSuffix(e.out, []byte("\n")), []byte("\r"))
	}
	return e.out, nil
}

// endsOpen reports whether the last line of the text had no end.
func (e *editor) endsOpen() bool {
	last := e.head.line
	if len(e.lines) > 0 {
		last = e.lines[len(e.lines)-1]
	}
	return last.end > 0 && last.end == last.next
}

// index finds all rows, and the line end of the first line.
func (e *editor) index(body int) {
	e.text.pos = body
	for {
		l, ok, err := e.text.row()
		if err != nil || !ok { // no error: Decode accepted it
			break
		}
		e.lines = append(e.lines, l)
	}
	if len(e.lines) > 0 {
		e.learn(e.lines[0])
	}
	e.learn(e.head.line)
}

func (e *editor) learn(l line) {
	if l.end < l.next {
		e.lineEnd = string(e.text.data[l.end:l.next])
	}
}

// keepTo copies the text up to end.
func (e *editor) keepTo(end int) {
	e.out = append(e.out, e.text.data[e.pos:end]...)
	e.pos = end
}

// header writes everything up to the end of the header row's line.
func (e *editor) header(o *Original) {
	h := o.head
	if h.cells == nil {
		e.keepTo(o.body)
		if !e.columns.added() {
			return
		}
	}
	e.keepTo(max(e.pos, int(h.line.start)))
	if !e.columns.changed {
		e.keepTo(int(h.line.next))
		return
	}
	e.headerRow()
	e.pos = max(e.pos, int(h.line.end))
	e.keepTo(max(e.pos, int(h.line.next)))
	e.separate(e.lineEnd)
}

func (e *editor) headerRow() {
	h := e.head
	last := style{}
	if n := len(h.cells); n > 0 {
		last = styleOf(h.cells[n-1:])
	}
	e.begin()
	for i, col := range e.columns.list[:e.columns.full] {
		var text []byte
		if col.old >= 0 && col.old < len(h.cells) {
			text = e.text.data[h.cells[col.old].start:h.cells[col.old].end]
		}
		switch unnamed := len(text) == 0 || string(text) == `""`; {
		case col.old < 0:
			e.cell(col.name, last.at(0))
		case unnamed && e.columns.moved(i):
			e.cell(col.name, false)
		default:
			e.raw(text)
		}
	}
	e.end()
}

// rows writes the rows and what is between them. As long as they keep their
// order, blank lines stay where they are; else they follow their rows.
func (e *editor) rows(before, after []any, pairs []int) error {
	inOrder := ascending(pairs)
	last := -1 // the row that was written last, of those that were there
	if !inOrder {
		e.keepTo(int(e.lines[0].start))
	}
	for i, j := range pairs {
		var err error
		switch {
		case j < 0:
			err = e.fresh(last, after[i])
		case inOrder:
			e.leaveOut(last+1, j)
			err = e.kept(j, before[j], after[i])
			last = j
		default:
			e.pos = int(e.lines[j].start)
			err = e.kept(j, before[j], after[i])
			e.keepTo(e.gapEnd(j))
			last = j
		}
		if err != nil {
			return value.Within(value.Index(i), err)
		}
	}
	if inOrder {
		e.leaveOut(last+1, len(e.lines))
		e.keepTo(len(e.text.data))
	}
	return nil
}

func ascending(pairs []int) bool {
	last := -1
	for _, j := range pairs {
		if j < 0 {
			continue
		}
		if j < last {
			return false
		}
		last = j
	}
	return true
}

// leaveOut leaves out the rows from, from+1, ... up to but not including to.
func (e *editor) leaveOut(from, to int) {
	for _, l := range e.lines[from:to] {
		e.keepTo(int(l.start))
		e.pos = int(l.next)
	}
}

// gapEnd is where the blank lines after row j end.
func (e *editor) gapEnd(j int) int {
	if j+1 < len(e.lines) {
		return int(e.lines[j+1].start)
	}
	return len(e.text.data)
}

// kept writes row j, which was decoded as before, as after.
func (e *editor) kept(j int, before, after any) error {
	l := e.lines[j]
	e.keepTo(int(l.start))
	e.separate(e.lineEnd)
	if err := e.line(l, before, after); err != nil {
		return err
	}
	e.pos = int(l.end)
	e.keepTo(int(l.next))
	e.learn(l)
	e.style.known = false
	return nil
}

// line writes the row at l, which was decoded as before, as after.
func (e *editor) line(l line, before, after any) error {
	text := e.text.data[l.start:l.end]
	if !e.columns.changed && !e.becomesMark(text) && value.Equal(before, after) {
		e.out = append(e.out, text...)
		return nil
	}
	cells := e.cellsOf(l)
	e.begin()
	defer e.end()
	if e.codec.NoHeader {
		return e.array(cells, before.([]any), after)
	}
	return e.object(cells, before.(map[string]any), after.(map[string]any))
}

func (e *editor) cellsOf(l line) []cell {
	e.text.pos = int(l.start)
	_, _, _ = e.text.row() // Decode accepted it
	return e.text.cells
}

func (e *editor) object(cells []cell, before, after map[string]any) error {
	for _, col := range e.columns.list[:e.columns.count(e.head, len(cells), after)] {
		var err error
		if col.old >= 0 && col.old < len(cells) {
			err = e.edited(cells[col.old], before[col.name], after[col.name])
		} else {
			err = e.value(after[col.name], cells[len(cells)-1].quoted)
		}
		if err != nil {
			return value.Within(value.Key(col.name), err)
		}
	}
	return nil
}

func (e *editor) array(cells []cell, before []any, after any) error {
	row, err := e.arrayRow(after)
	if err != nil {
		return err
	}
	quoted := cells[0].quoted
	for i, j := range e.pairer.Pair(before, row) {
		if j >= 0 {
			quoted = cells[j].quoted
			err = e.edited(cells[j], before[j], row[i])
		} else {
			err = e.value(row[i], quoted)
		}
		if err != nil {
			return value.Within(value.Index(i), err)
		}
	}
	return nil
}

func (e *editor) arrayRow(v any) ([]any, error) {
	row, ok := v.([]any)
	if !ok {
		return nil, e.codec.inexpressible("a row is an array, and " + value.TypeName(v) + " is none")
	}
	if len(row) == 0 {
		return nil, e.codec.inexpressible("a row has at least one cell")
	}
	return row, nil
}

// edited writes the cell c, which was decoded as before, as after.
func (e *editor) edited(c cell, before, after codec.Value) error {
	text, err := e.codec.textOf(after)
	if err != nil {
		return err
	}
	if before == any(text) {
		e.raw(e.text.data[c.start:c.end])
		return nil
	}
	e.cell(text, c.quoted)
	return nil
}

// fresh writes a new row in the style of the row before, of the header row if
// there is none, or of the first row.
func (e *editor) fresh(last int, v any) error {
	if !e.style.known {
		switch {
		case last >= 0:
			e.style = styleOf(e.cellsOf(e.lines[last]))
		case len(e.head.cells) > 0:
			e.style = styleOf(e.head.cells)
		case len(e.lines) > 0:
			e.style = styleOf(e.cellsOf(e.lines[0]))
		}
		e.style.known = true
	}
	e.separate(e.lineEnd)
	e.begin()
	if err := e.freshRow(v); err != nil {
		return err
	}
	e.end()
	e.out = append(e.out, e.lineEnd...)
	return nil
}

func (e *editor) freshRow(v any) error {
	if e.codec.NoHeader {
		row, err := e.arrayRow(v)
		for i := 0; i < len(row) && err == nil; i++ {
			err = value.Within(value.Index(i), e.value(row[i], e.style.at(i)))
		}
		return err
	}
	row := v.(map[string]any) // plan has seen it
	n := e.columns.widthOfNew(row)
	if n == 0 {
		return e.codec.inexpressible("a row has at least one cell")
	}
	for i, col := range e.columns.list[:n] {
		if err := e.value(row[col.name], e.style.at(i)); err != nil {
			return value.Within(value.Key(col.name), err)
		}
	}
	return nil
}
