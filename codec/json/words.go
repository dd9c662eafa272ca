package json

import (
	"sync"

	"github.com/sluice-proxy/sluice/codec"
)

// words are short strings that the text has had, as values: what a text says
// again, as it does with states and currencies, needs no memory again.
type words [64]codec.Value

const maxWord = 16 // bytes

func (w *words) value(s string) codec.Value {
	at := &w[(uint(len(s))+uint(s[0])*5+uint(s[len(s)-1])*11+uint(s[len(s)/2])*23)%uint(len(w))]
	if word, ok := (*at).(string); ok && word == s {
		return *at
	}
	*at = s
	return *at
}

// decoders wait for the next text. They hold nothing of the last.
var decoders = sync.Pool{New: func() any { return &decoder{words: new(words)} }}

const maxIdleValues = 1 << 12 // that a stack has room for while it waits

// rest lets go of the text.
func (d *decoder) rest() {
	if cap(d.values) > maxIdleValues || cap(d.names) > maxIdleValues {
		return
	}
	clear(d.values) // what was open at an error; the rest is clear
	clear(d.names)
	clear(d.words[:])
	*d = decoder{values: d.values[:0], names: d.names[:0], words: d.words}
	decoders.Put(d)
}
