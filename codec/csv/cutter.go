package csv

import (
	"bytes"
	"strings"
)

// cutter finds the ends of rows in bytes that come in pieces, and looks at
// every byte once.
type cutter struct {
	scanned int // bytes of buf that were looked at
	started bool
	inRow   bool // the line has a byte
	state   cellState
	rows    int // that ended in what was scanned
}

// cellState is where in a cell the next byte is.
type cellState int

const (
	atStart  cellState = iota
	inPlain            // in a cell without quotes, or after one with quotes
	inQuotes           //
	atQuote            // after a quote within quotes
)

// cut returns where the next row ends and 1, or where blank lines end and 0. The
// first row comes with the header row and 2 or 1. If blanks are kept, they are
// part of the row after them. It returns 0 if it needs more.
func (c *cutter) cut(codec Codec, buf []byte, final, begun, keepBlanks bool) (n, rows int) {
	want := 1
	if !begun && !codec.NoHeader {
		want = 2
	}
	if !c.started {
		if !final && len(buf) < len(bom) && strings.HasPrefix(bom, string(buf)) {
			return 0, 0
		}
		c.started = true
		if bytes.HasPrefix(buf, []byte(bom)) {
			c.scanned = len(bom)
		}
	}
	for c.scanned < len(buf) {
		b := buf[c.scanned]
		if c.state == inQuotes || !isLineEnd(b) {
			c.step(b, codec.comma())
			c.scanned++
			continue
		}
		if b == '\r' && c.scanned+1 == len(buf) && !final {
			return 0, 0 // perhaps half a CRLF
		}
		c.scanned += len(lineEndAt(buf, c.scanned))
		if !c.inRow {
			if !keepBlanks {
				return c.done(0)
			}
			continue
		}
		c.inRow, c.state = false, atStart
		if c.rows++; c.rows == want {
			return c.done(want)
		}
	}
	switch {
	case !final:
		return 0, 0
	case c.inRow && c.rows+1 == want:
		return c.done(want)
	}
	return c.done(0) // blank lines, or a header row alone
}

// done returns all that was scanned and starts anew.
func (c *cutter) done(rows int) (n, ended int) {
	n = c.scanned
	*c = cutter{started: true}
	return n, rows
}

func (c *cutter) step(b, comma byte) {
	c.inRow = true
	switch {
	case c.state == inQuotes:
		if b == '"' {
			c.state = atQuote
		}
	case b == '"' && (c.state == atStart || c.state == atQuote):
		c.state = inQuotes
	case b == comma:
		c.state = atStart
	default:
		c.state = inPlain
	}
}
