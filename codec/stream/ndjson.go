package stream

import (
	"bytes"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/plan"
)

var _ plan.Editor = NDJSON{}

// NDJSON is JSON Lines: one JSON text a line, each ended by LF, with space
// around it as JSON allows, so also CRLF. Blank lines are no messages.
type NDJSON struct{}

const ndjson = "ndjson"

// Name returns "ndjson".
func (NDJSON) Name() string { return ndjson }

// Split returns a Splitter at LF.
func (NDJSON) Split(limits codec.Limits) Splitter { return &lines{most: sizeOf(limits)} }

// Terminate adds the line end that the last line may lack.
func (NDJSON) Terminate(msg []byte) []byte {
	if bytes.HasSuffix(msg, []byte("\n")) {
		return msg
	}
	return append(msg[:len(msg):len(msg)], '\n')
}

// lineOriginal is what Decode keeps of a line.
type lineOriginal struct{ text codec.Original }

// Ambiguous reports whether the JSON text is, see [json.Original.Ambiguous].
func (o *lineOriginal) Ambiguous() bool { return ambiguous(o.text) }

func ambiguous(text codec.Original) bool {
	o, ok := text.(*json.Original)
	return ok && o.Ambiguous()
}

// Decode parses one line, with or without its end.
func (NDJSON) Decode(line []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	if len(line) > sizeOf(limits) {
		return nil, nil, &codec.LimitError{Format: ndjson, Limit: "size", Max: int64(sizeOf(limits))}
	}
	if i := bytes.IndexByte(line, '\n'); i >= 0 && i+1 < len(line) {
		return nil, nil, &codec.SyntaxError{Format: ndjson, Offset: i, Msg: "found a line end, expected one at the end alone"}
	}
	v, original, err := json.Codec{}.Decode(line, limits)
	if err != nil {
		return nil, nil, of(ndjson, 0, err)
	}
	return v, &lineOriginal{original}, nil
}

// Encode writes v onto the line of original, or as a new line.
func (NDJSON) Encode(original codec.Original, v codec.Value) ([]byte, error) {
	if o, ok := original.(*lineOriginal); ok && o != nil {
		out, err := json.Codec{}.Encode(o.text, v)
		return out, of(ndjson, 0, err)
	}
	out, err := scratch(ndjson, v)
	if err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}

// Edit implements [plan.Editor]: the line end is white space of the text.
func (NDJSON) Edit(room []byte, p *plan.Plan, line []byte, vars []codec.Value, limits codec.Limits) (plan.Result, error) {
	return json.Codec{}.Edit(room, p, line, vars, limits)
}

// Query implements [plan.Editor].
func (NDJSON) Query(p *plan.Plan, line []byte, vars []codec.Value, limits codec.Limits) (codec.Value, plan.Outcome, error) {
	return json.Codec{}.Query(p, line, vars, limits)
}

// lines cuts at LF.
type lines struct {
	most    int
	scanned int // bytes of buf that are known to have no LF
	begun   bool
}

func (l *lines) Next(buf []byte, final bool) (int, []byte, error) {
	n := 0
	if i := bytes.IndexByte(buf[l.scanned:], '\n'); i >= 0 {
		n = l.scanned + i + 1
	} else if final {
		n = len(buf)
	}
	if n == 0 {
		l.scanned = len(buf)
		return taken(ndjson, l.most, buf, 0, false)
	}
	content := buf[:n]
	if !l.begun {
		content = bytes.TrimPrefix(content, []byte(bom))
	}
	l.scanned, l.begun = 0, true
	return taken(ndjson, l.most, buf, n, !isBlank(content))
}
