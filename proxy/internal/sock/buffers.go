package sock

import "sync"

// Sizes of the buffers. A conn begins with a small one and gets a large one
// when it needs or fills more.
const (
	smallSize = 32 << 10
	largeSize = 64 << 10
)

// Buffers lends buffers to the [Reader]s of a proxy. The zero value works. It
// may be used from any goroutine and must not be copied after its first use.
type Buffers struct {
	small, large sync.Pool // of *[smallSize]byte and *[largeSize]byte
}

// get returns a buffer with room for largeSize or smallSize bytes.
func (b *Buffers) get(large bool) []byte {
	if large {
		if a, ok := b.large.Get().(*[largeSize]byte); ok {
			return a[:]
		}
		return new([largeSize]byte)[:]
	}
	if a, ok := b.small.Get().(*[smallSize]byte); ok {
		return a[:]
	}
	return new([smallSize]byte)[:]
}

// put takes back what get returned, and drops anything else.
func (b *Buffers) put(buf []byte) {
	switch cap(buf) { // an array goes into a pool without an allocation
	case smallSize:
		b.small.Put((*[smallSize]byte)(buf[:smallSize]))
	case largeSize:
		b.large.Put((*[largeSize]byte)(buf[:largeSize]))
	}
}
