package websocket

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/flate"
)

// Deflate is what two ends have agreed on for one direction of
// permessage-deflate. The zero value keeps the context from one message to the
// next, in windows of 32 KiB.
type Deflate struct {
	NoContextTakeover bool
	WindowBits        int // of the sender; 8 to 15, 0 is 15
}

// Negotiated reads the Sec-WebSocket-Extensions of a response. caller and
// upstream are what it says for what each of them sends; nil if messages are not
// compressed. ok is false if there is an extension that is not known here, whose
// frames mean what only the two ends know.
func Negotiated(extensions []string) (caller, upstream *Deflate, ok bool) {
	for _, extension := range strings.Split(strings.Join(extensions, ","), ",") {
		name, rest, _ := strings.Cut(extension, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "":
			continue
		case "permessage-deflate":
		default:
			return nil, nil, false
		}
		if caller != nil {
			return nil, nil, false // twice
		}
		caller, upstream = &Deflate{}, &Deflate{}
		for parameter := range strings.SplitSeq(rest, ";") {
			key, value, _ := strings.Cut(parameter, "=")
			value = strings.Trim(strings.TrimSpace(value), `"`)
			switch strings.ToLower(strings.TrimSpace(key)) {
			case "":
			case "client_no_context_takeover":
				caller.NoContextTakeover = true
			case "server_no_context_takeover":
				upstream.NoContextTakeover = true
			case "client_max_window_bits":
				caller.WindowBits = windowBits(value)
			case "server_max_window_bits":
				upstream.WindowBits = windowBits(value)
			default:
				return nil, nil, false
			}
		}
		if caller.WindowBits < 0 || upstream.WindowBits < 0 {
			return nil, nil, false
		}
	}
	return caller, upstream, true
}

// windowBits is -1 for what is no number of bits.
func windowBits(value string) int {
	n, err := strconv.Atoi(value)
	if err != nil || n < 8 || n > 15 {
		return -1
	}
	return n
}

// maxWindow is how far back deflate can refer.
const maxWindow = 32 << 10

// tail ends a message whose last empty block was taken off (RFC 7692, 7.2.1),
// and then the whole stream, so that a reader comes to its end.
const tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// inflater undoes the compression of one direction's messages.
type inflater struct {
	keeps  bool
	reader io.ReadCloser // with flate.Resetter
	window []byte        // the end of what the messages so far said, if keeps
}

func newInflater(d *Deflate) *inflater { return &inflater{keeps: !d.NoContextTakeover} }

// errTooBig is a message that is larger than it may be once it is inflated.
var errTooBig = &Error{CloseTooBig, "a message is too big"}

// inflate appends what a message says to dst, at most max bytes.
func (f *inflater) inflate(dst, compressed []byte, max int) ([]byte, error) {
	in := io.MultiReader(bytes.NewReader(compressed), strings.NewReader(tail))
	if f.reader == nil {
		f.reader = flate.NewReaderDict(in, f.window)
	} else if err := f.reader.(flate.Resetter).Reset(in, f.window); err != nil {
		return dst, &Error{CloseInternalError, err.Error()}
	}
	from := len(dst)
	for {
		if len(dst)-from > max {
			return dst, errTooBig
		}
		if cap(dst)-len(dst) < 512 {
			dst = append(dst, make([]byte, 512+len(dst)-from)...)[:len(dst)]
		}
		n, err := f.reader.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return dst, violation("what is compressed cannot be read")
		}
	}
	if len(dst)-from > max {
		return dst, errTooBig
	}
	if f.keeps {
		f.window = slide(f.window, dst[from:])
	}
	return dst, nil
}

// slide appends said to window and keeps the end.
func slide(window, said []byte) []byte {
	if len(said) >= maxWindow {
		return append(window[:0], said[len(said)-maxWindow:]...)
	}
	if over := len(window) + len(said) - maxWindow; over > 0 {
		window = window[:copy(window, window[over:])]
	}
	return append(window, said...)
}

// deflater compresses the messages of one direction.
type deflater struct {
	keeps  bool
	out    bytes.Buffer
	writer *flate.Writer
}

func newDeflater(d *Deflate) (*deflater, error) {
	f := &deflater{keeps: !d.NoContextTakeover}
	window := maxWindow
	if d.WindowBits > 0 {
		window = 1 << d.WindowBits
	}
	var err error
	f.writer, err = flate.NewWriterWindow(&f.out, window)
	return f, err
}

// deflate returns message compressed, valid until the next call.
func (f *deflater) deflate(message []byte) ([]byte, error) {
	f.out.Reset()
	if !f.keeps {
		f.writer.Reset(&f.out)
	}
	if _, err := f.writer.Write(message); err != nil {
		return nil, err
	}
	if err := f.writer.Flush(); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(f.out.Bytes(), []byte("\x00\x00\xff\xff")), nil
}
