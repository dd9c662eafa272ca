package main

import (
	"testing"
	"testing/fstest"
)

func TestCgroupMemory(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no cgroups":  {nil, 0},
		"none is set": {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 0},
		"a container sees its own as the top": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "134217728\n"}, 134217728},
		"the least of those around it": {map[string]string{
			"proc/self/cgroup": "0::/pod/box\n", "sys/fs/cgroup/pod/memory.max": "1000\n", "sys/fs/cgroup/pod/box/memory.max": "2000\n"}, 1000},
		"the host's path is not there": {map[string]string{
			"proc/self/cgroup": "0::/kubepods/x\n", "sys/fs/cgroup/memory.max": "3000\n"}, 3000},
		"version 1": {map[string]string{
			"proc/self/cgroup": "9:name=systemd:/\n4:memory:/a\n0::/\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes":       "4000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":         "9223372036854771712\n",
			"sys/fs/cgroup/unified/this/is/not/read/memory.max":  "1\n",
			"sys/fs/cgroup/memory/a/below/memory.limit_in_bytes": "2\n"}, 4000},
	} {
		files := fstest.MapFS{}
		for name, text := range test.files {
			files[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := cgroupMemory(files); got != test.want {
			t.Errorf("%s: got %d, want %d", name, got, test.want)
		}
	}
}

func TestHeapLimitLeavesRoomBesideTheHeap(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct{ cgroup, aside, want int64 }{
		{0, 16 * mib, 0},
		{128 * mib, 16 * mib, 128*mib - 128*mib/10 - 16*mib},
		{32 * mib, 16 * mib, 16 * mib},
	} {
		if got := heapLimit(test.cgroup, test.aside); got != test.want {
			t.Errorf("%d beside %d: got %d, want %d", test.cgroup, test.aside, got, test.want)
		}
	}
}
