package tap

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// An edited body is packed as what differs from the one before it.
func TestEditedBodiesArePackedAsDifferences(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	body := make([]byte, 16<<10)
	for i := range body {
		body[i] = byte('a' + random.IntN(3))
	}
	edited := func(at, gone int, more string) []byte {
		return bytes.Join([][]byte{body[:at], []byte(more), body[at+gone:]}, nil)
	}
	same := strings.Repeat("a", 4<<10)
	for name, c := range map[string]struct {
		body, sent string
		most       int // bytes for what was sent
	}{
		"equal":           {string(body), string(body), 32},
		"at the start":    {string(body), string(edited(0, 10, "new")), 64},
		"in the middle":   {string(body), string(edited(5000, 10, strings.Repeat("x", 50))), 128},
		"at the end":      {string(body), string(edited(len(body)-3, 3, "")), 64},
		"shorter by half": {same, same[:2<<10], 32},
		"longer":          {same[:2<<10], same, len(same)/2 + 64},
		"another":         {same, strings.Repeat("b", 4<<10), 4<<10 + 64},
		"nothing before":  {"", same, len(same) + 32},
		"short":           {same, "short", 32},
	} {
		p := &packer{words: newLexicon()}
		in, out := proxy.Payload{Bytes: []byte(c.body), Size: int64(len(c.body))}, proxy.Payload{Bytes: []byte(c.sent), Size: int64(len(c.sent))}
		p.payload(&in, nil)
		first := p.size()
		p.payload(&out, in.Bytes)
		if n := p.size() - first; n > c.most {
			t.Errorf("%s: %d bytes, want %d at most", name, n, c.most)
		}
		data := make([]byte, p.size())
		p.copyTo(data)
		u := unpacker{packed{data: string(data)}}
		before := u.payload(nil)
		after := u.payload(before.Bytes)
		if string(before.Bytes) != c.body || string(after.Bytes) != c.sent || after.Size != out.Size {
			t.Errorf("%s: it is not what was packed", name)
		}
	}
}
