package stream

import (
	"bytes"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
	"github.com/sluice-proxy/sluice/codec/json"
)

// SSE is server-sent events, the event stream of the WHATWG HTML standard. A
// message is an event with its blank line. As jq sees it it is {event, id, data},
// each only if the event has such a field; data is what its lines say, decoded if
// that is JSON, and else a string. retry, comments and unknown fields are kept
// and not seen.
//
// What is decided:
//   - Of several event or id fields the last counts; an edit replaces them all.
//   - Data that was JSON is written as JSON, also a string. Data that was a plain
//     text stays one if the edit left a string. New data is a plain text if it is
//     a string that does not read as JSON.
//   - Edited data keeps its lines: those that say the same are not touched.
//   - null as event or id is none, and a number its text. Line ends have no place
//     in them, nor NUL in an id, nor CR in a plain text.
//   - What is not UTF-8 reads as U+FFFD, as the standard says.
//   - An event at the end of the stream that its blank line is missing from is a
//     message all the same: browsers drop it, others do not.
type SSE struct{}

const sse = "sse"

// Name returns "sse".
func (SSE) Name() string { return sse }

// Terminate adds the line ends that the last event may lack.
func (SSE) Terminate(msg []byte) []byte {
	msg = msg[:len(msg):len(msg)]
	rest, end := cutLineEnd(msg)
	if end == "" && len(rest) > 0 {
		end = "\n"
		msg = append(msg, end...)
	}
	if _, blank := cutLineEnd(rest); len(rest) > 0 && (blank == "" || len(msg) > len(rest)+len(end)) {
		msg = append(msg, end...)
	}
	return msg
}

func cutLineEnd(text []byte) (rest []byte, end string) {
	for _, end := range []string{"\r\n", "\n", "\r"} {
		if rest, ok := bytes.CutSuffix(text, []byte(end)); ok {
			return rest, end
		}
	}
	return text, ""
}

type field int8

const (
	other field = iota // a comment, or of no interest
	event
	id
	data
	fields // their number
)

func (f field) String() string { return [fields]string{"", "event", "id", "data"}[f] }

// sseLine is the place of a line: what it says is text[value:end], and the next
// one is at next. A value that is not after a colon is at end.
type sseLine struct {
	start, value, end, next int32
	field                   field
}

// sseOriginal is what Decode keeps of an event.
type sseOriginal struct {
	text  []byte
	lines []sseLine // up to the blank line
	value map[string]any
	json  codec.Original // of data, if it is JSON
}

// Ambiguous reports whether data is JSON that is, see [json.Original.Ambiguous].
func (o *sseOriginal) Ambiguous() bool { return ambiguous(o.json) }

// Decode parses one event, with or without its blank line.
func (SSE) Decode(text []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	if len(text) > sizeOf(limits) {
		return nil, nil, &codec.LimitError{Format: sse, Limit: "size", Max: int64(sizeOf(limits))}
	}
	o := &sseOriginal{text: text, value: map[string]any{}}
	if err := o.scan(); err != nil {
		return nil, nil, err
	}
	var said []byte
	lines := 0
	for _, l := range o.lines {
		switch l.field {
		case event, id:
			o.value[l.field.String()] = o.read(l)
		case data:
			switch text := o.text[l.value:l.end]; lines {
			case 0:
				said = text
			case 1:
				said = append(append(said[:len(said):len(said)], '\n'), text...)
			default:
				said = append(append(said, '\n'), text...)
			}
			lines++
		}
	}
	if lines > 0 {
		v, original, err := decodeData(said, limits)
		if err != nil {
			return nil, nil, err
		}
		o.value["data"], o.json = v, original
	}
	return o.value, o, nil
}

// decodeData returns what text says, and no Original if it is not JSON.
func decodeData(text []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	if first := bytes.TrimLeft(text, " \t\n"); len(first) > 0 && strings.IndexByte("{[\"-0123456789tfn"+bom, first[0]) >= 0 {
		v, original, err := json.Codec{}.Decode(text, limits)
		switch err := err.(type) {
		case nil:
			return v, original, nil
		case *codec.LimitError:
			return nil, nil, of(sse, 0, err)
		}
	}
	return strings.ToValidUTF8(string(text), "\ufffd"), nil, nil
}

