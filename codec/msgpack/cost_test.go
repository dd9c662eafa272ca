package msgpack_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/msgpack"
)

// What a peer packs into single bytes takes at most 56 bytes a byte, and 36 MiB:
// 32 and 32 MiB by Decode's own count, the rest for the places that values have
// in their containers.
func TestHostileDocumentCostsItsShare(t *testing.T) {
	const size = 1 << 20
	array := func(element string) string {
		n := size / len(element)
		return "\xdd" + string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) + strings.Repeat(element, n)
	}
	for _, test := range []struct {
		name, data string
		tooLarge   bool
	}{
		{"small integers", array("\x01"), true},
		{"empty arrays", array("\x90"), true},
		{"empty maps", array("\x80"), true},
		{"small maps", array("\x81\xa0\xc0"), true},
		{"maps as services send them", array("\x82\xa2id\xcd\x01\x00\xa4name\xb6twenty-two characters!"), false},
		{"exts", array("\xd4\x01a"), true},
		{"bins", array("\xc4\x02ab"), false},
		{"announced and not sent", strings.Repeat("\xdd\x00\x04\x00\x00", 500) + strings.Repeat("\x01", 1<<18), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := []byte(test.data)
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			v, _, err := msgpack.Codec{}.Decode(data, codec.Limits{})
			runtime.GC()
			runtime.ReadMemStats(&after)
			var over *codec.LimitError
			if errors.As(err, &over) != test.tooLarge || test.tooLarge && over.Limit != "items" {
				t.Errorf("error %v", err)
			}
			if took := int64(after.HeapAlloc) - int64(before.HeapAlloc); took > int64(56*len(data)+36<<20) {
				t.Errorf("%d bytes took %d", len(data), took)
			}
			runtime.KeepAlive(v)
		})
	}
}
