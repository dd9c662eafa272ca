package protobuf

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// wellKnown is a message type that JSON shows in a form of its own. Both
// directions go by the fields, so that an edit of the form is an edit of the
// fields and unknown ones survive.
type wellKnown struct {
	// fromFields returns the form, or the fields as they are where they have
	// none, such as a Timestamp in the year 10000.
	fromFields func(d *decoder, m *message, fields map[string]any, depth int) (codec.Value, error)
	// fromWire, if set, returns the form of a message that is as everyone writes
	// it; of any other it returns false.
	fromWire func(d *decoder, m *message, b []byte) (codec.Value, bool)
	// toFields is its inverse. It also takes what fromFields left as it was.
	toFields func(v codec.Value) (map[string]any, error)
	// edit, if set, stands in for toFields and the edit of the fields.
	edit func(e *editor, m *message, body []byte, before, after codec.Value, depth int) ([]byte, error)
}

// wellKnownOf returns nil also for a message that only has the name of a
// well-known one: descriptors come from servers.
func wellKnownOf(d protoreflect.MessageDescriptor) *wellKnown {
	short, ok := strings.CutPrefix(string(d.FullName()), "google.protobuf.")
	if !ok {
		return nil
	}
	switch {
	case short == "Any" && has(d, "type_url string", "value bytes"):
		return &wellKnown{fromFields: anyFromFields, edit: editAny}
	case short == "Timestamp" && has(d, "seconds int64", "nanos int32"):
		return &wellKnown{fromFields: plain(timestampFromFields), fromWire: timeFromWire(timestampForm), toFields: timestampToFields}
	case short == "Duration" && has(d, "seconds int64", "nanos int32"):
		return &wellKnown{fromFields: plain(durationFromFields), fromWire: timeFromWire(durationForm), toFields: durationToFields}
	case short == "FieldMask" && has(d, "paths string"):
		return &wellKnown{fromFields: plain(maskFromFields), toFields: maskToFields}
	case short == "Struct" && has(d, "fields message"):
		return &wellKnown{fromFields: plain(member("fields")), toFields: structToFields}
	case short == "ListValue" && has(d, "values message"):
		return &wellKnown{fromFields: plain(member("values")), toFields: listToFields}
	case short == "Value" && has(d, "null_value enum", "number_value double", "string_value string", "bool_value bool", "struct_value message", "list_value message"):
		return &wellKnown{fromFields: plain(valueFromFields), toFields: valueToFields}
	}
	switch short {
	case "DoubleValue", "FloatValue", "Int64Value", "UInt64Value", "Int32Value", "UInt32Value", "BoolValue", "StringValue", "BytesValue":
		kind := strings.ToLower(strings.TrimSuffix(short, "Value"))
		if has(d, "value "+kind) {
			return &wellKnown{fromFields: plain(member("value")), toFields: wrapperToFields}
		}
	}
	return nil
}

func has(d protoreflect.MessageDescriptor, fields ...string) bool {
	if d.Fields().Len() != len(fields) {
		return false
	}
	for i, want := range fields {
		f := d.Fields().Get(i)
		repeated := want == "paths string" || want == "values message" || want == "fields message"
		if fmt.Sprint(f.Name(), " ", f.Kind()) != want || f.IsMap() != (want == "fields message") ||
			(f.Cardinality() == protoreflect.Repeated) != repeated {
			return false
		}
	}
	return true
}

func wrapperToFields(v codec.Value) (map[string]any, error) {
	return map[string]any{"value": v}, nil
}

func plain(from func(map[string]any) codec.Value) func(*decoder, *message, map[string]any, int) (codec.Value, error) {
	return func(_ *decoder, _ *message, fields map[string]any, _ int) (codec.Value, error) {
		return from(fields), nil
	}
}

func member(name string) func(map[string]any) codec.Value {
	return func(fields map[string]any) codec.Value { return fields[name] }
}

func structToFields(v codec.Value) (map[string]any, error) {
	if _, ok := v.(map[string]any); !ok {
		return nil, inexpressible(withArticle(value.TypeName(v)) + " in a google.protobuf.Struct")
	}
	return map[string]any{"fields": v}, nil
}

func listToFields(v codec.Value) (map[string]any, error) {
	if _, ok := v.([]any); !ok {
		return nil, inexpressible(withArticle(value.TypeName(v)) + " in a google.protobuf.ListValue")
	}
	return map[string]any{"values": v}, nil
}

// valueFromFields takes the one that is set; none is null.
func valueFromFields(fields map[string]any) codec.Value {
	for _, v := range fields {
		return v
	}
	return nil
}

func valueToFields(v codec.Value) (map[string]any, error) {
	kind := "number_value"
	switch v.(type) {
	case nil:
		kind = "null_value"
	case bool:
		kind = "bool_value"
	case string:
		kind = "string_value"
	case map[string]any:
		kind = "struct_value"
	case []any:
		kind = "list_value"
	default:
		if !value.IsNumber(v) {
			return nil, inexpressible(value.TypeName(v) + " is no value")
		}
	}
	return map[string]any{kind: v}, nil
}

