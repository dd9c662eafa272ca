package protobuf

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
)

// What a peer may nest or repeat for a few bytes does not take a hundred times
// the message's size.
func TestHostileMessageCostsItsShare(t *testing.T) {
	files := testFiles(t)
	text := strings.Repeat("x", 1<<20)
	nest := func(levels int, in string, level func(string) string) string {
		for range levels {
			in = level(in)
		}
		return in
	}
	parts := func(in string) string { return sized(3, "\x10\x01") + sized(3, in) }
	anys := func(in string) string { return sized(1, "type.googleapis.com/google.protobuf.Any") + sized(2, in) }
	entries := func(in string) string {
		return sized(1, sized(1, "k")+sized(2, sized(5, ""))+sized(2, sized(5, in)))
	}
	for _, test := range []struct {
		name, message, data string
		tooLarge            bool
	}{
		{"parts", "kinds.Node", nest(3, sized(1, text), parts), false},
		{"parts in parts", "kinds.Node", nest(95, sized(1, text), parts), true},
		{"an Any in an Any", "kinds.All", sized(34, nest(2, sized(2, text), anys)), false},
		{"many Anys in one another", "kinds.All", sized(34, nest(90, sized(2, text), anys)), true},
		{"map entries in two parts", "kinds.All", sized(32, nest(2, sized(1, sized(1, text)), entries)), false},
		{"map entries in parts in one another", "kinds.All", sized(32, nest(45, sized(1, sized(1, text)), entries)), true},
		{"many small elements", "kinds.Node", strings.Repeat(sized(4, "\x10\x01"), 1<<18), false},
		{"many empty elements", "kinds.Node", strings.Repeat(sized(4, ""), 1<<19), true},
		{"many empty objects", "kinds.Node", strings.Repeat(sized(5, sized(5, "")), 1<<18), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := []byte(test.data)
			c := mustMessage(t, files, test.message)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := c.Decode(data, codec.Limits{})
			runtime.ReadMemStats(&after)
			if test.tooLarge != errors.Is(err, codec.ErrTooLarge) || !test.tooLarge && err != nil {
				t.Errorf("error %v", err)
			}
			// Of what is allocated up to a half is let go of on the way.
			if times := (after.TotalAlloc - before.TotalAlloc) / uint64(len(data)); times > 200 {
				t.Errorf("allocated %d times its %d bytes", times, len(data))
			}
		})
	}
}

// A limit that is reached inside an Any refuses the message: left opaque, what
// the server reads would pass a rule unseen.
func TestAnyOverALimitIsNoOpaqueAny(t *testing.T) {
	deep := ""
	for range 98 {
		deep = sized(3, deep)
	}
	in := sized(34, sized(1, "/kinds.Node")+sized(2, sized(1, "secret")+deep))
	_, _, err := mustMessage(t, testFiles(t), "kinds.All").Decode([]byte(in), codec.Limits{})
	if !errors.Is(err, codec.ErrTooLarge) {
		t.Errorf("error %v, want one that wraps ErrTooLarge", err)
	}
}
