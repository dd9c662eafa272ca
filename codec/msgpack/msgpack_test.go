package msgpack_test

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/msgpack"
)

func TestContract(t *testing.T) {
	long := strings.Repeat("x", 40)
	codectest.Run(t, codectest.Suite{
		Codec: msgpack.Codec{},
		Deep:  func(n int) []byte { return []byte(strings.Repeat("\x91", n-1) + "\x90") },
		Invalid: []string{
			"", "\xc1", "\x91", "\x91\xc1", "\xcc", "\xcd\x00", "\xcf1234567", "\xca123", "\xcb1234567", "\xd9", "\xd9\x01", "\xa2a", "\xda\x00\x02a",
			"\xdb\xff\xff\xff\xff", "\xc4\x02a", "\xc6\xff\xff\xff\xffa", "\xdc\x00", "\xdd\xff\xff\xff\xff\xc0", "\xdf\xff\xff\xff\xff", "\x82\xa1a\x01",
			"\x81\xa1a", "\xc7\x01", "\xc7\x01\x05", "\xd4\x05", "\xd8\x05123", "\xc0\xc0", "\x81\x90\x01", "\x81\x80\x01", "\x81\xd4\x01a\x01",
		},
		Cases: []codectest.Case{
			{
				Name: "scalars", In: "\x98\xc0\xc2\xc3\x7f\xe0\xa0\xcf\x7f\xff\xff\xff\xff\xff\xff\xff\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
				Value: []any{nil, false, true, 127, -32, "", math.MaxInt64, math.MinInt64},
			},
			{
				Name: "integers of every width", In: "\x98\xcc\x05\xcd\x01\x00\xce\x00\x01\x00\x00\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd0\xff\xd1\xff\x00\xd2\x80\x00\x00\x00\xd3\x00\x00\x00\x00\x00\x00\x00\x01",
				Value: []any{5, 256, 65536, new(big.Int).SetUint64(math.MaxUint64), -1, -256, math.MinInt32, 1},
				Edits: []codectest.Edit{
					{JQ: ".[0] = 6", Out: "\x98\xcc\x06\xcd\x01\x00\xce\x00\x01\x00\x00\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd0\xff\xd1\xff\x00\xd2\x80\x00\x00\x00\xd3\x00\x00\x00\x00\x00\x00\x00\x01"},
					{JQ: "[.[3]]", Out: "\x91\xcf\xff\xff\xff\xff\xff\xff\xff\xff"},
					{JQ: ".[3:4] | .[0] -= 1", Out: "\x91\xcf\xff\xff\xff\xff\xff\xff\xff\xfe"},
					{JQ: "[.[3] + 1]", Out: "\x91\xca\x5f\x80\x00\x00"},
					{JQ: "{a: [.[3] + 2]}", Err: "msgpack: .a[0]: a number beyond 64 bits"},
				},
			},
			{
				Name: "an integer keeps its form where it fits", In: "\x96\xcc\x05\xcd\x01\x00\xd0\xff\xd1\xff\x00\x05\xe0",
				Edits: []codectest.Edit{
					{JQ: "[200, 7, 6, -5, 127, -3]", Out: "\x96\xcc\xc8\xcd\x00\x07\xd0\x06\xd1\xff\xfb\x7f\xfd"},
					{JQ: "[256, 65536, 128, 32768, 128, -33]", Out: "\x96\xcd\x01\x00\xce\x00\x01\x00\x00\xd1\x00\x80\xd2\x00\x00\x80\x00\xcc\x80\xd0\xdf"},
					{JQ: "[-2, -200, -129, -32769, -3, 0]", Out: "\x96\xfe\xd1\xff\x38\xd1\xff\x7f\xd2\xff\xff\x7f\xff\xfd\x00"},
					{JQ: "[0.5, null, 18446744073709551615, 1, 1, 1]", Out: "\x96\xca\x3f\x00\x00\x00\xc0\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd1\x00\x01\x01\x01"},
				},
			},
			{
				Name: "floats", In: "\x95\xca\x3f\xc0\x00\x00\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xca\x7f\xc0\x00\x01\xcb\xff\xf0\x00\x00\x00\x00\x00\x00\xcb\x80\x00\x00\x00\x00\x00\x00\x00",
				Value: []any{1.5, 1.5, math.NaN(), math.Inf(-1), 0.0},
				Edits: []codectest.Edit{
					{JQ: ".[0:4] | map(2)", Out: "\x94\x02\x02\x02\x02"},
					{JQ: "[2, 2, 2, -0.5, 9007199254740993]", Out: "\x95\xca\x40\x00\x00\x00\xcb\x40\x00\x00\x00\x00\x00\x00\x00\xca\x40\x00\x00\x00\xcb\xbf\xe0\x00\x00\x00\x00\x00\x00\xcf\x00\x20\x00\x00\x00\x00\x00\x01"},
					{JQ: ".[:1] | .[0] = 1.1", Out: "\x91\xcb\x3f\xf1\x99\x99\x99\x99\x99\x9a"},
					{JQ: ".[:1] | .[0] = 9007199254740993", Out: "\x91\xcf\x00\x20\x00\x00\x00\x00\x00\x01"},
					{JQ: "[.[0] * 2, .[0] / 3, nan, infinite]", Out: "\x94\x03\xca\x3f\x00\x00\x00\xca\x7f\xc0\x00\x01\xca\x7f\x80\x00\x00"},
					{JQ: ".[0] = \"a\"", Out: "\x95\xa1a\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xca\x7f\xc0\x00\x01\xcb\xff\xf0\x00\x00\x00\x00\x00\x00\xcb\x80\x00\x00\x00\x00\x00\x00\x00"},
				},
			},
			{
				Name: "maps keep their order and forms", In: "\xde\x00\x03\xd9\x01z\xcd\x00\x01\xa1a\xdc\x00\x01\xd1\x00\x02\xa1m\x81\xa1k\xda\x00\x01v",
				Value: map[string]any{"z": 1, "a": []any{2}, "m": map[string]any{"k": "v"}},
				Edits: []codectest.Edit{
					{JQ: ".z = 3", Out: "\xde\x00\x03\xd9\x01z\xcd\x00\x03\xa1a\xdc\x00\x01\xd1\x00\x02\xa1m\x81\xa1k\xda\x00\x01v"},
					{JQ: ".a += [7]", Out: "\xde\x00\x03\xd9\x01z\xcd\x00\x01\xa1a\xdc\x00\x02\xd1\x00\x02\x07\xa1m\x81\xa1k\xda\x00\x01v"},
					{JQ: ".a = []", Out: "\xde\x00\x03\xd9\x01z\xcd\x00\x01\xa1a\xdc\x00\x00\xa1m\x81\xa1k\xda\x00\x01v"},
					{JQ: ".m.k = \"wx\" | del(.a)", Out: "\xde\x00\x02\xd9\x01z\xcd\x00\x01\xa1m\x81\xa1k\xda\x00\x02wx"},
					{JQ: ".c = {y: 1, x: null} | .b = true", Out: "\xde\x00\x05\xd9\x01z\xcd\x00\x01\xa1a\xdc\x00\x01\xd1\x00\x02\xa1m\x81\xa1k\xda\x00\x01v\xa1b\xc3\xa1c\x82\xa1x\xc0\xa1y\x01"},
					{JQ: "{n: .m}", Out: "\xde\x00\x01\xa1n\x81\xa1k\xda\x00\x01v"},
					{JQ: "{}", Out: "\xde\x00\x00"},
					{JQ: "[.m, .a]", Out: "\x92\x81\xa1k\xda\x00\x01v\xdc\x00\x01\xd1\x00\x02"},
				},
			},
			{
				Name: "counts outgrow their form", In: "\x82\xa1a\x90\xa1s\xa1x",
				Edits: []codectest.Edit{
					{JQ: ".a = [range(16)]", Out: "\x82\xa1a\xdc\x00\x10\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\xa1s\xa1x"},
					{JQ: ".s *= 40", Out: "\x82\xa1a\x90\xa1s\xd9\x28" + long},
				},
			},
			{
				Name: "elements pair", In: "\x93\x81\xa2id\xcc\x01\x81\xa2id\xcd\x00\x02\x81\xa2id\xce\x00\x00\x00\x03",
				Edits: []codectest.Edit{
					{JQ: "reverse", Out: "\x93\x81\xa2id\xce\x00\x00\x00\x03\x81\xa2id\xcd\x00\x02\x81\xa2id\xcc\x01"},
					{JQ: "del(.[1])", Out: "\x92\x81\xa2id\xcc\x01\x81\xa2id\xce\x00\x00\x00\x03"},
					{JQ: "[{id: 0}] + .", Out: "\x94\x81\xa2id\x00\x81\xa2id\xcc\x01\x81\xa2id\xcd\x00\x02\x81\xa2id\xce\x00\x00\x00\x03"},
					{JQ: "map({id}) | .[0].id = 9", Out: "\x93\x81\xa2id\xcc\x09\x81\xa2id\xcd\x00\x02\x81\xa2id\xce\x00\x00\x00\x03"},
				},
			},
			{
				Name: "keys of every kind", In: "\x86\x01\xa1a\xd0\xff\xa1b\xc0\xa1c\xc3\xa1d\xca\x3f\xc0\x00\x00\xa1e\xc4\x02\x00\xff\xa1f",
				Value: map[string]any{"1": "a", "-1": "b", "null": "c", "true": "d", "1.5": "e", "AP8=": "f"},
				Edits: []codectest.Edit{
					{JQ: ".[\"-1\"] = \"x\" | del(.null)", Out: "\x85\x01\xa1a\xd0\xff\xa1x\xc3\xa1d\xca\x3f\xc0\x00\x00\xa1e\xc4\x02\x00\xff\xa1f"},
					{JQ: ".[\"2\"] = 1", Out: "\x87\x01\xa1a\xd0\xff\xa1b\xc0\xa1c\xc3\xa1d\xca\x3f\xc0\x00\x00\xa1e\xc4\x02\x00\xff\xa1f\xa12\x01"},
				},
			},
			{
				Name: "a new key is an integer among integers", In: "\x82\x01\xa1a\xcc\x02\xa1b", Edits: []codectest.Edit{
					{JQ: ".[\"300\"] = 0 | .[\"-40\"] = 0 | .[\"18446744073709551615\"] = 0 | .[\"07\"] = 0 | .x = 0", Out: "\x87\x01\xa1a\xcc\x02\xa1b\xd0\xd8\x00\xa207\x00\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x00\xcd\x01\x2c\x00\xa1x\x00"},
				},
			},
			{
				Name: "keys that read the same: the last counts, an edit takes all", In: "\x84\xa11\x0a\x01\x0b\xa1a\x01\xa1b\x02",
				Value: map[string]any{"1": 11, "a": 1, "b": 2},
				Edits: []codectest.Edit{
					{JQ: ".a = 5", Out: "\x84\xa11\x0a\x01\x0b\xa1a\x05\xa1b\x02"},
					{JQ: ".[\"1\"] = 5", Out: "\x83\x01\x05\xa1a\x01\xa1b\x02"},
					{JQ: "del(.[\"1\"])", Out: "\x82\xa1a\x01\xa1b\x02"},
					{JQ: ".c = 1 | del(.a)", Out: "\x84\xa11\x0a\x01\x0b\xa1b\x02\xa1c\x01"},
					{JQ: "{x: .}", Out: "\x81\xa1x\x84\xa11\x0a\x01\x0b\xa1a\x01\xa1b\x02"},
				},
			},
			{
				Name: "bin is base64", In: "\x92\xc5\x00\x03\xff\xfe\x00\xc4\x00", Value: []any{"//4A", ""},
				Edits: []codectest.Edit{
					{JQ: ".[0] = \"AA==\"", Out: "\x92\xc5\x00\x01\x00\xc4\x00"},
					{JQ: ".[0] = \"***\"", Err: "msgpack: .[0]: a string that is not base64 in place of a bin"},
					{JQ: ".[0] = \"AA=\\n=\"", Err: "msgpack: .[0]: a string that is not base64 in place of a bin"},
					{JQ: ".[0] = null", Out: "\x92\xc0\xc4\x00"},
					{JQ: "{a: .[0]}", Out: "\x81\xa1a\xa4//4A"},
					{JQ: "reverse", Out: "\x92\xc4\x00\xc5\x00\x03\xff\xfe\x00"},
				},
			},
			{
				Name: "ext", In: "\x93\xd6\xff\x00\x00\x00\x01\xc7\x01\x05a\xd5\x07\x00\x01",
				Value: []any{map[string]any{"$ext": -1, "data": "AAAAAQ=="}, map[string]any{"$ext": 5, "data": "YQ=="}, map[string]any{"$ext": 7, "data": "AAE="}},
				Edits: []codectest.Edit{
					{JQ: ".[0].data = \"AAAAAg==\"", Out: "\x93\xd6\xff\x00\x00\x00\x02\xc7\x01\x05a\xd5\x07\x00\x01"},
					{JQ: ".[1][\"$ext\"] = 6", Out: "\x93\xd6\xff\x00\x00\x00\x01\xc7\x01\x06a\xd5\x07\x00\x01"},
					{JQ: ".[0].data = \"AAAA\" | .[1:] = []", Out: "\x91\xc7\x03\xff\x00\x00\x00"},
					{JQ: "{a: .[1], b: {\"$ext\": 1, data: \"AAA=\"}}", Out: "\x82\xa1a\xc7\x01\x05a\xa1b\xd5\x01\x00\x00"},
					{JQ: "map(.x = 1)[1:2]", Out: "\x91\x83\xa4$ext\x05\xa4data\xa4YQ==\xa1x\x01"},
					{JQ: ".[0:1] | .[0] = {\"$ext\": 200, data: \"\"}", Out: "\x91\x82\xa4$ext\xcc\xc8\xa4data\xa0"},
					{JQ: "map(.[\"$ext\"])", Out: "\x93\xff\x05\x07"},
				},
			},
			{
				Name: "a map like an ext stays a map", In: "\x82\xa4$ext\x05\xa4data\xa4YQ==", Edits: []codectest.Edit{
					{JQ: ".data = \"\"", Out: "\x82\xa4$ext\x05\xa4data\xa0"},
				},
			},
			{
				Name: "what is no UTF-8 stays until it is edited", In: "\x92\xa2\xff\xfe\xa3a\xffb", Value: []any{"\ufffd", "a\ufffdb"}, Edits: []codectest.Edit{
					{JQ: ".[1] += \"!\"", Out: "\x92\xa2\xff\xfe\xa6a\ufffdb!"},
				},
			},
			{Name: "a scalar", In: "\xcd\x00\x01", Edits: []codectest.Edit{{JQ: ". == 1", Out: "\xc3"}, {JQ: ". * 1", Out: "\xcd\x00\x01"}}},
			{Name: "deep", In: strings.Repeat("\x91", 511) + "\x90"},
		},
	})
}

