package stream

import (
	"bytes"
	"fmt"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
)

// JSONSeq is JSON text sequences, RFC 7464: a record separator (RS, 0x1E), a JSON
// text, which may have many lines, and LF. A message is all three.
//
// The Splitter does not wait for the next RS: a record is at its end at the first
// LF where its brackets and quotes are closed. What follows up to the next RS, if
// it is not blank, is a message that Decode refuses, as it does one that was cut
// short. An RS without a text is no message.
type JSONSeq struct{}

const (
	jsonSeq = "json-seq"
	rs      = 0x1e
)

// Name returns "json-seq".
func (JSONSeq) Name() string { return jsonSeq }

// Split returns a Splitter of records.
func (JSONSeq) Split(limits codec.Limits) Splitter { return &records{most: sizeOf(limits)} }

// Terminate adds the LF that the last record may lack.
func (JSONSeq) Terminate(msg []byte) []byte { return NDJSON{}.Terminate(msg) }

// seqOriginal is what Decode keeps of a record.
type seqOriginal struct {
	record []byte
	text   codec.Original
}

// Ambiguous reports whether the JSON text is, see [json.Original.Ambiguous].
func (o *seqOriginal) Ambiguous() bool { return ambiguous(o.text) }

// Decode parses one record. A number, true, false or null without white space
// after it may have been cut short (RFC 7464, section 2.4), and is an error.
func (JSONSeq) Decode(record []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	if len(record) > sizeOf(limits) {
		return nil, nil, &codec.LimitError{Format: jsonSeq, Limit: "size", Max: int64(sizeOf(limits))}
	}
	if len(record) == 0 || record[0] != rs {
		found := "the end"
		if len(record) > 0 {
			found = fmt.Sprintf("%q", record[0])
		}
		return nil, nil, &codec.SyntaxError{Format: jsonSeq, Msg: "found " + found + ", expected a record separator"}
	}
	v, original, err := json.Codec{}.Decode(record[1:], limits)
	if err != nil {
		return nil, nil, of(jsonSeq, 1, err)
	}
	if !closesItself(v) && !isSpace(record[len(record)-1]) {
		return nil, nil, &codec.SyntaxError{Format: jsonSeq, Offset: len(record), Msg: "found the end, expected white space after a text that may be cut short"}
	}
	return v, &seqOriginal{record, original}, nil
}

func closesItself(v codec.Value) bool {
	switch v.(type) {
	case string, []any, map[string]any:
		return true
	}
	return false
}

// Encode writes v onto the record of original, or as a new record.
func (JSONSeq) Encode(original codec.Original, v codec.Value) ([]byte, error) {
	o, ok := original.(*seqOriginal)
	if !ok || o == nil {
		text, err := scratch(jsonSeq, v)
		if err != nil {
			return nil, err
		}
		return append(append([]byte{rs}, text...), '\n'), nil
	}
	text, err := json.Codec{}.Encode(o.text, v)
	if err != nil {
		return nil, of(jsonSeq, 0, err)
	}
	if bytes.Equal(text, o.record[1:]) {
		return o.record, nil
	}
	out := append([]byte{rs}, text...)
	if !closesItself(v) && !isSpace(out[len(out)-1]) {
		out = append(out, '\n')
	}
	return out, nil
}

// records cuts before RS, and after LF where a text is at its end.
type records struct {
	most    int
	scanned int
	text    bool // there is more than RS and white space
	depth   int
	quoted  bool
	escaped bool
}

func (r *records) Next(buf []byte, final bool) (int, []byte, error) {
	if r.scanned == 0 {
		n := 0
		for n < len(buf) && isSpace(buf[n]) {
			n++
		}
		if n > 0 {
			return n, nil, nil
		}
		if len(buf) > 0 {
			r.step(buf[0])
			r.scanned = 1
		}
	}
	for ; r.scanned < len(buf); r.scanned++ {
		c := buf[r.scanned]
		if c == rs {
			return r.done(buf)
		}
		if c == '\n' && r.text && r.depth <= 0 && !r.quoted {
			r.scanned++
			return r.done(buf)
		}
		r.step(c)
	}
	if final {
		return r.done(buf)
	}
	return taken(jsonSeq, r.most, buf, 0, false)
}

// done returns all that was scanned and starts anew.
func (r *records) done(buf []byte) (int, []byte, error) {
	n, message := r.scanned, r.text
	*r = records{most: r.most}
	return taken(jsonSeq, r.most, buf, n, message)
}

func (r *records) step(c byte) {
	switch {
	case r.escaped:
		r.escaped = false
	case isSpace(c), c == rs:
		return
	case r.quoted && c == '\\':
		r.escaped = true
	case c == '"':
		r.quoted = !r.quoted
	case r.quoted:
	case c == '{' || c == '[':
		r.depth++
	case c == '}' || c == ']':
		r.depth--
	}
	r.text = true
}
