package protobuf

import (
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// Raw returns the codec of messages without descriptor: objects by field number,
// {"1": 7, "2": "text"}, numbers that repeat being arrays. Varints and fixed
// fields read as unsigned integers; what has a length as text if it is printable,
// as a message if it is one, as text if it is UTF-8, else as base64. That is a
// guess, so nothing is written: Encode fails for all but the equal value.
func Raw() codec.Codec { return rawCodec{} }

type rawCodec struct{}

type rawOriginal struct {
	data  []byte
	value codec.Value
}

func (rawCodec) Name() string { return name }

func (rawCodec) Decode(data []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	limits = limits.WithDefaults()
	if err := checkSize(data, limits); err != nil {
		return nil, nil, err
	}
	d := rawDecoder{depth: min(limits.Depth, maxDepth), tries: 4 * len(data)}
	v, offset, n := d.fields(data, 0, 0)
	if n < 0 {
		return nil, nil, malformed(offset, n)
	}
	return v, &rawOriginal{data, v}, nil
}

func (rawCodec) Encode(original codec.Original, v codec.Value) ([]byte, error) {
	if o, ok := original.(*rawOriginal); ok && o != nil && value.Equal(o.value, v) {
		return o.data, nil
	}
	return nil, inexpressible("a message without descriptor is read-only")
}

type rawDecoder struct {
	depth int
	// tries is how many bytes may still be read as nested messages: each level
	// reads its bytes again.
	tries int
}

// fields returns the fields of a message, or the offset and the code of what is
// malformed, negative as protowire has them.
func (d *rawDecoder) fields(b []byte, offset, depth int) (map[string]any, int, int) {
	fields := make(map[string]any)
	for pos := 0; pos < len(b); {
		number, typ, n := consumeTag(b[pos:])
		if n < 0 {
			return nil, offset + pos, n
		}
		pos += n
		v, n := d.value(number, typ, b[pos:], depth)
		if n < 0 {
			return nil, offset + pos, n
		}
		pos += n
		key := strconv.Itoa(int(number))
		switch was := fields[key].(type) {
		case nil:
			fields[key] = v
		case []any:
			fields[key] = append(was, v)
		default:
			fields[key] = []any{was, v}
		}
	}
	return fields, 0, 0
}

func (d *rawDecoder) value(number protowire.Number, typ protowire.Type, b []byte, depth int) (codec.Value, int) {
	switch typ {
	case protowire.VarintType:
		bits, n := protowire.ConsumeVarint(b)
		return unsigned(bits), n
	case protowire.Fixed32Type:
		bits, n := protowire.ConsumeFixed32(b)
		return integer(int64(bits)), n
	case protowire.Fixed64Type:
		bits, n := protowire.ConsumeFixed64(b)
		return unsigned(bits), n
	case protowire.StartGroupType:
		body, n := protowire.ConsumeGroup(number, b)
		if n < 0 {
			return nil, n
		}
		return d.nested(body, depth), n
	case protowire.BytesType:
		body, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return nil, n
		}
		if printable(body) {
			return string(body), n
		}
		return d.nested(body, depth), n
	}
	return nil, protowire.ConsumeFieldValue(number, typ, b)
}

func (d *rawDecoder) nested(b []byte, depth int) codec.Value {
	if d.tries -= len(b); d.tries >= 0 && depth+1 < d.depth {
		if fields, _, n := d.fields(b, 0, depth+1); n >= 0 {
			return fields
		}
	}
	if utf8.Valid(b) {
		return string(b)
	}
	return toBase64(b)
}

// printable tells text from messages: a message has bytes below space almost
// always, being tags of low fields and lengths, while "8080" would read as one.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return false
		}
	}
	if len(b) > 1 && (b[0] == '\n' || b[0] == '\r' || b[0] == '\t') && int(b[1]) == len(b)-2 {
		return false // field 1 with the length of the rest
	}
	return utf8.Valid(b)
}

func unsigned(bits uint64) codec.Value {
	if bits > math.MaxInt64 {
		return new(big.Int).SetUint64(bits)
	}
	return integer(int64(bits))
}
