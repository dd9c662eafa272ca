package protobuf

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// fromBits turns the bits of a varint or fixed field into a value.
func (f *field) fromBits(bits uint64) codec.Value {
	switch f.kind {
	case protoreflect.BoolKind:
		return bits != 0
	case protoreflect.EnumKind:
		return f.enumValue(protoreflect.EnumNumber(int32(bits)))
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		return int(int32(bits))
	case protoreflect.Sint32Kind:
		return int(int32(protowire.DecodeZigZag(bits & math.MaxUint32)))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return integer(int64(uint32(bits)))
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return integer(int64(bits))
	case protoreflect.Sint64Kind:
		return integer(protowire.DecodeZigZag(bits))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		if bits > math.MaxInt64 {
			return new(big.Int).SetUint64(bits)
		}
		return integer(int64(bits))
	case protoreflect.FloatKind:
		return float32Value(math.Float32frombits(uint32(bits)))
	}
	return math.Float64frombits(bits)
}

// integer is n, an int wherever one holds it.
func integer(n int64) codec.Value {
	if int64(int(n)) != n {
		return big.NewInt(n)
	}
	return int(n)
}

// float32Value is the float64 with the shortest spelling that is f again, so
// that a rule may compare with 0.1 and not with 0.10000000149011612.
func float32Value(f float32) float64 {
	wide := float64(f)
	if wide == math.Trunc(wide) && math.Abs(wide) < 1<<24 || math.IsNaN(wide) {
		return wide
	}
	short, _ := strconv.ParseFloat(strconv.FormatFloat(wide, 'g', -1, 32), 64)
	return short
}

func (f *field) enumValue(n protoreflect.EnumNumber) codec.Value {
	if f.null {
		return nil
	}
	if name, ok := f.enum.names[n]; ok {
		return name
	}
	return int(n)
}

// appendScalar appends v without a tag.
func (f *field) appendScalar(dst []byte, v codec.Value) ([]byte, error) {
	switch f.kind {
	case protoreflect.StringKind:
		s, ok := v.(string)
		if !ok {
			return nil, f.mismatch(v)
		}
		if f.utf8 { // gojq can make others, by @base64d
			s = strings.ToValidUTF8(s, "\ufffd")
		}
		return protowire.AppendString(dst, s), nil
	case protoreflect.BytesKind:
		s, ok := v.(string)
		if !ok {
			return nil, f.mismatch(v)
		}
		b, err := fromBase64(s)
		if err != nil {
			return nil, inexpressible("a string that is not base64")
		}
		return protowire.AppendBytes(dst, b), nil
	}
	bits, err := f.bits(v)
	if err != nil {
		return nil, err
	}
	switch f.wire {
	case protowire.Fixed32Type:
		return protowire.AppendFixed32(dst, uint32(bits)), nil
	case protowire.Fixed64Type:
		return protowire.AppendFixed64(dst, bits), nil
	}
	return protowire.AppendVarint(dst, bits), nil
}

// bits is the inverse of fromBits.
func (f *field) bits(v codec.Value) (uint64, error) {
	switch f.kind {
	case protoreflect.BoolKind:
		b, ok := v.(bool)
		if !ok {
			return 0, f.mismatch(v)
		}
		return protowire.EncodeBool(b), nil
	case protoreflect.EnumKind:
		return f.enumBits(v)
	case protoreflect.FloatKind:
		n, err := f.float(v)
		if err != nil {
			return 0, err
		}
		if narrow := float32(n); math.IsInf(float64(narrow), 0) && !math.IsInf(n, 0) {
			return 0, f.outOfRange()
		}
		return uint64(math.Float32bits(float32(n))), nil
	case protoreflect.DoubleKind:
		n, err := f.float(v)
		return math.Float64bits(n), err
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		n, err := f.exact(v)
		if err != nil {
			return 0, err
		}
		if !n.IsUint64() {
			return 0, f.outOfRange()
		}
		return n.Uint64(), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		n, err := f.signed(v, 0, math.MaxUint32)
		return uint64(n), err
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		n, err := f.signed(v, math.MinInt32, math.MaxInt32)
		return uint64(n), err
	case protoreflect.Sint32Kind:
		n, err := f.signed(v, math.MinInt32, math.MaxInt32)
		return protowire.EncodeZigZag(n), err
	case protoreflect.Sint64Kind:
		n, err := f.signed(v, math.MinInt64, math.MaxInt64)
		return protowire.EncodeZigZag(n), err
	}
	n, err := f.signed(v, math.MinInt64, math.MaxInt64)
	return uint64(n), err
}

