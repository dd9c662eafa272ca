package codectest

import (
	"maps"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
)

// Bench measures run, which takes all of data in, as a benchmark called name.
func Bench(b *testing.B, name string, data []byte, run func() error) {
	b.Run(name, func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if err := run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Editing returns what decodes data, edits its value and writes it.
func Editing(c codec.Codec, data []byte, edit func(codec.Value) codec.Value) func() error {
	return func() error {
		v, original, err := c.Decode(data, codec.Limits{})
		if err != nil {
			return err
		}
		_, err = c.Encode(original, edit(v))
		return err
	}
}

// Masked is .user.email = "x" | del(.user.password), as gojq would leave it.
func Masked(v codec.Value) codec.Value {
	root := maps.Clone(v.(map[string]any))
	user := maps.Clone(root["user"].(map[string]any))
	user["email"] = "x"
	delete(user, "password")
	root["user"] = user
	return root
}

// Allocs is how many allocations run makes once its pools are filled: the fewest
// of several tries, as pools forget at random under the race detector.
func Allocs(run func()) float64 {
	fewest := testing.AllocsPerRun(1, run)
	for range 20 {
		fewest = min(fewest, testing.AllocsPerRun(1, run))
	}
	return fewest
}
