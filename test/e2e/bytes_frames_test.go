package e2e

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A frame is a line of an HTTP/2 script, and for headers the lines of fields
// below it:
//
//	preface
//	settings 3=100 4=65536     settings ack
//	headers 1 end pad=3 cut=10 prio=0/15/x
//	  :method: GET
//	  te: trailers
//	  !authorization: never to be put into a table
//	data 1 end pad=1 text of Go\x00, or size=100000
//	rst 1 CANCEL
//	ping 8 bytes!              ping ack 8 bytes!
//	window 1 1000
//	priority 3 1/15
//	goaway 1 NO_ERROR text
//	unknown 0xbe 1 text
//	table 0
//
// cut=N puts N bytes of the block into HEADERS and each CONTINUATION; table
// changes the size of the sender's dynamic table before its next block.
type frame struct {
	kind   string
	stream uint32
	text   string
	fields []hpack.HeaderField

	end, ack bool
	pad, cut int
	prio     http2.PriorityParam
	settings []http2.Setting
	code     http2.ErrCode
	number   uint32 // of window, table and an unknown kind
}

// parseFrames reads what an end of an HTTP/2 conversation writes.
func parseFrames(text string) (step, error) {
	var s step
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		if field, ok := strings.CutPrefix(line, "  "); ok {
			last := &s.frames[len(s.frames)-1]
			f, err := parseField(field)
			if err != nil {
				return s, err
			}
			last.fields = append(last.fields, f)
			continue
		}
		f, err := parseFrame(line)
		if err != nil {
			return s, fmt.Errorf("%s: %w", line, err)
		}
		s.frames = append(s.frames, f)
	}
	return s, nil
}

func parseField(text string) (hpack.HeaderField, error) {
	text, sensitive := strings.CutPrefix(text, "!")
	name, value, ok := strings.Cut(text, ": ")
	if !ok {
		name, value = strings.TrimSuffix(text, ":"), ""
	}
	value, err := unquote(value)
	return hpack.HeaderField{Name: name, Value: value, Sensitive: sensitive}, err
}

func parseFrame(line string) (frame, error) {
	words := strings.Split(line, " ")
	f := frame{kind: words[0]}
	words = words[1:]
	next := func() string {
		if len(words) == 0 {
			return ""
		}
		word := words[0]
		words = words[1:]
		return word
	}
	var err error
	number := func(text string, base int) uint32 {
		n, e := strconv.ParseUint(text, base, 32)
		if e != nil {
			err = e
		}
		return uint32(n)
	}
	switch f.kind {
	case "unknown":
		f.number = number(next(), 0)
		f.stream = number(next(), 10)
	case "headers", "data", "rst", "window", "priority", "goaway":
		f.stream = number(next(), 10)
	case "table":
		f.number = number(next(), 10)
	}
	switch f.kind {
	case "rst", "goaway":
		f.code = errorCode(next())
	case "window":
		f.number = number(next(), 10)
	case "priority":
		f.prio, err = parsePriority(next())
	}
	for len(words) > 0 && err == nil {
		name, value, given := strings.Cut(words[0], "=")
		switch {
		case name == "end" && !given:
			f.end = true
		case name == "ack" && !given:
			f.ack = true
		case name == "pad" && given:
			f.pad = int(number(value, 10))
		case name == "cut" && given:
			f.cut = int(number(value, 10))
		case name == "prio" && given:
			f.prio, err = parsePriority(value)
		case name == "size" && given:
			f.text = string(filler(int(number(value, 10))))
		case f.kind == "settings" && given:
			f.settings = append(f.settings, http2.Setting{ID: http2.SettingID(number(name, 0)), Val: number(value, 10)})
		default:
			f.text, err = unquote(strings.Join(words, " "))
			return f, err
		}
		next()
	}
	return f, err
}

func parsePriority(text string) (http2.PriorityParam, error) {
	text, exclusive := strings.CutSuffix(text, "/x")
	var p http2.PriorityParam
	_, err := fmt.Sscanf(text, "%d/%d", &p.StreamDep, &p.Weight)
	p.Exclusive = exclusive
	return p, err
}

func errorCode(text string) http2.ErrCode {
	for code := http2.ErrCodeNo; code <= http2.ErrCodeHTTP11Required; code++ {
		if code.String() == text {
			return code
		}
	}
	n, _ := strconv.ParseUint(text, 0, 32)
	return http2.ErrCode(n)
}

// encoder turns frames into what one end writes on one connection.
type encoder struct {
	out    bytes.Buffer
	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
}

func newEncoder() *encoder {
	e := new(encoder)
	e.framer = http2.NewFramer(&e.out, nil)
	e.framer.AllowIllegalWrites = true
	e.hpack = hpack.NewEncoder(&e.block)
	return e
}

// encode returns the bytes of f.
func (e *encoder) encode(f frame) ([]byte, error) {
	e.out.Reset()
	err := e.write(f)
	return bytes.Clone(e.out.Bytes()), err
}

func (e *encoder) write(f frame) error {
	switch f.kind {
	case "preface":
		e.out.WriteString(http2.ClientPreface)
		return nil
	case "table":
		e.hpack.SetMaxDynamicTableSize(f.number)
		return nil
	case "settings":
		if f.ack {
			return e.framer.WriteSettingsAck()
		}
		return e.framer.WriteSettings(f.settings...)
	case "headers":
		return e.writeHeaders(f)
	case "data":
		if f.pad > 0 {
			return e.framer.WriteDataPadded(f.stream, f.end, []byte(f.text), make([]byte, f.pad))
		}
		return e.framer.WriteData(f.stream, f.end, []byte(f.text))
	case "rst":
		return e.framer.WriteRSTStream(f.stream, f.code)
	case "ping":
		return e.framer.WritePing(f.ack, [8]byte([]byte(f.text)))
	case "window":
		return e.framer.WriteWindowUpdate(f.stream, f.number)
	case "priority":
		return e.framer.WritePriority(f.stream, f.prio)
	case "goaway":
		return e.framer.WriteGoAway(f.stream, f.code, []byte(f.text))
	case "unknown":
		return e.framer.WriteRawFrame(http2.FrameType(f.number), http2.Flags(0xa5), f.stream, []byte(f.text))
	}
	return fmt.Errorf("no frame is called %q", f.kind)
}

func (e *encoder) writeHeaders(f frame) error {
	e.block.Reset()
	for _, field := range f.fields {
		if err := e.hpack.WriteField(field); err != nil {
			return fmt.Errorf("encode %s: %w", field.Name, err)
		}
	}
	block := e.block.Bytes()
	size := len(block)
	if f.cut > 0 {
		size = min(f.cut, size)
	} else {
		size = min(size, 16<<10-512)
	}
	err := e.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: f.stream, BlockFragment: block[:size], EndStream: f.end, EndHeaders: size == len(block),
		PadLength: uint8(f.pad), Priority: f.prio,
	})
	for rest := block[size:]; len(rest) > 0 && err == nil; {
		n := min(size, len(rest))
		err = e.framer.WriteContinuation(f.stream, n == len(rest), rest[:n])
		rest = rest[n:]
	}
	return err
}