func (f *field) enumBits(v codec.Value) (uint64, error) {
	switch v := v.(type) {
	case nil:
		if f.null {
			return 0, nil
		}
	case string:
		n, ok := f.enum.numbers[v]
		if !ok {
			return 0, inexpressible("no value of " + f.enum.name + " has this name; it has " + f.enum.list())
		}
		return uint64(n), nil
	default:
		if value.IsNumber(v) {
			n, err := f.signed(v, math.MinInt32, math.MaxInt32)
			return uint64(n), err
		}
	}
	return 0, f.mismatch(v)
}

// list names some values, the first ones by number.
func (e *enum) list() string {
	const most = 8
	numbers := make([]protoreflect.EnumNumber, 0, len(e.names))
	for n := range e.names {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	var names []string
	for _, n := range numbers[:min(most, len(numbers))] {
		names = append(names, e.names[n])
	}
	if len(numbers) > most {
		names = append(names, "...")
	}
	return strings.Join(names, ", ")
}

// float also takes the three names that the JSON form has.
func (f *field) float(v codec.Value) (float64, error) {
	switch v {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	if !value.IsNumber(v) {
		return 0, f.mismatch(v)
	}
	return value.Float(v), nil
}

func (f *field) signed(v codec.Value, low, high int64) (int64, error) {
	var n int64
	if i, ok := v.(int); ok {
		n = int64(i)
	} else {
		exact, err := f.exact(v)
		if err != nil {
			return 0, err
		}
		if !exact.IsInt64() {
			return 0, f.outOfRange()
		}
		n = exact.Int64()
	}
	if n < low || n > high {
		return 0, f.outOfRange()
	}
	return n, nil
}

// exact is v as an integer, if it is one.
func (f *field) exact(v codec.Value) (*big.Int, error) {
	switch v := v.(type) {
	case int:
		return big.NewInt(int64(v)), nil
	case *big.Int:
		return v, nil
	case json.Number:
		// Beyond float64's exact integers only a plain spelling is taken.
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return big.NewInt(n), nil
		}
		if n, err := strconv.ParseUint(string(v), 10, 64); err == nil {
			return new(big.Int).SetUint64(n), nil
		}
		return f.exact(value.Float(v))
	case float64:
		if math.IsInf(v, 0) {
			return nil, f.outOfRange()
		}
		if v != math.Trunc(v) { // also NaN
			return nil, inexpressible("a fraction in a field of type " + f.kind.String())
		}
		n, _ := big.NewFloat(v).Int(nil)
		return n, nil
	}
	return nil, f.mismatch(v)
}

func (f *field) typeName() string {
	switch {
	case f.message != nil:
		return f.message.name
	case f.enum != nil:
		return f.enum.name
	}
	return f.kind.String()
}

func (f *field) mismatch(v codec.Value) error {
	return inexpressible(fmt.Sprintf("%s in a field of type %s", withArticle(value.TypeName(v)), f.typeName()))
}

func (f *field) outOfRange() error {
	return inexpressible("a number out of the range of " + f.kind.String())
}

func withArticle(noun string) string {
	switch {
	case noun == "null":
		return noun
	case strings.ContainsRune("aeiou", rune(noun[0])):
		return "an " + noun
	}
	return "a " + noun
}

func inexpressible(msg string) error {
	return &codec.ExpressError{Format: name, Path: ".", Msg: msg}
}

func toBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// fromBase64 takes both alphabets, with and without padding.
func fromBase64(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "-_") {
		return base64.RawURLEncoding.DecodeString(s)
	}
	return base64.RawStdEncoding.DecodeString(s)
}
