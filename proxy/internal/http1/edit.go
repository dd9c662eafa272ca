package http1

import "strconv"

// LineEdit changes one field line of a head. Several edits of one Index stand
// in its place one after the other, in their order.
type LineEdit struct {
	Index  int    // in the fields; their number appends before the empty line
	Name   string // "" keeps the field's, and so does the same name in other case
	Value  string
	Remove bool // Name and Value do not matter
}

// AppendEdited appends a head to dst: startLine, which has no CRLF, then fields
// with edits done, then the empty line. Lines that no edit names are the bytes
// that came. A replaced line keeps the spelling of its name and the white space
// on both sides of the value. Check names and values with [ValidName] and
// [ValidValue] before: as the last resort, a byte that no value may have is
// written as a space, and a line under a name that is none is left out.
func AppendEdited(dst, startLine []byte, fields []Field, edits []LineEdit) []byte {
	dst = append(dst, startLine...)
	dst = append(dst, "\r\n"...)
	for i := range fields {
		dst = appendLine(dst, &fields[i], i, edits)
	}
	for i := range edits {
		if e := &edits[i]; e.Index >= len(fields) && !e.Remove && ValidName(e.Name) {
			dst = AppendField(dst, e.Name, e.Value)
		}
	}
	return append(dst, "\r\n"...)
}

// appendLine writes the edits of field i, or the field if there are none.
func appendLine(dst []byte, f *Field, i int, edits []LineEdit) []byte {
	edited := false
	for j := range edits {
		e := &edits[j]
		if e.Index != i {
			continue
		}
		edited = true
		switch {
		case e.Remove:
		case e.Name == "" || len(e.Name) == len(f.Name) && sameFold([]byte(e.Name), f.Name):
			dst = f.appendWith(dst, e.Value)
		case ValidName(e.Name):
			dst = AppendField(dst, e.Name, e.Value)
		}
	}
	if !edited {
		dst = append(dst, f.Line...)
	}
	return dst
}

// appendWith writes the line of f with another value.
func (f *Field) appendWith(dst []byte, value string) []byte {
	line := f.Line[:len(f.Line)-len("\r\n")]
	before := len(f.Name) + 1
	for before < len(line) && isOWS(line[before]) {
		before++
	}
	after := len(line)
	for after > before && isOWS(line[after-1]) {
		after--
	}
	dst = append(dst, line[:before]...)
	dst = appendValue(dst, value)
	dst = append(dst, line[after:]...)
	return append(dst, "\r\n"...)
}

// AppendField appends one field line. What is said of values at [AppendEdited]
// holds.
func AppendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = appendValue(dst, value)
	return append(dst, "\r\n"...)
}

func appendValue(dst []byte, value string) []byte {
	i := len(dst)
	dst = append(dst, value...)
	for i = valueEnd(dst, i); i < len(dst); i = valueEnd(dst, i+1) {
		dst[i] = ' ' // RFC 9110, 5.5
	}
	return dst
}

// AppendRequestLine appends a request line without its CRLF. target is one
// that [ValidTarget] takes.
func AppendRequestLine(dst []byte, method, target string, minor int) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, target...)
	dst = append(dst, " HTTP/1."...)
	return append(dst, byte('0'+minor))
}

// AppendStatusLine appends a status line without its CRLF.
func AppendStatusLine(dst []byte, minor, status int, reason string) []byte {
	dst = append(dst, "HTTP/1."...)
	dst = append(dst, byte('0'+minor), ' ')
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	return appendValue(dst, reason)
}

// AppendChunk appends data as one chunk. No data is nothing: the chunk of
// length zero would end the body.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = AppendChunkSize(dst, len(data))
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

// AppendChunkSize appends what stands before the n bytes of a chunk's data; a
// CRLF has to follow them. n is positive.
func AppendChunkSize(dst []byte, n int) []byte {
	dst = strconv.AppendInt(dst, int64(n), 16)
	return append(dst, "\r\n"...)
}

// AppendLastChunk appends the end of a chunked body. trailers are whole field
// lines, as [Body.Trailers] are.
func AppendLastChunk(dst, trailers []byte) []byte {
	dst = append(dst, "0\r\n"...)
	dst = append(dst, trailers...)
	return append(dst, "\r\n"...)
}
