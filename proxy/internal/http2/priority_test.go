package http2

import (
	"fmt"
	"strings"
	"testing"
)

// prioritizing is a relay whose caller's streams 3, 5, ... are 1, 3, ... upstream.
type prioritizing struct {
	t                  *testing.T
	r                  *plain
	toCaller, toServer sink
	enc                *Encoder
	dec                *Decoder
	err                error
}

func startPrioritizing(t *testing.T, attached bool) *prioritizing {
	k := &prioritizing{t: t, enc: NewEncoder(), dec: NewDecoder()}
	r := new(plain)
	r.link = NewLink(func(func()) { t.Error("somebody waits") })
	r.caller = r.link.Caller(plainSide{r, true}, &k.toCaller)
	r.upstream = r.link.Upstream(plainSide{r, false})
	k.r = r
	if attached {
		k.attach()
	}
	k.caller(AppendSettings(nil))
	k.r.caller.last = 1 // one that went nowhere
	return k
}

func (k *prioritizing) attach() {
	k.r.upstream.Attach(&k.toServer)
	k.upstream(AppendSettings(nil))
	k.toServer.b = k.toServer.b[len(Preface):]
}

func (k *prioritizing) caller(b []byte) {
	_, k.err = k.r.caller.walk(b)
	k.r.link.Flush()
}

func (k *prioritizing) upstream(b []byte) {
	if _, err := k.r.upstream.walk(b); err != nil {
		k.t.Fatal(err)
	}
	k.r.link.Flush()
}

