package json

import "github.com/sluice-proxy/sluice/codec"

// What values take, in bytes and about. A text of a few bytes for each value makes
// twenty times as much of them: they may take memoryRatio times what a text may be long.
const (
	memoryRatio     = 12
	memoryContainer = 48
	memoryItem      = 40  // of an array
	memoryMember    = 80  // of an object
	memoryOpen      = 96  // of an element of a long array, which has to wait for the others
	memoryOpening   = 192 // of a member of a large object, which has
)

// objectMemory is what an object of n members takes, and n of them that wait.
func objectMemory(n int) int {
	switch {
	case n <= 8: // it has room for so many
		return memoryContainer + 8*memoryMember/2
	case n <= 1<<10:
		return memoryContainer + n*memoryMember
	}
	return memoryContainer + n*memoryOpening
}

// memoryFor is what values may take where a text may have size bytes.
func memoryFor(size codec.Bytes) int { return memoryRatio * int(max(size, 8*codec.MiB)) }

// spend takes what a value takes.
func (d *decoder) spend(bytes int) error {
	if d.memory -= bytes; d.memory < 0 {
		return errItems()
	}
	return nil
}

func errItems() error { return &codec.LimitError{Format: name, Limit: "items"} }
