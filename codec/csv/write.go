package csv

import (
	"bytes"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
	"github.com/sluice-proxy/sluice/codec/json"
)

// textOf is the text of v in a cell.
func (c Codec) textOf(v codec.Value) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return strings.ToValidUTF8(v, "\ufffd"), nil
	case bool:
		if v {
			return "true", nil
		}
		return "false", nil
	}
	if !value.IsNumber(v) {
		return "", c.inexpressible("a cell is text, and " + value.TypeName(v) + " is none")
	}
	text, err := json.Codec{}.Encode(nil, v) // spells numbers
	if err != nil {
		return "", c.inexpressible("a number that has no text")
	}
	return string(text), nil
}

// writer writes rows from scratch.
type writer struct {
	codec  Codec
	out    []byte
	midway bool // out is no beginning of a text
	row    int  // where in out the row begins that is being written
	cells  int  // of that row so far
}

func (w *writer) begin() { w.row, w.cells = len(w.out), 0 }

// end closes a row, which without a byte would be a blank line.
func (w *writer) end() {
	if len(w.out) == w.row {
		w.out = append(w.out, `""`...)
	}
}

func (w *writer) comma() {
	if w.cells++; w.cells > 1 {
		w.out = append(w.out, w.codec.comma())
	}
}

// raw writes the text of a cell as it was.
func (w *writer) raw(text []byte) {
	if w.becomesMark(text) {
		w.cell(string(text), true)
		return
	}
	w.comma()
	w.out = append(w.out, text...)
}

// becomesMark reports whether text would begin the whole text with a byte order
// mark, and so lose it.
func (w *writer) becomesMark(text []byte) bool {
	return len(w.out) == 0 && !w.midway && bytes.HasPrefix(text, []byte(bom))
}

func (w *writer) cell(text string, quoted bool) {
	w.comma()
	if !quoted && !w.codec.needsQuotes(text) {
		w.out = append(w.out, text...)
		return
	}
	w.out = append(w.out, '"')
	for {
		before, after, found := strings.Cut(text, `"`)
		w.out = append(w.out, before...)
		if !found {
			break
		}
		w.out = append(w.out, `""`...)
		text = after
	}
	w.out = append(w.out, '"')
}

// needsQuotes is true also of spaces at the ends, which some readers trim, and
// of what might become a byte order mark.
func (c Codec) needsQuotes(text string) bool {
	if text == "" {
		return false
	}
	return text[0] == ' ' || text[len(text)-1] == ' ' || strings.ContainsAny(text, "\"\r\n") ||
		strings.IndexByte(text, c.comma()) >= 0 || strings.HasPrefix(text, bom)
}

// value writes v as a cell.
func (w *writer) value(v codec.Value, quoted bool) error {
	text, err := w.codec.textOf(v)
	if err != nil {
		return err
	}
	w.cell(text, quoted)
	return nil
}

// separate ends the line before, if there is one without an end.
func (w *writer) separate(lineEnd string) {
	if n := len(w.out); n > 0 && !isLineEnd(w.out[n-1]) && string(w.out) != bom {
		w.out = append(w.out, lineEnd...)
	}
}
