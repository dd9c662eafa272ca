package soak

import (
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// watch looks at the process while no operation runs.
type watch struct {
	every time.Duration
	next  time.Time
	began time.Time
	looks []look
}

// look is the process at one instant.
type look struct {
	at                time.Duration
	heap, rss         float64 // in MiB, after a collection
	goroutines, files int
}

func newWatch(length time.Duration) *watch {
	every := min(max(length/60, 2*time.Second), time.Minute)
	return &watch{every: every, began: time.Now(), next: time.Now().Add(every)}
}

func (w *watch) due() bool { return time.Now().After(w.next) }

func (w *watch) look() {
	w.next = time.Now().Add(w.every)
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.looks = append(w.looks, look{
		at: time.Since(w.began), heap: float64(m.HeapInuse) / (1 << 20), rss: rss(),
		goroutines: runtime.NumGoroutine(), files: files(),
	})
}

// rss is the resident memory in MiB, 0 where there is no /proc.
func rss() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize()) / (1 << 20)
}

// files is how many descriptors are open, 0 where there is no /proc.
func files() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

// slope is the least-squares slope of a look's figure, for ten minutes.
func slope(looks []look, of func(look) float64) float64 {
	var n, x, y, xx, xy float64
	for _, l := range looks {
		at, value := l.at.Minutes()/10, of(l)
		n, x, y, xx, xy = n+1, x+at, y+value, xx+at*at, xy+at*value
	}
	if d := n*xx - x*x; d != 0 {
		return (n*xy - x*y) / d
	}
	return 0
}

// judge fails the test if something grew. A short run tells of leaks that are
// large only.
func (w *watch) judge(t *testing.T, length time.Duration) {
	for _, l := range w.looks {
		t.Logf("%8v: heap %6.1f MiB, rss %6.1f MiB, %4d goroutines, %4d descriptors", l.at.Round(time.Second), l.heap, l.rss, l.goroutines, l.files)
	}
	warm := slices.Clone(w.looks)
	warm = slices.DeleteFunc(warm, func(l look) bool { return l.at < min(length/3, 6*time.Minute) }) // pools fill, and the heap finds its size
	if len(warm) < 3 {
		t.Logf("%d looks, too few to tell what grows", len(w.looks))
		return
	}
	figures := []struct {
		name         string
		of           func(look) float64
		limit, loose float64 // of the slope in a run of half an hour and more; of the growth in a shorter one
	}{
		{"heap (MiB)", func(l look) float64 { return l.heap }, 1, 48},
		{"resident memory (MiB)", func(l look) float64 { return l.rss }, 1, 96},
		{"goroutines", func(l look) float64 { return float64(l.goroutines) }, 20, 200},
		{"descriptors", func(l look) float64 { return float64(l.files) }, 10, 100},
	}
	for _, f := range figures {
		s := slope(warm, f.of)
		grown := f.of(warm[len(warm)-1]) - f.of(warm[0])
		t.Logf("%s: %+.2f in ten minutes, %+.1f since warm", f.name, s, grown)
		if length >= 30*time.Minute && s > f.limit {
			t.Errorf("%s grow by %.2f in ten minutes, over %v", f.name, s, f.limit)
		}
		if length < 30*time.Minute && grown > f.loose {
			t.Errorf("%s grew by %.1f, over %v", f.name, grown, f.loose)
		}
	}
}
