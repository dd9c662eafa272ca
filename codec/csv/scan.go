package csv

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
)

// cell is the place of a cell in a text, with its quotes.
type cell struct {
	start, end int32
	quoted     bool
}

// read returns what the cell of text says.
func (c cell) read(text string) string {
	if !c.quoted {
		return text[c.start:c.end]
	}
	return strings.ReplaceAll(text[c.start+1:c.end-1], `""`, `"`)
}

// line is the place of a row in a text: its end has no line end, and next is
// where the next line starts.
type line struct{ start, end, next int32 }

// scanner reads the rows of a text, one after the other.
type scanner struct {
	codec Codec
	data  []byte
	text  string // the same, if cells are to be read
	pos   int
	cells []cell // of the last row
}

func (s *scanner) bom() {
	if bytes.HasPrefix(s.data, []byte(bom)) {
		s.pos = len(bom)
	}
}

// row reads the next row, after blank lines. It returns false at the end.
func (s *scanner) row() (line, bool, error) {
	for s.pos < len(s.data) && isLineEnd(s.data[s.pos]) {
		s.pos++
	}
	if s.pos == len(s.data) {
		return line{}, false, nil
	}
	l := line{start: int32(s.pos)}
	comma := s.codec.comma()
	s.cells = s.cells[:0]
	for {
		if len(s.cells) == maxColumns {
			return line{}, false, &codec.LimitError{Format: s.codec.Name(), Limit: "fields", Max: maxColumns}
		}
		c := cell{start: int32(s.pos)}
		if s.pos < len(s.data) && s.data[s.pos] == '"' {
			c.quoted = true
			if err := s.quoted(); err != nil {
				return line{}, false, err
			}
		} else {
			for s.pos < len(s.data) && s.data[s.pos] != comma && !isLineEnd(s.data[s.pos]) {
				s.pos++
			}
		}
		c.end = int32(s.pos)
		s.cells = append(s.cells, c)
		if s.pos == len(s.data) || s.data[s.pos] != comma {
			break
		}
		s.pos++
	}
	l.end = int32(s.pos)
	s.pos += len(lineEndAt(s.data, s.pos))
	l.next = int32(s.pos)
	return l, true, nil
}

// quoted reads the cell whose opening quote it stands on.
func (s *scanner) quoted() error {
	start := s.pos
	for s.pos++; ; s.pos++ {
		i := bytes.IndexByte(s.data[s.pos:], '"')
		if i < 0 {
			return s.syntax(start, "a quote that is not closed")
		}
		s.pos += i + 1
		if s.pos == len(s.data) || isLineEnd(s.data[s.pos]) || s.data[s.pos] == s.codec.comma() {
			return nil
		}
		if s.data[s.pos] != '"' {
			return s.syntax(s.pos, fmt.Sprintf("found %q after a closing quote, expected the end of the cell", s.data[s.pos]))
		}
	}
}

func (s *scanner) syntax(at int, msg string) error {
	return &codec.SyntaxError{Format: s.codec.Name(), Offset: at, Msg: msg}
}

func isLineEnd(c byte) bool { return c == '\n' || c == '\r' }

// lineEndAt returns the line end at pos, which may be none.
func lineEndAt(data []byte, pos int) []byte {
	switch {
	case pos == len(data) || !isLineEnd(data[pos]):
		return nil
	case data[pos] == '\r' && pos+1 < len(data) && data[pos+1] == '\n':
		return data[pos : pos+2]
	}
	return data[pos : pos+1]
}

// head is the header row, or none.
type head struct {
	line  line
	cells []cell
	names []string       // of its columns, and after them of the cells beyond it
	index map[string]int // of names
}

func newHead(s *scanner, at line) (*head, error) {
	h := &head{line: at, cells: append([]cell(nil), s.cells...), index: make(map[string]int, len(s.cells))}
	for i, c := range h.cells {
		name := c.read(s.text)
		if name == "" {
			name = positional(i)
		}
		if !h.add(name) {
			return nil, s.syntax(int(c.start), "a second column of one name")
		}
	}
	return h, nil
}

// positional is the name of the column i, counted from zero, that has no other.
func positional(i int) string { return "_" + strconv.Itoa(i+1) }

func (h *head) add(name string) bool {
	if _, ok := h.index[name]; ok {
		return false
	}
	h.index[name] = len(h.names)
	h.names = append(h.names, name)
	return true
}

// value is the row that s has just read, as jq sees it.
func (h *head) value(s *scanner) (codec.Value, error) {
	if s.codec.NoHeader {
		row := make([]any, len(s.cells))
		for i, c := range s.cells {
			row[i] = c.read(s.text)
		}
		return row, nil
	}
	for i := len(h.names); i < len(s.cells); i++ {
		if !h.add(positional(i)) {
			return nil, s.syntax(int(s.cells[i].start), "a cell beyond the header row, whose name by position is that of a column")
		}
	}
	row := make(map[string]any, len(s.cells))
	for i, c := range s.cells {
		row[h.names[i]] = c.read(s.text)
	}
	return row, nil
}