func TestAmbiguous(t *testing.T) {
	for in, want := range map[string]bool{"\x82\x01\x01\xa12\x01": false, "\x91\x82\x01\x01\xa11\x01": true, "\x82\xa1a\x01\xd9\x01a\x01": true} {
		_, original, err := msgpack.Codec{}.Decode([]byte(in), codec.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := original.(*msgpack.Original).Ambiguous(); got != want {
			t.Errorf("Ambiguous of %q = %v, want %v", in, got, want)
		}
	}
}

func TestErrorsTellThePlace(t *testing.T) {
	for in, want := range map[string]string{
		"\x92\x01\xc1":             "msgpack: offset 2: found the byte 0xc1, which begins nothing",
		"\x92\x01\xa5hunt":         "msgpack: offset 2: found the end within this value",
		"\x81\x91\x01\x01":         "msgpack: offset 1: found a key that begins with 0x91, expected one that is no array, map or ext",
		"\x01\x02":                 "msgpack: offset 1: found more after the value",
		"\xdd\xff\xff\xff\xff\xc0": "msgpack: offset 0: found the end within this value",
	} {
		if _, _, err := (msgpack.Codec{}).Decode([]byte(in), codec.Limits{}); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", in, err, want)
		}
	}
}

func TestNumbersAreWrittenShort(t *testing.T) {
	lots, _ := new(big.Int).SetString("1"+strings.Repeat("0", 22)+"1", 10)
	for _, test := range []struct {
		v    any
		want string // of an error if it begins with a colon
	}{
		{json.Number("1.0"), "\xca\x3f\x80\x00\x00"},
		{json.Number("1.1"), "\xcb\x3f\xf1\x99\x99\x99\x99\x99\x9a"},
		{json.Number("-0"), "\xca\x80\x00\x00\x00"},
		{json.Number("1E2"), "\xca\x42\xc8\x00\x00"},
		{json.Number("18446744073709551615"), "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"},
		{json.Number("18446744073709551616"), "\xca\x5f\x80\x00\x00"},
		{json.Number("18446744073709551617"), ": a number beyond 64 bits"},
		{json.Number("1e400"), ": a number beyond 64 bits"},
		{json.Number("1" + strings.Repeat("0", 5000)), ": a number beyond 64 bits"},
		{json.Number("x"), ": a number beyond 64 bits"},
		{json.Number(""), ": a number beyond 64 bits"},
		{lots, ": a number beyond 64 bits"},
		{new(big.Int).Lsh(big.NewInt(-3), 64), "\xca\xe0\x40\x00\x00"},
		{100.0, "\x64"},
		{math.Copysign(0, -1), "\xca\x80\x00\x00\x00"},
		{1e300, "\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c"},
		{65536, "\xce\x00\x01\x00\x00"},
		{1 << 32, "\xcf\x00\x00\x00\x01\x00\x00\x00\x00"},
		{-129, "\xd1\xff\x7f"},
		{-32769, "\xd2\xff\xff\x7f\xff"},
		{-1 << 31, "\xd2\x80\x00\x00\x00"},
		{-1<<31 - 1, "\xd3\xff\xff\xff\xff\x7f\xff\xff\xff"},
	} {
		got, err := msgpack.Codec{}.Encode(nil, []any{test.v})
		if msg, bad := strings.CutPrefix(test.want, ":"); bad {
			if err == nil || err.Error() != "msgpack: .[0]:"+msg {
				t.Errorf("%v: %q, error %v", test.v, got, err)
			}
		} else if err != nil || string(got) != "\x91"+test.want {
			t.Errorf("%v: %q, %v, want %q", test.v, got, err, "\x91"+test.want)
		}
	}
}
