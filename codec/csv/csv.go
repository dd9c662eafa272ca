// Package csv is the codec of comma separated values (RFC 4180) and of their
// like with tabs: rows in, and out the bytes that came in with the difference
// written onto them.
//
// As jq sees it a text is an array of objects keyed by the header row, or of
// arrays if there is no header row. Every cell is a string. What is decided
// where the RFC leaves room:
//   - Lines end with LF, CRLF or CR. Blank lines are no rows, and stay where
//     they are. A byte order mark at the start stays.
//   - A quote counts only at the beginning of a cell; in the midst of a cell
//     without quotes it is text. After a closing quote the cell must end. The
//     same holds for TSV, as spreadsheets write it.
//   - Space around a cell is part of it. Text that is not UTF-8 is an error.
//   - A column without a name is named by its position, _3 for the third, and so
//     is a cell beyond the header row. Two columns of one name are an error: a
//     rule that masks one of them must not leave the other.
//   - A row shorter than the header lacks the keys of the cells that it lacks.
//
// And in edits:
//   - A cell that changes keeps its quotes if it had any, and gets them if it
//     needs them. null is an empty cell; numbers and booleans are written as
//     text, and change nothing where they read the same.
//   - A new key is a new column at the end; rows without it get an empty cell,
//     those that were short stay short.
//   - A column that no row has any more is removed with its header, if there
//     are rows left and not all columns would go; columns without a name that
//     this moves get the one that they had. A key that only some rows lose
//     leaves an empty cell.
//   - A row that is removed goes with its line end. A new row looks like its
//     neighbour: line end and quotes. A text whose last line has no end keeps
//     it that way.
package csv

import (
	"fmt"
	"math"
	"mime"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

const (
	bom = "\ufeff"

	// maxColumns is four times what spreadsheets take.
	maxColumns = 1 << 16
	// A row is at least two bytes and as an object some 500, and short rows may
	// become as long as the longest: if they all did, they may take memoryRatio
	// times the size limit.
	memoryRatio = 12
	memoryRow   = 48
	memoryCell  = 64 // of a row, which has room for eight

	// Row by row, this many cells may come to be beside those of the bytes.
	minCells = 1 << 20
	// Row by row, this many cells may come to be for a byte that was read.
	paddingPerByte = 64
)

// Codec is the CSV codec. The zero value reads commas and a header row.
type Codec struct {
	// Comma separates the cells of a row: any byte of ASCII but the quote and
	// the line ends. Zero means a comma.
	Comma byte
	// NoHeader says that the first row is one like the others.
	NoHeader bool
}

var _ codec.Codec = Codec{}

// TSV returns the codec of tab separated values with a header row.
func TSV() Codec { return Codec{Comma: '\t'} }

// For returns the codec for a Content-Type field's value: c, but without a header
// row if the parameter header is "absent" (RFC 4180, section 3).
func (c Codec) For(contentType string) (codec.Codec, error) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, fmt.Errorf("csv: parse content type: %w", err)
	}
	if params["header"] == "absent" {
		c.NoHeader = true
	}
	return c, nil
}

// Name returns "tsv" if tabs separate the cells, and else "csv".
func (c Codec) Name() string {
	if c.Comma == '\t' {
		return "tsv"
	}
	return "csv"
}

func (c Codec) comma() byte {
	if c.Comma == 0 {
		return ','
	}
	return c.Comma
}

// lineEnd ends the lines of a text that has none yet: CRLF in RFC 4180.
func (c Codec) lineEnd() string {
	if c.Comma == '\t' {
		return "\n"
	}
	return "\r\n"
}

// Decode parses a text. One without any row, even empty, is an empty array.
func (c Codec) Decode(data []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	limits = limits.WithDefaults()
	limits.Size = min(limits.Size, math.MaxInt32) // as cell has places
	if err := c.check(data, limits); err != nil {
		return nil, nil, err
	}
	s := scanner{codec: c, data: data, text: string(data)}
	o := &Original{codec: c, data: data, head: &head{}}
	s.bom()
	if !c.NoHeader {
		if err := o.readHead(&s); err != nil {
			return nil, nil, err
		}
	}
	o.body = s.pos
	memory := memoryRatio * int64(max(limits.Size, 8*codec.MiB))
	o.rows = make([]any, 0, 1) // a capacity gives it an identity
	for {
		_, ok, err := s.row()
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			return o.rows, o, nil
		}
		row, err := o.head.value(&s)
		if err != nil {
			return nil, nil, err
		}
		o.rows = append(o.rows, row)
		if int64(len(o.rows))*(memoryRow+memoryCell*int64(max(len(o.head.names), 8))) > memory {
			return nil, nil, &codec.LimitError{Format: c.Name(), Limit: "fields", Max: memory / memoryCell}
		}
	}
}

// check refuses what is too large, too deep or not UTF-8.
func (c Codec) check(data []byte, limits codec.Limits) error {
	if int64(len(data)) > int64(limits.Size) {
		return &codec.LimitError{Format: c.Name(), Limit: "size", Max: int64(limits.Size)}
	}
	if limits.Depth < 2 {
		return &codec.LimitError{Format: c.Name(), Limit: "depth", Max: int64(limits.Depth)}
	}
	if utf8.Valid(data) {
		return nil
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return &codec.SyntaxError{Format: c.Name(), Offset: at, Msg: "text that is not UTF-8"}
		}
		at += size
	}
}

// Encode writes v onto original, or from scratch if original is nil: columns
// sorted by name.
func (c Codec) Encode(original codec.Original, v codec.Value) ([]byte, error) {
	rows, ok := v.([]any)
	if !ok {
		return nil, c.inexpressible("a text is an array of rows, and " + value.TypeName(v) + " is none")
	}
	o, ok := original.(*Original)
	if !ok || o == nil || o.codec != c {
		o = &Original{codec: c, head: &head{}}
	}
	if value.Same(o.rows, v) {
		return o.data, nil
	}
	return o.edit(rows)
}

func (c Codec) inexpressible(msg string) error {
	return &codec.ExpressError{Format: c.Name(), Path: ".", Msg: msg}
}

// Original is what Decode keeps: the text and what it read as.
type Original struct {
	codec Codec
	data  []byte
	rows  []any
	head  *head // never nil; changed no more once decoding is done
	body  int   // where the lines begin that are neither byte order mark nor header
}

func (o *Original) readHead(s *scanner) error {
	line, ok, err := s.row()
	if err != nil || !ok {
		return err
	}
	o.head, err = newHead(s, line)
	return err
}
