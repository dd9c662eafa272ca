package main

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// heapReserve is heap that is never touched, and so takes no memory, but
// counts for the collector, whose next run is due when the heap has doubled, or
// is at 4 MiB. A busy proxy lives in one to two: every three that it allocates
// would be a run. A higher GOGC would do the same for a small heap, but treble a
// large one.
const heapReserve = 2 << 20

// tuneMemory sets up the collector once for the process: a reserve for a small
// heap, and a limit where the cgroup has one, from which is taken what lies beside
// the heap: aside bytes, and a part for stacks of threads and the program itself.
// What the environment says with GOGC or GOMEMLIMIT holds instead.
func tuneMemory(root fs.FS, aside int64) (reserve []byte) {
	reserved := int64(0)
	if os.Getenv("GOGC") == "" {
		reserve = make([]byte, heapReserve)
		reserved = heapReserve
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		if limit := heapLimit(cgroupMemory(root), aside); limit > 0 {
			debug.SetMemoryLimit(limit + reserved)
		}
	}
	return reserve
}

// heapLimit is what the heap may take of a cgroup's limit, of which a tenth is
// left to the program and the kernel's own; 0 for no limit. It is never less than
// half: a collector that runs all the time helps nobody.
func heapLimit(cgroup, aside int64) int64 {
	if cgroup <= 0 {
		return 0
	}
	return max(cgroup-cgroup/10-aside, cgroup/2)
}

// cgroupMemory is the least memory limit of the process's cgroup and those
// around it, of either version; 0 if there is none, or none that it can see.
func cgroupMemory(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := int64(math.MaxInt64)
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		var mount, file string
		switch {
		case parts[0] == "0" && parts[1] == "":
			mount, file = "sys/fs/cgroup", "memory.max"
		case strings.Contains(","+parts[1]+",", ",memory,"):
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// In a container the path may be the host's, which is not there: the
		// mount's own top is the container's then.
		for dir := path.Join("/", parts[2]); ; dir = path.Dir(dir) {
			if n := readLimit(root, path.Join(mount, dir, file)); n > 0 {
				least = min(least, n)
			}
			if dir == "/" {
				break
			}
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// readLimit is the number in a file; 0 for "max", for version 1's number
// that means the same, and for no such file.
func readLimit(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n >= 1<<50 {
		return 0
	}
	return n
}
