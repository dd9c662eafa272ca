package form

import (
	"bytes"
	"mime"
	"strings"
	"unicode/utf8"
)

// split finds the parts: where each begins, where its headers do, and where it
// ends.
func (o *multipartOriginal) split(delimiter []byte) error {
	for pos := 0; ; {
		at := bytes.Index(o.data[pos:], delimiter)
		if at < 0 {
			return o.syntax(len(o.data), "found the end, expected a delimiter")
		}
		at += pos
		pos = at + len(delimiter)
		if at > 0 && o.data[at-1] != '\n' {
			continue
		}
		if at == 1 || at > 1 && o.data[at-2] != '\r' {
			return o.syntax(at, "a delimiter after a line that ends with LF alone")
		}
		if n := len(o.parts); n > 0 {
			o.parts[n-1].end = int32(at - len("\r\n"))
		}
		closes := bytes.HasPrefix(o.data[pos:], []byte("--"))
		if closes {
			pos += len("--")
		}
		for pos < len(o.data) && (o.data[pos] == ' ' || o.data[pos] == '\t') {
			pos++
		}
		if bytes.HasPrefix(o.data[pos:], []byte("\r\n")) {
			pos += len("\r\n")
		} else if !closes || pos < len(o.data) {
			return o.syntax(pos, "found more after a delimiter, expected CRLF")
		}
		if closes {
			o.close = at
			if i := bytes.Index(o.data[pos:], delimiter); i >= 0 {
				return o.syntax(pos+i, "a delimiter after the last one")
			}
			return nil
		}
		o.parts = append(o.parts, part{start: int32(at), head: int32(pos)})
	}
}

// headers are those that count.
type headers struct {
	disposition, contentType, encoding string
	has                                map[string]bool
}

// read reads the headers of p, and its body if it is text.
func (o *multipartOriginal) read(p *part) error {
	h, err := o.headers(p)
	if err != nil {
		return err
	}
	if !h.has["content-disposition"] {
		return o.syntax(int(p.head), "a part without a Content-Disposition")
	}
	disposition, params, err := mime.ParseMediaType(h.disposition)
	name, named := params["name"]
	switch {
	case err != nil, disposition != "form-data", !named, extended(h.disposition), !utf8.ValidString(name):
		return o.syntax(int(p.head), "a part whose Content-Disposition is not form-data with a name")
	}
	p.name = unquoter.Replace(name)
	body := o.data[p.body:max(p.body, p.end)]
	filename, isFile := params["filename"]
	if !isFile && textEncodings[strings.ToLower(h.encoding)] && utf8.Valid(body) {
		p.value = string(body)
		return nil
	}
	file := map[string]any{"size": len(body)}
	if isFile {
		file["filename"] = unquoter.Replace(strings.ToValidUTF8(filename, "\ufffd"))
	}
	if h.has["content-type"] {
		file["type"] = strings.ToValidUTF8(h.contentType, "\ufffd")
	}
	p.value = file
	return nil
}

// extended reports whether there is a name* or a name*0: services do not agree
// on whether these count.
func extended(disposition string) bool {
	plain := strings.ToLower(strings.NewReplacer(" ", "", "\t", "").Replace(disposition))
	return strings.Contains(plain, ";name*")
}

// headers reads the headers of p and finds its body.
func (o *multipartOriginal) headers(p *part) (headers, error) {
	h := headers{has: make(map[string]bool, 3)}
	var name string
	var text []byte
	for pos := int(p.head); ; {
		i := bytes.Index(o.data[pos:], []byte("\r\n"))
		if i < 0 || pos+i > int(p.end) {
			return h, o.syntax(int(p.head), "headers without a blank line after them")
		}
		line := o.data[pos : pos+i]
		if bytes.ContainsAny(line, "\r\n\x00") {
			return h, o.syntax(pos, "a header with a control character in it")
		}
		folded := name != "" && len(line) > 0 && (line[0] == ' ' || line[0] == '\t')
		if !folded {
			if name != "" && !h.set(name, string(text)) {
				return h, o.syntax(pos, "a header that is there twice")
			}
			name, text = "", text[:0]
		}
		pos += i + len("\r\n")
		if len(line) == 0 {
			p.body = int32(pos)
			return h, nil
		}
		if folded {
			text = append(append(text, ' '), bytes.Trim(line, " \t")...)
			continue
		}
		before, after, ok := bytes.Cut(line, []byte{':'})
		if !ok || len(before) == 0 || bytes.ContainsAny(before, " \t") {
			return h, o.syntax(pos-i-len("\r\n"), "a header without a name")
		}
		name, text = strings.ToLower(string(before)), append(text, bytes.Trim(after, " \t")...)
	}
}

// set returns false if name counts and is there already.
func (h *headers) set(name, text string) bool {
	switch name {
	case "content-disposition":
		h.disposition = text
	case "content-type":
		h.contentType = text
	case "content-transfer-encoding":
		h.encoding = text
	default:
		return true
	}
	again := h.has[name]
	h.has[name] = true
	return !again
}