// scan finds the lines.
func (o *sseOriginal) scan() error {
	pos := 0
	if bytes.HasPrefix(o.text, []byte(bom)) {
		pos = len(bom)
	}
	for pos < len(o.text) {
		end := len(o.text)
		if i := bytes.IndexAny(o.text[pos:], "\r\n"); i >= 0 {
			end = pos + i
		}
		next := end + len(lineEndAt(o.text, end))
		if end > pos {
			o.lines = append(o.lines, o.line(pos, end, next))
			pos = next
			continue
		}
		if next < len(o.text) {
			return &codec.SyntaxError{Format: sse, Offset: next, Msg: "found more after a blank line, expected the end of the event"}
		}
		break
	}
	return nil
}

func (o *sseOriginal) line(start, end, next int) sseLine {
	l := sseLine{start: int32(start), value: int32(end), end: int32(end), next: int32(next)}
	name := o.text[start:end]
	if i := bytes.IndexByte(name, ':'); i >= 0 {
		l.value = int32(start + i + 1)
		if name = name[:i]; start+i+1 < end && o.text[start+i+1] == ' ' {
			l.value++
		}
	}
	switch string(name) {
	case "event":
		l.field = event
	case "id":
		if bytes.IndexByte(o.text[l.value:end], 0) < 0 { // else it is ignored
			l.field = id
		}
	case "data":
		l.field = data
	}
	return l
}

func (o *sseOriginal) read(l sseLine) string {
	if l.field == other {
		return ""
	}
	return strings.ToValidUTF8(string(o.text[l.value:l.end]), "\ufffd")
}

// Encode writes v onto the event of original, or as a new event.
func (SSE) Encode(original codec.Original, v codec.Value) ([]byte, error) {
	after, ok := v.(map[string]any)
	if !ok {
		return nil, noEvent("an event is an object, and " + value.TypeName(v) + " is none")
	}
	o, ok := original.(*sseOriginal)
	if !ok || o == nil {
		o = &sseOriginal{}
	}
	if o.value != nil && value.Equal(o.value, after) {
		return o.text, nil
	}
	want, err := o.fields(after)
	if err != nil {
		return nil, err
	}
	return o.edit(want), nil
}

// fields returns the lines that the event is to have of each field, nil where
// they are to stay.
func (o *sseOriginal) fields(after map[string]any) (want [fields][]string, err error) {
	for name := range after {
		if name != "event" && name != "id" && name != "data" {
			return want, value.Within(value.Key(name), noEvent("an event has event, id and data alone"))
		}
	}
	for _, f := range []field{event, id, data} {
		v, has := after[f.String()]
		before, had := o.value[f.String()]
		switch {
		case has == had && value.Equal(before, v):
			continue
		case !has || v == nil && f != data:
			want[f] = []string{}
			continue
		case f == data:
			want[f], err = o.dataLines(v)
		default:
			var text string
			text, err = fieldText(f, v)
			want[f] = []string{text}
		}
		if err != nil {
			return want, value.Within(value.Key(f.String()), err)
		}
	}
	return want, nil
}

func fieldText(f field, v codec.Value) (string, error) {
	text, ok := v.(string)
	if value.IsNumber(v) {
		number, err := scratch(sse, v)
		return string(number), err
	}
	if !ok {
		return "", noEvent("it is a string, and " + value.TypeName(v) + " is none")
	}
	if strings.ContainsAny(text, "\r\n") || f == id && strings.Contains(text, "\x00") {
		return "", noEvent("there is no place for a line end, nor for NUL in an id")
	}
	return strings.ToValidUTF8(text, "\ufffd"), nil
}

func (o *sseOriginal) dataLines(v codec.Value) ([]string, error) {
	_, had := o.value["data"]
	if text, ok := v.(string); ok && o.json == nil {
		text = strings.ToValidUTF8(text, "\ufffd")
		_, reads, err := decodeData([]byte(text), codec.Limits{})
		plain := err == nil && reads == nil && !strings.Contains(text, "\r")
		switch {
		case had && strings.Contains(text, "\r"):
			return nil, noEvent("a carriage return has no place in a plain text")
		case had || plain:
			return strings.Split(text, "\n"), nil
		}
	}
	text, err := json.Codec{}.Encode(o.json, v)
	if err != nil {
		return nil, of(sse, 0, err)
	}
	return strings.Split(string(text), "\n"), nil
}

func noEvent(msg string) error {
	return &codec.ExpressError{Format: sse, Path: ".", Msg: msg}
}
