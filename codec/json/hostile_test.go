package json

import (
	"runtime"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
)

// most is how many bytes of memory one byte of a text may take in all, what is
// let go of on the way included. Small objects are the worst.
const most = 80

func TestHostileTextsTakeMemoryInProportion(t *testing.T) {
	const size = 1 << 20
	fill := func(front, part, back string) string {
		return front + strings.Repeat(part+",", size/(len(part)+1)) + part + back
	}
	for name, text := range map[string]string{
		"numbers":        fill("[", "1", "]"),
		"empty arrays":   fill("[", "[]", "]"),
		"empty objects":  fill("[", "{}", "]"),
		"small objects":  fill("[", `{"":1}`, "]"),
		"empty strings":  fill("[", `""`, "]"),
		"escapes":        `["` + strings.Repeat(`\u0041`, size/6) + `"]`,
		"one name":       fill("{", `"a":1`, "}"),
		"one odd name":   fill(`{"a":[`, `{"\u0061":1}`, "]}"),
		"looked at":      fill(`{"a":[`, `{"a":1}`, "]}"),
		"looked at deep": `{"a":` + strings.Repeat(`[{"a":`, 200) + "1" + strings.Repeat("}]", 200) + "}",
	} {
		if len(text) < size/2 {
			text += strings.Repeat(" ", size)
		}
		data := []byte(text)
		var before, decoded, ran runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, _, err := (Codec{}).Decode(data, codec.Limits{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&decoded)
		if _, err := (Codec{}).Edit(nil, everywhere(), data, nil, codec.Limits{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&ran)
		if per := (decoded.TotalAlloc - before.TotalAlloc) / uint64(len(data)); per > most {
			t.Errorf("%s: decoding took %d bytes of memory for one of text", name, per)
		}
		if per := (ran.TotalAlloc - decoded.TotalAlloc) / uint64(len(data)); per > most/4 {
			t.Errorf("%s: running a plan took %d bytes of memory for one of text", name, per)
		}
	}
}
