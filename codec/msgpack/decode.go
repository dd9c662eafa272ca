package msgpack

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
)

// What a value takes in memory, about, beyond 16 bytes a byte of data for
// its place in a container: a one-byte value may be an empty map.
const (
	memoryRatio  = 32
	memoryFloor  = 32 << 20
	memoryMost   = 8  // bytes for a byte that data may have, whatever it has
	memoryOpen   = 96 // of an element of a long array, which has to wait for the others
	memoryArray  = 24 + 16
	memoryMap    = 48
	memoryMember = 40 // once a map has any, for eight at least
)

// decoder reads one document in one pass. Elements and members of the
// containers that are still open wait on stacks, so that each is made in its
// final size, and a count that is not followed by as many values costs nothing.
type decoder struct {
	text      string
	pos       int
	depth     int // containers that may still open
	maxDepth  int
	memory    int // that may still be taken
	most      int // that memory was
	values    []codec.Value
	names     []string
	ambiguous bool
}

func (d *decoder) document() (codec.Value, error) {
	v, err := d.value()
	if err != nil {
		return nil, err
	}
	if d.pos < len(d.text) {
		return nil, &codec.SyntaxError{Format: name, Offset: d.pos, Msg: "found more after the value"}
	}
	return v, nil
}

// head reads the head of the next value, and checks that what belongs to it can
// all be there.
func (d *decoder) head() (head, error) {
	if d.pos >= len(d.text) {
		return head{}, d.truncated()
	}
	h, ok := headAt(d.text, d.pos)
	if !ok && d.text[d.pos] == formNil+1 {
		return head{}, &codec.SyntaxError{Format: name, Offset: d.pos, Msg: "found the byte 0xc1, which begins nothing"}
	}
	if rest := uint64(len(d.text) - d.pos - h.width); !ok || h.payload() > rest || h.children() > rest {
		return head{}, d.truncated()
	}
	d.pos += h.width
	return h, nil
}

func (d *decoder) truncated() error {
	return &codec.SyntaxError{Format: name, Offset: min(d.pos, len(d.text)), Msg: "found the end within this value"}
}

func (d *decoder) payload(h head) string {
	s := d.text[d.pos : d.pos+int(h.n)]
	d.pos += int(h.n)
	return s
}

// take counts what a value takes.
func (d *decoder) take(bytes int) error {
	if d.memory -= bytes; d.memory < 0 {
		return d.tooMany()
	}
	return nil
}

func (d *decoder) tooMany() error {
	return &codec.LimitError{Format: name, Limit: "items", Max: int64(d.most / memoryMap)}
}

// memoryFor is what values may take that are read of n bytes, where size are allowed.
func memoryFor(n int, size codec.Bytes) int {
	return min(memoryFloor+memoryRatio*n, memoryMost*int(max(size, 8*codec.MiB)))
}

func (d *decoder) value() (codec.Value, error) {
	h, err := d.head()
	if err != nil {
		return nil, err
	}
	switch h.kind {
	case kindBool:
		return h.n == 1, nil
	case kindInt:
		return int(int64(h.n)), nil
	case kindUint:
		if h.n > math.MaxInt64 {
			return new(big.Int).SetUint64(h.n), nil
		}
		return int(h.n), nil
	case kindFloat:
		return h.float(), nil
	case kindStr:
		return valid(d.payload(h)), nil
	case kindBin:
		return toBase64(d.payload(h)), nil
	case kindExt:
		if err := d.take(memoryMap + 8*memoryMember); err != nil {
			return nil, err
		}
		return map[string]any{"$ext": int(h.ext), "data": toBase64(d.payload(h))}, nil
	case kindArray:
		return d.container(h, d.array)
	case kindMap:
		return d.container(h, d.object)
	}
	return nil, nil // nil
}

func (h head) float() float64 {
	if h.form == formFloat32 {
		return float64(math.Float32frombits(uint32(h.n)))
	}
	return math.Float64frombits(h.n)
}

func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

func toBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func (d *decoder) container(h head, read func(int) (codec.Value, error)) (codec.Value, error) {
	if d.depth == 0 {
		return nil, &codec.LimitError{Format: name, Limit: "depth", Max: int64(d.maxDepth)}
	}
	d.depth--
	v, err := read(int(h.n))
	d.depth++
	return v, err
}

func (d *decoder) array(count int) (codec.Value, error) {
	if err := d.take(memoryArray); err != nil {
		return nil, err
	}
	base := len(d.values)
	for range count {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		if d.values = append(d.values, v); len(d.values)-base > d.memory/memoryOpen {
			return nil, d.tooMany()
		}
	}
	a := make([]any, count, max(count, 1)) // a capacity gives it an identity
	copy(a, d.values[base:])
	clear(d.values[base:])
	d.values = d.values[:base]
	return a, nil
}

func (d *decoder) object(count int) (codec.Value, error) {
	size := memoryMap
	if count > 0 {
		size += memoryMember * max(count, 8)
	}
	if err := d.take(size); err != nil {
		return nil, err
	}
	base, nameBase := len(d.values), len(d.names)
	for range count {
		name, err := d.key()
		if err != nil {
			return nil, err
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		d.names, d.values = append(d.names, name), append(d.values, v)
	}
	names := d.names[nameBase:]
	o := make(map[string]any, count)
	for i, n := range names {
		o[n] = d.values[base+i]
	}
	if len(o) < count {
		d.ambiguous = true
	}
	clear(d.values[base:])
	d.values, d.names = d.values[:base], d.names[:nameBase]
	return o, nil
}

func (d *decoder) key() (string, error) {
	start := d.pos
	h, err := d.head()
	if err != nil {
		return "", err
	}
	if h.kind >= kindArray {
		return "", &codec.SyntaxError{Format: name, Offset: start, Msg: fmt.Sprintf("found a key that begins with 0x%02x, expected one that is no array, map or ext", d.text[start])}
	}
	return keyText(h, d.payload(head{n: h.payload()})), nil
}

// keyText is what a key with this head and payload reads as.
func keyText(h head, payload string) string {
	switch h.kind {
	case kindBool:
		return strconv.FormatBool(h.n == 1)
	case kindUint:
		return strconv.FormatUint(h.n, 10)
	case kindInt:
		return strconv.FormatInt(int64(h.n), 10)
	case kindFloat:
		return strconv.FormatFloat(h.float(), 'g', -1, 64)
	case kindStr:
		return valid(payload)
	case kindBin:
		return toBase64(payload)
	}
	return "null"
}
