package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"sync"
	"sync/atomic"
)

// idSource makes ids that are unique over restarts: six random hex digits of
// the process, a dash, and a count in base 36. The zero idSource is ready.
type idSource struct {
	once   sync.Once
	prefix string
	count  atomic.Uint64
}

func (s *idSource) next() string {
	s.once.Do(func() {
		var b [3]byte
		rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
		s.prefix = hex.EncodeToString(b[:]) + "-"
	})
	var b [24]byte
	return string(strconv.AppendUint(append(b[:0], s.prefix...), s.count.Add(1), 36))
}
