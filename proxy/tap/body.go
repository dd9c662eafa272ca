package tap

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/base64"
	stdjson "encoding/json"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// describe finds the codecs of an exchange's gRPC messages, if it is one whose
// bodies came without.
func (r *renderer) describe(ctx context.Context, e *proxy.Record) (input, output codec.Codec) {
	q := e.Call
	known := (e.Request.Body.Codec != nil || len(e.Request.Body.Bytes) == 0) &&
		(e.Response.Body.Codec != nil || len(e.Response.Body.Bytes) == 0)
	if known || q.Service == "" || r.config.Describe == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.DescribeTimeout)
	defer cancel()
	return r.config.Describe(ctx, q)
}

// payload renders the members body, format, size and so on of p, which came
// with head, if there is one. described reads gRPC messages of which p does not
// know how to.
func (r *renderer) payload(p *proxy.Payload, head *rules.Head, described codec.Codec) object {
	if p.Size == 0 && len(p.Bytes) == 0 {
		return object{{"size", int64(0)}}
	}
	if p.Withheld != "" {
		return object{{"size", p.Size}, {"withheld", p.Withheld}}
	}
	o := r.content(p, head, described)
	o.add("size", p.Size)
	if !p.Whole() {
		o.add("truncated", true)
	}
	o.addIf("encoding", p.Encoding)
	return o
}

func (r *renderer) content(p *proxy.Payload, head *rules.Head, described codec.Codec) object {
	if len(p.Bytes) == 0 {
		return nil // nothing of it was kept
	}
	media, encoding := "", ""
	if head != nil {
		media = strings.ToLower(head.Fields.Get("content-type"))
		encoding = head.Fields.Get("grpc-encoding")
	}
	if p.Codec == nil && framed(media) {
		if o := r.frames(p, media, encoding, described); o != nil {
			return o
		}
	}
	data, whole := p.Bytes, p.Whole()
	if p.Encoding != "" {
		var all bool
		data, all = r.inflate(p.Encoding, data)
		if data == nil {
			return object{{"body", base64.StdEncoding.EncodeToString(p.Bytes)}, {"format", "base64"}}
		}
		whole = whole && all
	}
	c := p.Codec
	if c == nil {
		c = r.codecOf(media, described)
	}
	if whole && c != nil {
		if body, ok := decode(c, data); ok {
			return object{{"body", body}, {"format", c.Name()}}
		}
	}
	return plain(data, whole)
}

// codecOf finds the codec of a body that no rule looked at.
func (r *renderer) codecOf(media string, described codec.Codec) codec.Codec {
	switch kind, _, _ := strings.Cut(media, ";"); {
	case kind == "application/proto" || kind == "application/connect+proto":
		if described != nil {
			return described
		}
		return r.config.Schemaless
	case r.config.Codecs != nil:
		c, _ := r.config.Codecs.ByContentType(media)
		return c
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return json.Codec{}
	}
	return nil
}

// decode reads data with c. JSON keeps its key order and spelling.
func decode(c codec.Codec, data []byte) (any, bool) {
	v, _, err := c.Decode(data, codec.Limits{})
	if err != nil {
		return nil, false
	}
	if c.Name() != "json" {
		return v, true
	}
	var text bytes.Buffer
	if err := stdjson.Compact(&text, bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))); err != nil || !utf8.Valid(text.Bytes()) {
		return v, true
	}
	return verbatim{text.Bytes(), v}, true
}

// framed reports whether a body of this media type is a row of messages, each
// behind a flag and its length (gRPC's PROTOCOL-HTTP2.md, PROTOCOL-WEB.md).
func framed(media string) bool {
	return strings.HasPrefix(media, "application/grpc") && !strings.HasPrefix(media, "application/grpc-web-text") ||
		strings.HasPrefix(media, "application/connect+")
}

// frames renders the messages of a framed body: one as body, several as
// messages. It is nil if the bytes are not framed.
func (r *renderer) frames(p *proxy.Payload, media, encoding string, described codec.Codec) object {
	c := r.config.Schemaless
	switch {
	case strings.Contains(media, "+json"):
		c = json.Codec{}
	case described != nil:
		c = described
	}
	var messages []any
	format := "base64"
	rest := p.Bytes
	for len(rest) >= 5 {
		flags := rest[0]
		size := uint64(rest[1])<<24 | uint64(rest[2])<<16 | uint64(rest[3])<<8 | uint64(rest[4])
		if size > uint64(len(rest)-5) {
			break
		}
		data := rest[5 : 5+size]
		rest = rest[5+size:]
		if flags&^1 != 0 {
			continue // trailers of gRPC-Web, end of stream of Connect
		}
		var body any = base64.StdEncoding.EncodeToString(data)
		if flags&1 != 0 {
			inflated, whole := r.inflate(encoding, data)
			if !whole {
				messages = append(messages, body)
				continue
			}
			data = inflated
			body = base64.StdEncoding.EncodeToString(data)
		}
		if c != nil {
			if v, ok := decode(c, data); ok {
				body, format = v, c.Name()
			}
		}
		messages = append(messages, body)
	}
	switch {
	case len(rest) > 0 && p.Whole(), len(messages) == 0 && len(rest) > 0:
		return nil
	case len(messages) == 0:
		return object{}
	case len(messages) == 1:
		return object{{"body", messages[0]}, {"format", format}}
	}
	list := make([]any, len(messages))
	for i := range messages {
		list[i] = valueOf(messages[i])
	}
	return object{{"messages", list}, {"format", format}}
}

// inflate undoes a content coding, as far as the bytes go and up to a bound.
// It returns nil if it cannot, and whether it came to the end.
func (r *renderer) inflate(encoding string, data []byte) (out []byte, whole bool) {
	var from io.Reader
	var err error
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "gzip", "x-gzip":
		from, err = gzip.NewReader(bytes.NewReader(data))
	case "deflate":
		from, err = zlib.NewReader(bytes.NewReader(data))
	case "identity", "":
		return data, true
	default:
		return nil, false
	}
	if err != nil {
		return nil, false
	}
	bound := 16 * int64(r.config.Body)
	out, err = io.ReadAll(io.LimitReader(from, bound+1))
	if int64(len(out)) > bound {
		return out[:bound], false
	}
	if len(out) == 0 && err != nil {
		return nil, false
	}
	return out, err == nil
}

// plain renders bytes that no codec reads.
func plain(data []byte, whole bool) object {
	text := data
	if !whole {
		text = untilRune(data)
	}
	if utf8.Valid(text) && bytes.IndexByte(text, 0) < 0 {
		return object{{"body", string(text)}, {"format", "text"}}
	}
	return object{{"body", base64.StdEncoding.EncodeToString(data)}, {"format", "base64"}}
}

// untilRune cuts a rune that does not end off the end.
func untilRune(data []byte) []byte {
	for i := 1; i <= utf8.UTFMax && i <= len(data); i++ {
		if start := len(data) - i; utf8.RuneStart(data[start]) {
			if !utf8.FullRune(data[start:]) {
				return data[:start]
			}
			break
		}
	}
	return data
}

// stepBody renders what a step left, cut to text if it is long.
func (r *renderer) stepBody(v codec.Value) object {
	if _, ok := v.(omitted); ok {
		return object{{"truncated", true}}
	}
	text := json.AppendCompact(nil, v)
	if bound := int(r.config.Body); len(text) > bound {
		return object{{"body", string(untilRune(text[:bound]))}, {"format", "text"}, {"size", len(text)}, {"truncated", true}}
	}
	return object{{"body", verbatim{text, v}}}
}