func (k *prioritizing) request(id uint32, p Priority) []byte {
	return k.enc.appendHead(nil, id, p, []Field{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/"}}, true, DefaultMaxFrame)
}

// heard is what was said to a peer of streams, and of their priorities.
func (k *prioritizing) heard(from *sink) string {
	var said []string
	for b := from.b; len(b) > 0; {
		f, n := Parse(b)
		b = b[n:]
		switch f.Type {
		case FrameHeaders:
			if _, err := k.dec.Decode(f.Fragment()); err != nil {
				k.t.Fatal(err)
			}
			said = append(said, fmt.Sprintf("open %d%s", f.Stream, words(f.Priority())))
		case FramePriority:
			said = append(said, fmt.Sprintf("of %d%s", f.Stream, words(f.Priority())))
		case FrameRSTStream:
			said = append(said, fmt.Sprintf("reset %d %v", f.Stream, f.ErrCode()))
		}
	}
	from.b = nil
	return strings.Join(said, ", ")
}

func words(p Priority) string {
	if !p.Said {
		return ""
	}
	text := fmt.Sprintf(" on %d weight %d", p.Depends, p.Weight)
	if p.Exclusive {
		text += " alone"
	}
	return text
}

func (k *prioritizing) expect(from *sink, want string) {
	k.t.Helper()
	if got := k.heard(from); got != want || k.err != nil {
		k.t.Errorf("got  %s, %v\nwant %s", got, k.err, want)
	}
}

func TestPrioritiesPassWithTheNumbersOfTheOtherHop(t *testing.T) {
	k := startPrioritizing(t, true)
	k.caller(k.request(3, Priority{Said: true, Weight: 200}))
	k.caller(k.request(5, Priority{Said: true, Exclusive: true, Depends: 3, Weight: 7}))
	k.caller(k.request(7, Priority{}))
	k.expect(&k.toServer, "open 1 on 0 weight 200, open 3 on 1 weight 7 alone, open 5")
	k.caller(k.request(9, Priority{Said: true, Depends: 5})) // the block is known by now
	k.expect(&k.toServer, "open 7 on 3 weight 0")
	k.caller(AppendPriority(nil, 7, Priority{Said: true, Exclusive: true, Depends: 5, Weight: 255}))
	k.caller(AppendPriority(nil, 7, Priority{Said: true, Exclusive: true, Weight: 255}))
	k.expect(&k.toServer, "of 5 on 3 weight 255 alone, of 5 on 0 weight 255 alone")
}

// Streams that wait to be opened depend on others that do.
func TestPrioritiesOfStreamsThatWait(t *testing.T) {
	k := startPrioritizing(t, false)
	k.caller(k.request(3, Priority{}))
	k.caller(k.request(5, Priority{Said: true, Depends: 3, Weight: 7}))
	k.caller(k.request(7, Priority{Said: true, Depends: 9, Weight: 8}))
	k.caller(k.request(9, Priority{Said: true, Depends: 3}))
	k.caller(AppendPriority(nil, 9, Priority{Said: true, Exclusive: true, Depends: 7, Weight: 9}))
	k.caller(AppendPriority(nil, 3, Priority{Said: true, Weight: 1}))
	k.attach()
	k.expect(&k.toServer, "open 1 on 0 weight 1, open 3 on 1 weight 7, open 5, open 7 on 5 weight 9 alone")
}

// What says something of a stream that the other hop does not know is dropped;
// what depends on one has the default priority.
func TestPrioritiesOfStreamsThatAreNotKnown(t *testing.T) {
	k := startPrioritizing(t, true)
	k.caller(AppendPriority(nil, 11, Priority{Said: true, Weight: 3})) // idle
	k.caller(AppendPriority(nil, 1, Priority{Said: true, Weight: 3}))  // closed
	k.caller(k.request(3, Priority{Said: true, Exclusive: true, Depends: 11, Weight: 3}))
	k.caller(k.request(5, Priority{Said: true, Depends: 3, Weight: 3}))
	k.expect(&k.toServer, "open 1, open 3 on 1 weight 3")
	k.caller(AppendRSTStream(nil, 3, Cancel))
	k.caller(AppendPriority(nil, 3, Priority{Said: true, Depends: 5}))
	k.caller(AppendPriority(nil, 5, Priority{Said: true, Exclusive: true, Depends: 3}))
	k.expect(&k.toServer, "reset 1 CANCEL, of 3 on 0 weight 15")
	k.caller(k.request(7, Priority{Said: true, Depends: 3, Weight: 3}))
	k.expect(&k.toServer, "open 5")
}

func TestPrioritiesThatAreMalformed(t *testing.T) {
	self := func(id uint32) Priority { return Priority{Said: true, Depends: id} }
	short := AppendHeader(nil, Header{Length: 4, Type: FramePriority, Stream: 3})
	short = append(short, 0, 0, 0, 0)
	k := startPrioritizing(t, true)
	k.caller(k.request(3, Priority{}))
	k.caller(AppendPriority(nil, 3, self(3)))
	k.caller(k.request(5, self(5)))
	k.expect(&k.toServer, "open 1, reset 1 PROTOCOL_ERROR")
	k.expect(&k.toCaller, "reset 3 PROTOCOL_ERROR, reset 5 PROTOCOL_ERROR")
	k.caller(k.request(7, Priority{}))
	short[8] = 7
	k.caller(short)
	k.expect(&k.toServer, "open 3, reset 3 FRAME_SIZE_ERROR")
	k.expect(&k.toCaller, "reset 7 FRAME_SIZE_ERROR")
	for name, b := range map[string][]byte{ // where there is no stream to reset
		"idle and of itself": AppendPriority(nil, 9, self(9)),
		"of no stream":       AppendPriority(nil, 0, Priority{Said: true, Weight: 1}),
	} {
		k := startPrioritizing(t, true)
		if k.caller(b); k.err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A head of several frames has its priority in the first.
func TestPriorityOfALongHead(t *testing.T) {
	fields := []Field{{Name: "x", Value: strings.Repeat("é", 20_000)}}
	b := NewEncoder().appendHead(nil, 1, Priority{Said: true, Depends: 3, Weight: 9}, fields, false, DefaultMaxFrame)
	var check Checker
	var block Block
	for whole := false; !whole; {
		f, n := Parse(b)
		if err := check.Check(&f); err != nil || n > HeaderLen+DefaultMaxFrame {
			t.Fatal(n, err)
		}
		whole = block.Add(&f)
		b = b[n:]
	}
	got, err := NewDecoder().Decode(block.Bytes())
	if err != nil || len(got) != 1 || got[0].Value != fields[0].Value || block.Priority != (Priority{Said: true, Depends: 3, Weight: 9}) {
		t.Errorf("got %d fields, %+v, %v", len(got), block.Priority, err)
	}
}
