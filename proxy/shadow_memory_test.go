package proxy

import (
	"bytes"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules"
)

func TestShadesHoldABoundedAmountOfMemory(t *testing.T) {
	s := &shadows{}
	piece := bytes.Repeat([]byte("x"), 64<<10)
	var all []*shaded
	lost := 0
	for range 2 * shadeMemory / int(shadeBody) {
		d := &shaded{of: s, wanted: true, most: int(shadeBody) + 1}
		for range 20 {
			d.add(piece)
		}
		if d.lost {
			lost++
		} else if !d.cut || len(d.data) != d.most || cap(d.data) > 2*d.most {
			t.Fatalf("holds %d of %d", len(d.data), d.most)
		}
		all = append(all, d)
	}
	if held := s.held.Load(); held > shadeMemory || lost == 0 {
		t.Errorf("hold %d bytes, %d lost", held, lost)
	}
	for _, d := range all {
		d.forget()
		d.add(piece)
	}
	if held := s.held.Load(); held != 0 {
		t.Errorf("%d bytes are held by nobody", held)
	}
}

func TestAShadeKeepsNothingThatNobodyReads(t *testing.T) {
	s := &shadows{}
	d := &shaded{of: s, most: 100}
	d.add([]byte("abc"))
	d.addMessage([]byte("abc"))
	if d.wants() || d.data != nil || s.held.Load() != 0 {
		t.Errorf("it keeps %q", d.data)
	}
	var none *shaded
	none.add([]byte("abc"))
	none.passed([]byte("abc"), nil)
	none.addMessage([]byte("abc"))
	if none.wants() {
		t.Error("nothing wants something")
	}
}

func TestACallOfManyMessagesIsCutWhereItIsTooLong(t *testing.T) {
	s := &shadows{}
	d := &shaded{of: s, wanted: true, most: 25}
	for range 4 {
		d.addMessage([]byte("four"))
	}
	h := &shade{of: s, reply: &rules.Head{}}
	h.response.of, h.response.wanted, h.response.data, h.response.cut = s, true, d.data, d.cut
	messages, err := h.messages(false, rules.Limits{Message: codec.MiB})
	if len(messages) != 2 || err != errCut { //nolint:errorlint // it is that very one
		t.Errorf("got %q, %v", messages, err)
	}
}
