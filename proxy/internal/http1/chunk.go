package http1

import "math"

// Bounds of chunk framing. Extensions carry nothing that anybody uses; without
// a bound on all of them a body could be framing alone (CVE-2023-39326).
const (
	maxSizeDigits = 16
	maxSizeLine   = 1 << 10 // one line, with its CRLF
	maxExcess     = 8 << 10 // framing beyond what chunks of the size need
)

// place is where in the chunked coding the next byte stands (RFC 9112, 7.1).
type place uint8

const (
	inSize place = iota
	inExtension
	inSizeEnd // the LF of the size line
	inData
	inDataEnd  // the CR behind the data
	inDataEnd2 // and its LF
	inTrailer
)

type chunkState struct {
	at     place
	digits int   // of the size so far
	line   int   // bytes of the size line so far
	excess int64 // framing that the data does not account for
	start  int   // in trailer, of the line that is not whole
	fields int   // of the trailer section
}

// nextChunked is Next for the chunked coding: framing, then one run of data.
func (b *Body) nextChunked(p []byte) (n int, data []byte, err error) {
	c := &b.chunk
	for n < len(p) {
		switch c.at {
		case inSize, inExtension, inSizeEnd:
			took, err := b.sizeLine(p[n:], n)
			n += took
			if err != nil {
				return n, nil, err
			}
		case inData:
			m := int(min(int64(len(p)-n), b.left))
			data = p[n : n+m]
			n += m
			b.left -= int64(m)
			if b.left == 0 {
				c.at = inDataEnd
			}
			// The CRLF too, if it is there: most chunks then take one call.
			if b.left == 0 && len(p)-n >= 2 && p[n] == '\r' && p[n+1] == '\n' {
				n += 2
				c.at = inSize
			}
			return n, data, nil
		case inDataEnd, inDataEnd2:
			want, then := byte('\r'), inDataEnd2
			if c.at == inDataEnd2 {
				want, then = '\n', inSize
			}
			if p[n] != want {
				return n, nil, b.refuse(reasonChunk, n)
			}
			c.at = then
			n++
		case inTrailer:
			took, err := b.trailerLine(p[n:], n)
			n += took
			if err != nil || b.done {
				return n, nil, err
			}
		}
	}
	return n, nil, nil
}

// sizeLine takes bytes of the line with the size of a chunk. at is the place
// of p, for errors.
func (b *Body) sizeLine(p []byte, at int) (n int, err error) {
	c := &b.chunk
	for n < len(p) {
		x := p[n]
		if c.line++; c.line > maxSizeLine {
			return n, b.refuse(reasonChunkExtension, at+n)
		}
		switch c.at {
		case inSize:
			digit := unhex(x)
			switch {
			case digit >= 0:
				if c.digits++; c.digits > maxSizeDigits || b.left > math.MaxInt64>>4 {
					return n, b.refuse(reasonChunk, at+n)
				}
				b.left = b.left<<4 | int64(digit)
			case c.digits == 0:
				return n, b.refuse(reasonChunk, at+n)
			case x != ';' && x != '\r':
				return n, b.refuse(reasonOf(x, reasonChunk), at+n)
			case x == ';':
				c.at = inExtension
			default:
				c.at = inSizeEnd
			}
		case inExtension:
			switch {
			case x == '\r':
				c.at = inSizeEnd
			case classes[x]&valueByte == 0:
				return n, b.refuse(reasonOf(x, reasonChunkExtension), at+n)
			}
		default: // inSizeEnd
			if x != '\n' {
				return n, b.refuse(reasonBareCR, at+n)
			}
			if err := b.endSizeLine(at + n); err != nil {
				return n, err
			}
			return n + 1, nil
		}
		n++
	}
	return n, nil
}

// endSizeLine turns to the data or, behind the last chunk, to the trailers.
func (b *Body) endSizeLine(at int) error {
	c := &b.chunk
	// What a sensible sender needs is free, and data pays for some more.
	c.excess = max(c.excess+int64(c.line)-16-2*min(b.left, 1<<20), 0)
	if c.excess > maxExcess {
		return b.refuse(reasonChunkExtension, at)
	}
	c.line, c.digits = 0, 0
	c.at = inData
	if b.left == 0 {
		c.at = inTrailer
	}
	return nil
}

// trailerLine takes one line of the trailer section, or the part of it that is
// there.
func (b *Body) trailerLine(p []byte, at int) (n int, err error) {
	c := &b.chunk
	n = lineEnd(p)
	whole := n > 0
	if !whole {
		n = len(p)
	}
	// The empty line is not counted: it is not kept.
	if len(b.trailer)+n > b.Limits.Head+len("\r\n") {
		return 0, b.refuse(reasonHeadTooLarge, at)
	}
	b.trailer = append(b.trailer, p[:n]...)
	if !whole {
		return n, nil
	}
	line := b.trailer[c.start:]
	if string(line) == "\r\n" {
		b.trailer = b.trailer[:c.start]
		b.done = true
		return n, nil
	}
	if c.fields++; c.fields > b.Limits.Fields {
		return 0, b.refuse(reasonTooManyFields, at)
	}
	var f Field
	if _, reason, _ := f.parse(line); reason != "" {
		return 0, b.refuse(reason, at)
	}
	if f.Kind != Other && f.Kind != KeepAlive && f.Kind != ProxyConnection {
		// A reader that takes trailers for headers must not be framed or routed
		// anew (RFC 9110, 6.5.1).
		return 0, b.refuse(reasonTrailer, at)
	}
	c.start = len(b.trailer)
	return n, nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
