package protobuf

import (
	"bytes"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
)

func TestRawContract(t *testing.T) {
	codectest.Run(t, codectest.Suite{
		Codec:    Raw(),
		ReadOnly: true,
		Invalid:  []string{"\x08", "\x0a\x05a", "\x00\x01", "\x0c"},
		Cases: []codectest.Case{
			{Name: "empty", In: "", Value: map[string]any{}, Edits: []codectest.Edit{
				{JQ: ".a = 1", Err: "protobuf: .: a message without descriptor is read-only"},
			}},
			{
				Name: "numbers", In: varint(1, 7) + varint(1, 8) + varint(2, math.MaxUint64) + "\x1d\x01\x00\x00\x00" + "\x21\x02\x00\x00\x00\x00\x00\x00\x00",
				Value: map[string]any{"1": []any{7, 8}, "2": new(big.Int).SetUint64(math.MaxUint64), "3": 1, "4": 2},
			},
			{
				Name: "what has a length", In: sized(1, "text\n") + sized(2, varint(1, 5)) + sized(3, "\xff") + sized(4, "") + sized(5, "8080") + sized(6, "\x01é") + sized(7, "\n\x05hello"),
				Value: map[string]any{"1": "text\n", "2": map[string]any{"1": 5}, "3": "/w==", "4": "", "5": "8080", "6": "\x01é", "7": map[string]any{"1": "hello"}},
			},
			{Name: "groups", In: "\x0b\x08\x01\x0c", Value: map[string]any{"1": map[string]any{"1": 1}}},
		},
	})
}

func TestRawOfDeepNestingTakesNoMoreThanItsShare(t *testing.T) {
	in := strings.Repeat("\xff", 100_000)
	for range 200 {
		in = sized(1, in)
	}
	if _, _, err := Raw().Decode([]byte(in), codec.Limits{}); err != nil {
		t.Error(err)
	}
}

func FuzzRaw(f *testing.F) {
	f.Add([]byte(varint(1, 7) + sized(2, sized(1, "text")) + "\x0b\x08\x01\x0c"))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, original, err := Raw().Decode(data, codec.Limits{})
		if err != nil {
			return
		}
		if err := codectest.Check(v); err != nil {
			t.Error(err)
		}
		if out, err := Raw().Encode(original, codectest.Copy(v)); err != nil || !bytes.Equal(out, data) {
			t.Errorf("equal value wrote %q, %v", out, err)
		}
	})
}
