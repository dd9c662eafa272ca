//go:build !linux

package tap

// pages gets memory.
type pages struct{}

func (*pages) get(size int) []byte { return make([]byte, size) }
func (*pages) put([]byte)          {}
func (*pages) close()              {}