// The range of a Timestamp is the years 1 to 9999, of a Duration 10,000 years.
const (
	minTimestamp, maxTimestamp = -62135596800, 253402300799
	maxDuration                = 315576000000
)

func timestampFromFields(fields map[string]any) codec.Value {
	return timeFromFields(timestampForm, fields)
}

// timeFromFields returns the form of a time, or its fields if it has none.
func timeFromFields(form func(seconds, nanos int) (string, bool), fields map[string]any) codec.Value {
	seconds, _ := fields["seconds"].(int)
	nanos, _ := fields["nanos"].(int)
	if s, ok := form(seconds, nanos); ok {
		return s
	}
	return fields
}

// timeFromWire reads seconds and nanos without making an object of them.
func timeFromWire(form func(seconds, nanos int) (string, bool)) func(*decoder, *message, []byte) (codec.Value, bool) {
	return func(d *decoder, m *message, b []byte) (codec.Value, bool) {
		var seconds, nanos uint64
		for len(b) > 0 {
			value, n := protowire.ConsumeVarint(b[1:])
			if n < 0 {
				return nil, false
			}
			switch b[0] {
			case 1 << 3:
				seconds = value
			case 2 << 3:
				nanos = value
			default:
				return nil, false
			}
			b = b[1+n:]
		}
		if int64(int(seconds)) != int64(seconds) {
			return nil, false
		}
		s, ok := form(int(seconds), int(int32(nanos)))
		cost := len(m.implicit) + leastSlots
		if !ok || d.slots < cost {
			return nil, false
		}
		d.slots -= cost
		return s, true
	}
}

func timestampForm(seconds, nanos int) (string, bool) {
	if seconds < minTimestamp || seconds > maxTimestamp || nanos < 0 || nanos >= 1e9 {
		return "", false
	}
	var b [32]byte
	out := time.Unix(int64(seconds), 0).UTC().AppendFormat(b[:0], "2006-01-02T15:04:05")
	return string(append(appendFraction(out, nanos), 'Z')), true
}

func timestampToFields(v codec.Value) (map[string]any, error) {
	switch v := v.(type) {
	case map[string]any:
		return v, nil
	case string:
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil || t.Unix() < minTimestamp || t.Unix() > maxTimestamp {
			return nil, inexpressible("a string that is no RFC 3339 time")
		}
		return map[string]any{"seconds": int(t.Unix()), "nanos": t.Nanosecond()}, nil
	}
	return nil, inexpressible(withArticle(value.TypeName(v)) + " in a google.protobuf.Timestamp")
}

func durationFromFields(fields map[string]any) codec.Value {
	return timeFromFields(durationForm, fields)
}

func durationForm(seconds, nanos int) (string, bool) {
	if seconds < -maxDuration || seconds > maxDuration || nanos <= -1e9 || nanos >= 1e9 ||
		seconds > 0 && nanos < 0 || seconds < 0 && nanos > 0 {
		return "", false
	}
	var b [32]byte
	out := b[:0]
	if seconds < 0 || nanos < 0 {
		out, seconds, nanos = append(out, '-'), -seconds, -nanos
	}
	out = strconv.AppendInt(out, int64(seconds), 10)
	return string(append(appendFraction(out, nanos), 's')), true
}

func durationToFields(v codec.Value) (map[string]any, error) {
	switch v := v.(type) {
	case map[string]any:
		return v, nil
	case string:
		if fields, ok := parseDuration(v); ok {
			return fields, nil
		}
		return nil, inexpressible(`a string that is no duration in seconds, such as "1.5s"`)
	}
	return nil, inexpressible(withArticle(value.TypeName(v)) + " in a google.protobuf.Duration")
}

