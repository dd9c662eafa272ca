package proxy

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sluice-proxy/sluice/rules"
)

func TestABodyIsReadUpToItsLimitWhateverIsSaidOfItsSize(t *testing.T) {
	broken := errors.New("broken")
	for _, length := range []int{0, 1, 511, 512, 513, 5000, 64<<10 - 1, 64 << 10, 64<<10 + 1, 200_000} {
		text := bytes.Repeat([]byte("0123456789"), length/10+1)[:length]
		for _, limit := range []int64{1, 512, 5000, 5001, 64<<10 + 1, 1 << 20} {
			for _, size := range []int64{-1, 0, int64(length) / 2, int64(length), int64(length) * 3} {
				want := text[:min(limit, int64(length))]
				for name, r := range map[string]io.Reader{
					"at once": bytes.NewReader(text), "in halves": iotest.HalfReader(bytes.NewReader(text)), "its end with its last": iotest.DataErrReader(bytes.NewReader(text)),
				} {
					if got, err := readAtMost(r, limit, size); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%d B %s, limit %d, size %d: got %d B, %v, want %d B", length, name, limit, size, len(got), err, len(want))
					}
				}
				r := io.MultiReader(bytes.NewReader(text), iotest.ErrReader(broken))
				if got, err := readAtMost(r, int64(length)+1, size); !errors.Is(err, broken) || !bytes.Equal(got, text) {
					t.Errorf("%d B and an error, size %d: got %d B, %v", length, size, len(got), err)
				}
			}
		}
	}
}

func TestALongBodyThatIsOnlyAnnouncedTakesLittleMemory(t *testing.T) {
	got, err := readAtMost(strings.NewReader("short"), 8<<20, 8<<20)
	if err != nil || string(got) != "short" || cap(got) > 64<<10 {
		t.Errorf("got %q with room for %d B, %v", got, cap(got), err)
	}
}

func TestAHeadThatVouchesForNoBytesStaysTheSame(t *testing.T) {
	for _, tt := range []struct {
		fields, want string
	}{
		{"Content-Type: a", ""},
		{"ETag: W/\"a\"", ""},
		{"ETag: \"a\"", "ETag: W/\"a\""},
		{"content-md5: a|X: b", "X: b"},
		{"Digest: a|Content-Digest: b|Repr-Digest: c|digest: d|X: e|etag: \"f\"", "X: e|etag: W/\"f\""},
	} {
		head := &rules.Head{Status: 200}
		for line := range strings.SplitSeq(tt.fields, "|") {
			name, value, _ := strings.Cut(line, ": ")
			head.Fields = append(head.Fields, rules.Field{Name: name, Value: value})
		}
		got := withoutDigests(head)
		if (got == head) != (tt.want == "") {
			t.Errorf("%s: the same: %t", tt.fields, got == head)
		}
		var lines []string
		for _, f := range got.Fields {
			lines = append(lines, f.Name+": "+f.Value)
		}
		if text := strings.Join(lines, "|"); got != head && text != tt.want {
			t.Errorf("%s: got %s, want %s", tt.fields, text, tt.want)
		}
	}
}
