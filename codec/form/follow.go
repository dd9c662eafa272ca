package form

import (
	"bytes"

	"github.com/sluice-proxy/sluice/codec"
)

// maxHeaders bounds the headers of one part of a form that is followed, and a
// line of a delimiter.
const maxHeaders = 16 << 10

// Follower reads the names of a form's parts as the form passes. It finds the
// parts that [Multipart.Decode] finds, refuses what that refuses of their limits
// and headers, and holds no more than the headers of one part. It is for one
// goroutine.
type Follower struct {
	m         Multipart
	delimiter []byte
	part      func(name string, at int64) error

	buf    []byte // what is yet to be looked at, and two bytes before it
	at     int64  // of buf in the form
	from   int    // in buf: what stands before it was looked at
	begins int64  // the last delimiter; -1 if there was none
	state  followed
	err    error
}

type followed uint8

const (
	inBody    followed = iota // a preamble or a part's
	inLine                    // what is behind a delimiter
	inHeaders                 // a part's
	closed                    // the epilogue
)

// Follow returns a Follower of a form of m. part is told the name of each part
// once its headers are there, and where in the form its delimiter begins; its
// error ends the following.
func (m Multipart) Follow(part func(name string, at int64) error) *Follower {
	return &Follower{m: m, delimiter: []byte(m.delimiter()), part: part, begins: -1}
}

// Last is where in the form the last delimiter so far begins, -1 if there was
// none: what stands before it is whole.
func (f *Follower) Last() int64 { return f.begins }

// Write takes the next bytes of the form, of any length. Its error is a
// [*codec.SyntaxError], a [*codec.LimitError] or that of part, and stays.
func (f *Follower) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	f.buf = append(f.buf, p...)
	for more := true; more && f.err == nil; {
		more = f.step()
	}
	return len(p), f.err
}

// Close is told that the form has ended: well, if its last delimiter was there.
func (f *Follower) Close() error {
	if f.err == nil && f.state == inLine { // the last line may lack its end
		f.buf = append(f.buf, "\r\n"...)
		f.step()
	}
	if f.err == nil && f.state != closed {
		f.err = f.syntax(len(f.buf), "found the end, expected a delimiter")
	}
	return f.err
}

func (f *Follower) syntax(i int, msg string) error {
	return &codec.SyntaxError{Format: multipart, Offset: int(f.at) + i, Msg: msg}
}

// step looks at what is there, and reports whether it may go on.
func (f *Follower) step() bool {
	switch f.state {
	case inLine:
		return f.line()
	case inHeaders:
		return f.headers()
	}
	i := bytes.Index(f.buf[f.from:], f.delimiter)
	if i < 0 {
		f.forget(max(f.from, len(f.buf)-len(f.delimiter)+1))
		return false
	}
	i += f.from
	switch {
	case f.state == closed:
		f.err = f.syntax(i, "a delimiter after the last one")
	case f.at+int64(i) > 0 && f.buf[i-1] != '\n':
		f.from = i + len(f.delimiter)
		return true
	case f.at+int64(i) > 0 && (i == 1 || f.buf[i-2] != '\r'):
		f.err = f.syntax(i, "a delimiter after a line that ends with LF alone")
	}
	f.begins, f.state = f.at+int64(i), inLine
	f.forget(i + len(f.delimiter))
	return f.err == nil
}

// forget forgets what stands before i but for two bytes, which a delimiter has
// to follow.
func (f *Follower) forget(i int) {
	f.from = min(i, 2)
	f.at += int64(i - f.from)
	f.buf = f.buf[:copy(f.buf, f.buf[i-f.from:])]
}

// line reads what is behind a delimiter.
func (f *Follower) line() bool {
	rest := f.buf[f.from:]
	closes := bytes.HasPrefix(rest, []byte("--"))
	i := 0
	if closes {
		i = len("--")
	} else if string(rest) == "-" {
		return false
	}
	for i < len(rest) && (rest[i] == ' ' || rest[i] == '\t') {
		i++
	}
	switch left := rest[i:]; {
	case i > maxHeaders:
		f.err = f.tooLong()
		return false
	case len(left) == 0 || string(left) == "\r":
		return false
	case !bytes.HasPrefix(left, []byte("\r\n")):
		f.err = f.syntax(f.from+i, "found more after a delimiter, expected CRLF")
		return false
	}
	f.state = inHeaders
	if closes {
		f.state = closed
	}
	f.forget(f.from + i + len("\r\n"))
	return true
}

// headers reads a part's.
func (f *Follower) headers() bool {
	rest := f.buf[f.from:]
	n := len("\r\n")
	if !bytes.HasPrefix(rest, []byte("\r\n")) {
		if n = bytes.Index(rest, []byte("\r\n\r\n")); n < 0 {
			if len(rest) > maxHeaders {
				f.err = f.tooLong()
			}
			return false
		}
		n += len("\r\n\r\n")
	}
	if n > maxHeaders {
		f.err = f.tooLong()
		return false
	}
	read := multipartOriginal{data: rest[:n]}
	p := part{end: int32(n)}
	if bytes.Contains(f.buf[f.from-1:f.from+n], append([]byte{'\n'}, f.delimiter...)) {
		f.err = f.syntax(f.from, "headers without a blank line after them")
		return false
	}
	if err := read.read(&p); err != nil {
		f.err = f.syntax(f.from, err.(*codec.SyntaxError).Msg)
		return false
	}
	if f.err = f.part(p.name, f.begins); f.err != nil {
		return false
	}
	f.state = inBody
	f.forget(f.from + n)
	return true
}

func (f *Follower) tooLong() error {
	return &codec.LimitError{Format: multipart, Limit: "headers", Max: maxHeaders}
}

// Beginning decodes the beginning of a form: what stands before a delimiter,
// which data ends with the line end before. Encode writes it so; new parts are at
// its end.
func (m Multipart) Beginning(data []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	limits.Size = limits.WithDefaults().Size + codec.Bytes(len(m.close()))
	return m.Decode(append(data[:len(data):len(data)], m.close()...), limits)
}

// EncodeBeginning writes v onto what Beginning has decoded.
func (m Multipart) EncodeBeginning(original codec.Original, v codec.Value) ([]byte, error) {
	out, err := m.Encode(original, v)
	return bytes.TrimSuffix(out, []byte(m.close())), err
}

func (m Multipart) close() string { return m.delimiter() + "--\r\n" }
