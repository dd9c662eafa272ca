package form

import (
	"fmt"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

const multipart = "multipart"

// Multipart is the codec of multipart/form-data with one boundary. The zero value
// knows none, and refuses everything; [Multipart.For] and [NewMultipart] make one
// that does.
//
// A part is a file if it has a filename, or is not text: not UTF-8, or under a
// Content-Transfer-Encoding that is none of 7bit, 8bit and binary. A file is an
// object {filename, type, size} of those that it has, type being its Content-Type
// and size its bytes. It can be kept or removed, and moved among the files of its
// name, and its bytes are not looked at; it cannot be changed or made. All other
// parts are strings, whatever their type.
//
// Kept where no edit names it: parts, their headers and their order, preamble and
// epilogue. What services read differently is an error: lines that end with LF
// alone where a delimiter or a header is, a delimiter followed by other text, one
// in the epilogue, a part without a name or with two, and names in the extended
// notation of RFC 5987, which RFC 7578 has no use for. In names, %22, %0D and %0A
// are what HTML escapes so: a quote and line ends.
type Multipart struct {
	boundary string
}

var _ codec.Codec = Multipart{}

// NewMultipart returns the codec of a boundary: 1 to 70 of the characters that
// RFC 2046 allows, the last no space.
func NewMultipart(boundary string) (Multipart, error) {
	const also = "'()+_,-./:=? "
	ok := len(boundary) >= 1 && len(boundary) <= 70 && !strings.HasSuffix(boundary, " ")
	for i := 0; ok && i < len(boundary); i++ {
		c := boundary[i]
		ok = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(also, c) >= 0
	}
	if !ok {
		return Multipart{}, fmt.Errorf("multipart: a boundary is 1 to 70 of the characters that RFC 2046 allows")
	}
	return Multipart{boundary}, nil
}

// For returns the codec for a Content-Type field's value, which names the
// boundary.
func (Multipart) For(contentType string) (codec.Codec, error) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, fmt.Errorf("multipart: parse content type: %w", err)
	}
	m, err := NewMultipart(params["boundary"])
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Name returns "multipart".
func (Multipart) Name() string { return multipart }

func (m Multipart) delimiter() string { return "--" + m.boundary }

// Decode parses a form.
func (m Multipart) Decode(data []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	if err := checkSize(multipart, data, limits); err != nil {
		return nil, nil, err
	}
	if m.boundary == "" {
		return nil, nil, &codec.SyntaxError{Format: multipart, Msg: "no boundary is known"}
	}
	o := &multipartOriginal{boundary: m.boundary, data: data}
	if err := o.split([]byte(m.delimiter())); err != nil {
		return nil, nil, err
	}
	var values repeated
	for i := range o.parts {
		if err := o.read(&o.parts[i]); err != nil {
			return nil, nil, err
		}
		values.add(o.parts[i].name, o.parts[i].value)
	}
	o.value = values.object()
	return o.value, o, nil
}

// multipartOriginal is what Decode keeps: the parts and what they read as. The
// text is the preamble, the parts, and from close on the rest.
type multipartOriginal struct {
	boundary string
	data     []byte
	parts    []part
	close    int
	value    map[string]any
}

// part is the place of a part, which begins with its delimiter, and ends where
// the next one begins. body is between its headers and the line end at its end.
type part struct {
	start, head, body, end int32
	name                   string
	value                  codec.Value
}

// Encode writes v onto original, or from scratch if original is nil.
func (m Multipart) Encode(original codec.Original, v codec.Value) ([]byte, error) {
	after, err := object(multipart, v)
	if err != nil {
		return nil, err
	}
	if m.boundary == "" {
		return nil, inexpressible(multipart, "no boundary is known")
	}
	o, ok := original.(*multipartOriginal)
	if !ok || o == nil || o.boundary != m.boundary {
		o = &multipartOriginal{data: []byte(m.delimiter() + "--\r\n")}
	} else if value.Equal(o.value, after) {
		return o.data, nil
	}
	return m.edit(o, after)
}

func (m Multipart) edit(o *multipartOriginal, after map[string]any) ([]byte, error) {
	names := make([]string, len(o.parts))
	first := o.close
	for i, p := range o.parts {
		names[i] = p.name
		first = min(first, int(p.start))
	}
	out := slices.Clone(o.data[:first])
	l := place(names, nil, o.value, after)
	var err error
	for i := range o.parts {
		if l.kept[i] {
			out = append(out, o.data[o.parts[i].start:o.next(i)]...)
		}
		for _, p := range l.slots[i] {
			if out, err = m.write(out, o, names[i], p); err != nil {
				return nil, p.within(names[i], err)
			}
		}
	}
	for _, added := range l.added {
		for _, p := range added.pieces {
			if out, err = m.write(out, o, added.name, p); err != nil {
				return nil, p.within(added.name, err)
			}
		}
	}
	return append(out, o.data[o.close:]...), nil
}

// write appends p, which has name, with the headers of the part that it was if it
// was one.
func (m Multipart) write(out []byte, o *multipartOriginal, name string, p piece) ([]byte, error) {
	if p.from >= 0 {
		was := o.parts[p.from]
		if value.Equal(was.value, p.value) {
			return append(out, o.data[was.start:o.next(int(p.from))]...), nil
		}
		if _, isText := was.value.(string); !isText {
			return nil, inexpressible(multipart, "a file can be kept or removed, but not changed")
		}
	}
	if _, isFile := p.value.(map[string]any); isFile {
		return nil, inexpressible(multipart, "a file can be kept or removed, but not made or given another name")
	}
	text, err := textOf(multipart, p.value)
	if err != nil {
		return nil, err
	}
	if strings.Contains("\n"+text, "\n"+m.delimiter()) {
		return nil, inexpressible(multipart, "text that has the boundary in it")
	}
	if p.from >= 0 {
		was := o.parts[p.from]
		if was.value == any(text) {
			return append(out, o.data[was.start:o.next(int(p.from))]...), nil
		}
		out = append(out, o.data[was.start:was.body]...)
	} else {
		header, err := disposition(name)
		if err != nil {
			return nil, err
		}
		out = append(append(out, m.delimiter()...), "\r\nContent-Disposition: "...)
		out = append(append(out, header...), "\r\n\r\n"...)
	}
	return append(append(out, text...), "\r\n"...), nil
}

// next is where what follows part i begins.
func (o *multipartOriginal) next(i int) int {
	if i+1 < len(o.parts) {
		return int(o.parts[i+1].start)
	}
	return o.close
}

var (
	// quoter escapes names as HTML does; mime.ParseMediaType reads a backslash as
	// an escape, too.
	quoter   = strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A", `\`, `\\`)
	unquoter = strings.NewReplacer("%22", `"`, "%0D", "\r", "%0d", "\r", "%0A", "\n", "%0a", "\n")
)

// disposition is the header of a new text part.
func disposition(name string) (string, error) {
	h := `form-data; name="` + quoter.Replace(name) + `"`
	_, params, err := mime.ParseMediaType(h)
	if err != nil || unquoter.Replace(params["name"]) != name || extended(h) || !utf8.ValidString(name) || strings.Contains(name, "\x00") {
		return "", inexpressible(multipart, "a name that would read as another")
	}
	return h, nil
}

func (o *multipartOriginal) syntax(at int, msg string) error {
	return &codec.SyntaxError{Format: multipart, Offset: at, Msg: msg}
}

var textEncodings = map[string]bool{"": true, "7bit": true, "8bit": true, "binary": true}
