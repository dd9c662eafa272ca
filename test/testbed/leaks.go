package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// settle is how long goroutines and descriptors may take to go away at the end
// of a test.
const settle = 5 * time.Second

// Leaks fails the test if, after everything else that it registered with
// Cleanup has run, a goroutine or a file descriptor is left that was not there
// when Leaks was called. So it is the first line of a test, which must not be
// parallel to others. Descriptors are looked at on Linux only.
func Leaks(t testing.TB) {
	t.Helper()
	goroutines := goleak.IgnoreCurrent()
	before := descriptors()
	t.Cleanup(func() {
		if t.Failed() {
			return // what failed may well have left something
		}
		Eventually(t, settle, func() error { return goleak.Find(goroutines) })
		Eventually(t, settle, func() error { return newDescriptors(before) })
	})
}

// descriptors tells what the process has open: the target of each descriptor
// and how many there are of it. It is empty where there is no /proc.
func descriptors() map[string]int {
	found := map[string]int{}
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || ownedByRuntime(target) {
			continue // closed meanwhile, as the glob's own was
		}
		found[target]++
	}
	return found
}

// ownedByRuntime tells the descriptors that the runtime opens at first use and
// keeps: the poller's, and the pools of splice's pipes.
func ownedByRuntime(target string) bool {
	return strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "pipe:")
}

func newDescriptors(before map[string]int) error {
	var left []string
	for target, count := range descriptors() {
		if count > before[target] {
			left = append(left, target)
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("%d descriptors left open: %s", len(left), strings.Join(left, ", "))
	}
	return nil
}
