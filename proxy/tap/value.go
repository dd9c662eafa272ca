package tap

import (
	"strconv"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
)

// object is a JSON object whose members stay in order, for people who read.
// A member's value is a [codec.Value], an int64, a uint64, an object, a
// []object or a verbatim.
type object []member

type member struct {
	key   string
	value any
}

func (o *object) add(key string, value any) { *o = append(*o, member{key, value}) }

// addIf leaves empty strings out.
func (o *object) addIf(key, value string) {
	if value != "" {
		o.add(key, value)
	}
}

// get returns the value of key, nil if there is none.
func (o object) get(key string) any {
	for i := range o {
		if o[i].key == key {
			return o[i].value
		}
	}
	return nil
}

// verbatim is a value together with the JSON text it was read from, so that
// a body shows with the key order and the spelling that passed.
type verbatim struct {
	text  []byte // compact
	value codec.Value
}

func appendJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case object:
		dst = append(dst, '{')
		for i := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = json.AppendCompact(dst, v[i].key)
			dst = append(dst, ':')
			dst = appendJSON(dst, v[i].value)
		}
		return append(dst, '}')
	case []object:
		dst = append(dst, '[')
		for i := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, v[i])
		}
		return append(dst, ']')
	case verbatim:
		return append(dst, v.text...)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case uint64:
		return strconv.AppendUint(dst, v, 10)
	}
	return json.AppendCompact(dst, v)
}

// valueOf is v as jq takes it.
func valueOf(v any) codec.Value {
	switch v := v.(type) {
	case object:
		m := make(map[string]any, len(v))
		for i := range v {
			m[v[i].key] = valueOf(v[i].value)
		}
		return m
	case []object:
		a := make([]any, len(v))
		for i := range v {
			a[i] = valueOf(v[i])
		}
		return a
	case verbatim:
		return v.value
	case int64:
		return int(v)
	case uint64:
		return int(v)
	}
	return v
}