func parseDuration(s string) (map[string]any, bool) {
	s, ok := strings.CutSuffix(s, "s")
	s, negative := strings.CutPrefix(s, "-")
	whole, part, point := strings.Cut(s, ".")
	if !ok || !digits(whole) || point && !digits(part) || len(whole) > 12 || len(part) > 9 {
		return nil, false
	}
	seconds, _ := strconv.Atoi(whole)
	nanos, _ := strconv.Atoi((part + "000000000")[:9])
	if seconds > maxDuration {
		return nil, false
	}
	if negative {
		seconds, nanos = -seconds, -nanos
	}
	return map[string]any{"seconds": seconds, "nanos": nanos}, true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// appendFraction writes nanoseconds in 0, 3, 6 or 9 digits.
func appendFraction(dst []byte, nanos int) []byte {
	if nanos == 0 {
		return dst
	}
	at := len(dst)
	dst = strconv.AppendInt(dst, int64(nanos)+1e9, 10)
	dst[at] = '.'
	dst = bytes.TrimSuffix(dst, []byte("000"))
	return bytes.TrimSuffix(dst, []byte("000"))
}

func maskFromFields(fields map[string]any) codec.Value {
	paths, _ := fields["paths"].([]any)
	camel := make([]string, len(paths))
	for i, p := range paths {
		snake := p.(string)
		camel[i] = toCamel(snake)
		if snake == "" || strings.Contains(snake, ",") || toSnake(camel[i]) != snake {
			return fields
		}
	}
	return strings.Join(camel, ",")
}

func maskToFields(v codec.Value) (map[string]any, error) {
	switch v := v.(type) {
	case map[string]any:
		return v, nil
	case string:
		paths := []any{}
		for camel := range strings.SplitSeq(v, ",") {
			if v == "" {
				break
			}
			if camel == "" || strings.Contains(camel, "_") {
				return nil, inexpressible("a string that is no field mask in lowerCamel names")
			}
			paths = append(paths, toSnake(camel))
		}
		return map[string]any{"paths": paths}, nil
	}
	return nil, inexpressible(withArticle(value.TypeName(v)) + " in a google.protobuf.FieldMask")
}

func toCamel(snake string) string {
	var b strings.Builder
	for i := 0; i < len(snake); i++ {
		if snake[i] == '_' && i+1 < len(snake) && 'a' <= snake[i+1] && snake[i+1] <= 'z' {
			i++
			b.WriteByte(snake[i] - 'a' + 'A')
			continue
		}
		b.WriteByte(snake[i])
	}
	return b.String()
}

func toSnake(camel string) string {
	var b strings.Builder
	for i := range len(camel) {
		if c := camel[i]; 'A' <= c && c <= 'Z' {
			b.WriteByte('_')
			b.WriteByte(c - 'A' + 'a')
			continue
		}
		b.WriteByte(camel[i])
	}
	return b.String()
}

// An Any of a known type reads as {"@type": url} and the fields of the message,
// or as {"@type": url, "value": form} where that has a form of its own; of an
// unknown type as {"@type": url, "value": base64}.
const typeURL = "@type"

func anyFromFields(d *decoder, m *message, fields map[string]any, depth int) (codec.Value, error) {
	url, encoded := fields["type_url"].(string), fields["value"].(string)
	if url == "" && encoded == "" {
		return map[string]any{}, nil
	}
	opaque := map[string]any{typeURL: url, "value": encoded}
	inner := m.schema.byURL(url)
	if inner == nil {
		return opaque, nil
	}
	if err := d.copying(len(encoded)); err != nil {
		return nil, err
	}
	body, _ := fromBase64(encoded)
	v, err := d.copied(inner, body, 0, depth+1)
	switch {
	case errors.Is(err, codec.ErrTooLarge):
		return nil, err // others read it: a rule must not take it for opaque
	case err != nil:
		return opaque, nil //nolint:nilerr // no such message: as opaque as one of an unknown type
	case inner.special != nil:
		return map[string]any{typeURL: url, "value": v}, nil
	}
	object := maps.Clone(v.(map[string]any))
	object[typeURL] = url
	return object, nil
}

// editAny pairs the messages inside by type URL.
func editAny(e *editor, m *message, body []byte, before, after codec.Value, depth int) ([]byte, error) {
	object, ok := after.(map[string]any)
	if !ok {
		return nil, inexpressible(withArticle(value.TypeName(after)) + " in a google.protobuf.Any")
	}
	was, err := newDecoder(len(body), math.MaxInt).fields(m, body, 0, 0)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{"type_url": "", "value": ""}
	if len(object) > 0 {
		url, ok := object[typeURL].(string)
		if !ok {
			return nil, inexpressible(`a google.protobuf.Any without "@type"`)
		}
		fields["type_url"] = url
		if fields["value"], err = e.anyValue(m, was, url, before, object, depth); err != nil {
			return nil, err
		}
	}
	return e.fields(m, body, was, fields, depth)
}

// anyValue returns what object holds as base64.
func (e *editor) anyValue(m *message, was map[string]any, url string, before codec.Value, object map[string]any, depth int) (codec.Value, error) {
	old, _ := before.(map[string]any)
	encoded, isString := object["value"].(string)
	inner := m.schema.byURL(url)
	wasOpaque := inner != nil && old[typeURL] == url && old["value"] == was["value"] && len(old) == 2
	if inner == nil || wasOpaque && isString {
		if !isString || len(object) > 2 {
			return nil, inexpressible(`a google.protobuf.Any of a type without descriptor, whose only member beside "@type" is "value" in base64`)
		}
		return encoded, nil
	}
	var oldBody []byte
	inside := func(any map[string]any) codec.Value {
		if inner.special != nil {
			return any["value"]
		}
		return without(any, typeURL)
	}
	var from codec.Value = absent{}
	if old[typeURL] == url && !wasOpaque {
		oldBody, _ = fromBase64(was["value"].(string))
		from = inside(old)
	}
	body, err := e.message(inner, oldBody, from, inside(object), depth+1)
	if err != nil {
		return nil, err
	}
	return toBase64(body), nil
}

func without(object map[string]any, key string) map[string]any {
	c := maps.Clone(object)
	delete(c, key)
	return c
}
