package proxy

import (
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/rules"
)

// What a verbatim connection keeps for its observers comes from slabs, so that
// an exchange costs few allocations.
const (
	fieldsSlab = 32
	bytesSlab  = 4 << 10
	bytesSmall = 1 << 10 // beyond it content has memory of its own
)

// fillHead fills in a head. It takes whatever the peers say to each other.
func (w *way) fillHead(h *rules.Head, fields []http2.Field) {
	n := 0
	host := ""
	for i := range fields {
		f := &fields[i]
		switch f.Name {
		case ":method":
			h.Method = f.Value
		case ":authority":
			h.Host = f.Value
		case ":path":
			h.Path, h.Query, _ = strings.Cut(f.Value, "?")
		case ":status":
			h.Status = statusOf(f.Value)
		case "host":
			host = f.Value
		default:
			if endToEndName(f.Name) {
				n++
			}
		}
	}
	if h.Host == "" {
		h.Host = host
	}
	h.Fields = w.keepSome(fields, n)
}

// keep keeps trailers.
func (w *way) keep(fields []http2.Field) rules.Fields {
	n := 0
	for i := range fields {
		if endToEndName(fields[i].Name) {
			n++
		}
	}
	return w.keepSome(fields, n)
}

// keepSome keeps the n of fields that observers are shown.
func (w *way) keepSome(fields []http2.Field, n int) rules.Fields {
	if cap(w.fields)-len(w.fields) < n {
		w.fields = make(rules.Fields, 0, max(fieldsSlab, n))
	}
	from := len(w.fields)
	for i := range fields {
		if endToEndName(fields[i].Name) {
			w.fields = append(w.fields, rules.Field{Name: fields[i].Name, Value: fields[i].Value})
		}
	}
	return w.fields[from:len(w.fields):len(w.fields)]
}

// endToEndName reports whether heads show a field of that name: those of
// hopByHop do not belong to the message, and those that begin with a colon are
// elsewhere.
func endToEndName(name string) bool {
	if name == "" {
		return true
	}
	switch name[0] {
	case ':':
		return false
	case 'c':
		return name != "content-length" && name != "connection"
	case 'h':
		return name != "host"
	case 't':
		return name != "trailer" && name != "transfer-encoding"
	case 'k':
		return name != "keep-alive"
	case 'p':
		return name != "proxy-connection"
	case 'u':
		return name != "upgrade"
	}
	return true
}

// statusOf is a status of three digits, else 0.
func statusOf(s string) int {
	if len(s) != 3 {
		return 0
	}
	n := 0
	for i := range 3 {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		n = 10*n + int(s[i]-'0')
	}
	return n
}

// capture adds a part of a body to what is kept of it.
func (w *way) capture(p *Payload, part []byte) {
	p.Size += int64(len(part))
	room := int(w.v.c.p.Capture) - len(p.Bytes)
	if room <= 0 {
		return
	}
	part = part[:min(room, len(part))]
	if p.Bytes != nil || len(part) > bytesSmall {
		p.Bytes = append(p.Bytes, part...)
		return
	}
	if cap(w.bytes)-len(w.bytes) < len(part) {
		w.bytes = make([]byte, 0, bytesSlab)
	}
	from := len(w.bytes)
	w.bytes = append(w.bytes, part...)
	p.Bytes = w.bytes[from:len(w.bytes):len(w.bytes)]
}

// mediaFormat is a content type that was looked up.
type mediaFormat struct {
	contentType string
	codec       codec.Codec
}

// format is the codec of a content type, nil if there is none. A connection
// carries few different ones.
func (w *way) format(contentType string) codec.Codec {
	if contentType == "" {
		return nil
	}
	for i := range w.media {
		if w.media[i].contentType == contentType {
			return w.media[i].codec
		}
	}
	found, _ := w.v.c.p.Codecs.ByContentType(contentType)
	w.media[1] = w.media[0]
	w.media[0] = mediaFormat{contentType, found}
	return found
}
