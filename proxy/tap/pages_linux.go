package tap

import "syscall"

// pages gets memory from the system beside the collector's heap: the heap may
// grow to twice what lives in it, and what is remembered would count as living.
// It is used under the ring's lock.
type pages struct{ maps [][]byte }

// wholePages is from what on it is worth it.
const wholePages = 64 << 10

func (p *pages) get(size int) []byte {
	if size < wholePages {
		return make([]byte, size)
	}
	mem, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return make([]byte, size) // a limit on maps or address space: the heap has its own
	}
	p.maps = append(p.maps, mem)
	return mem
}

// put gives back what get returned.
func (p *pages) put(mem []byte) {
	for i := range p.maps {
		if &p.maps[i][0] == &mem[0] {
			last := len(p.maps) - 1
			p.maps[i], p.maps[last] = p.maps[last], nil
			p.maps = p.maps[:last]
			_ = syscall.Munmap(mem) // it was mapped as it is
			return
		}
	}
}

// close gives all of it back.
func (p *pages) close() {
	for _, mem := range p.maps {
		_ = syscall.Munmap(mem)
	}
	p.maps = nil
}
