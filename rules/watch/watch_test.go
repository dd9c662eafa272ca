package watch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/rules"
)

const (
	good   = "match: {http: /a}\n"
	better = "match: {http: /b}\n"
	broken = "match: {http: nowhere}\n"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// watched is a directory with one good file that is being watched.
type watched struct {
	*testing.T
	dir  string
	live *rules.Live

	watcher *Watcher

	mu      sync.Mutex
	results []Result
}

func start(t *testing.T, prepare func(dir string)) *watched {
	t.Helper()
	w := &watched{T: t, dir: filepath.Join(t.TempDir(), "rules"), live: new(rules.Live)}
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if prepare == nil {
		prepare = func(dir string) { write(t, filepath.Join(dir, "a.yaml"), good) }
	}
	prepare(w.dir)
	watcher, problems, err := New(w.dir, w.live, Options{OnResult: func(r Result) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.results = append(w.results, r)
	}})
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	w.watcher = watcher
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		watcher.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return w
}

func (w *watched) file(name string) string { return filepath.Join(w.dir, name) }

// count is the number of results so far.
func (w *watched) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.results)
}

// next waits for the result after the first n.
func (w *watched) next(n int) Result {
	w.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if w.count() > n {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.results[n]
		}
	}
	w.Fatal("no result in 5 s")
	return Result{}
}

// inForce waits until the routes in force are those of the names.
func (w *watched) inForce(names ...string) {
	w.Helper()
	var got []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		got = nil
		for _, r := range w.live.Load().Routes() {
			got = append(got, r.Name())
		}
		if slices.Equal(got, names) {
			return
		}
	}
	w.Fatalf("in force are %q, want %q", got, names)
}

func TestChangesGoLive(t *testing.T) {
	w := start(t, nil)
	w.inForce("a")
	if r := w.next(0); r.Generation != 1 || r.Routes != 1 || r.Hash != w.live.Load().Hash() || r.Err != nil {
		t.Errorf("the first result is %+v", r)
	}
	write(t, w.file("b.yaml"), better)
	w.inForce("a", "b")
	write(t, w.file("b.yaml.tmp"), "route: c\n"+better)
	if err := os.Rename(w.file("b.yaml.tmp"), w.file("b.yaml")); err != nil {
		t.Fatal(err)
	}
	w.inForce("a", "c")
	if err := os.Remove(w.file("b.yaml")); err != nil {
		t.Fatal(err)
	}
	w.inForce("a")
	if err := os.Remove(w.file("a.yaml")); err != nil {
		t.Fatal(err)
	}
	w.inForce()
}

func TestABrokenFileKeepsTheLastGoodSet(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, path string)
	}{
		{"a problem", func(t *testing.T, path string) { write(t, path, broken) }},
		{"empty", func(t *testing.T, path string) { write(t, path, "") }},
		{"half-written", func(t *testing.T, path string) { write(t, path, "match: {http:") }},
		{"too large", func(t *testing.T, path string) { write(t, path, strings.Repeat("# large\n", 7_000_000)) }},
		{"a dangling link", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Symlink("nowhere", path)); err != nil {
				t.Fatal(err)
			}
		}},
		{"a pipe", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o644)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t, nil)
			first := w.live.Load()
			tt.spoil(t, w.file("a.yaml"))
			r := w.next(1)
			if r.Err == nil || r.Generation != 1 || r.Hash != first.Hash() || w.live.Load() != first {
				t.Errorf("got %+v", r)
			}
			if errors.Is(r.Err, ErrProblems) != (len(r.Problems) > 0) {
				t.Errorf("got %v with %d problems", r.Err, len(r.Problems))
			}
			n := w.count()
			if err := os.Remove(w.file("a.yaml")); err != nil {
				t.Fatal(err)
			}
			write(t, w.file("b.yaml"), better)
			fixed := time.Now()
			w.inForce("b")
			if took := time.Since(fixed); took > time.Second {
				t.Errorf("picked up after %v", took)
			}
			// A file that is written in place may be seen without its text as well.
			if r := w.next(n); n > 3 || r.Err != nil && w.next(n+1).Err != nil {
				t.Errorf("%d results before the good one; then %+v", n, r)
			}
		})
	}
}

func TestTheGoodTextAgainIsReportedAndKeepsTheGeneration(t *testing.T) {
	w := start(t, nil)
	write(t, w.file("a.yaml"), broken)
	if r := w.next(1); !errors.Is(r.Err, ErrProblems) {
		t.Fatalf("got %+v", r)
	}
	write(t, w.file("a.yaml"), good)
	if r := w.next(2); r.Err != nil || r.Generation != 1 {
		t.Errorf("got %+v", r)
	}
}

func TestADeletedDirectoryKeepsTheLastGoodSet(t *testing.T) {
	w := start(t, nil)
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	if r := w.next(1); r.Err == nil || r.Routes != 1 {
		t.Errorf("got %+v", r)
	}
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, w.file("b.yaml"), better)
	w.inForce("b")
	write(t, w.file("c.yaml"), "match: {http: /c}")
	w.inForce("b", "c")
}

func TestASwappedLinkOfAConfigMap(t *testing.T) {
	volume := func(dir, version, text string) {
		if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "a.yaml"), text)
	}
	w := start(t, func(dir string) {
		volume(dir, "..1", good)
		if err := errors.Join(os.Symlink("..1", filepath.Join(dir, "..data")), os.Symlink("..data/a.yaml", filepath.Join(dir, "a.yaml"))); err != nil {
			t.Fatal(err)
		}
	})
	w.inForce("a")
	volume(w.dir, "..2", "route: swapped\n"+better)
	if err := errors.Join(os.Symlink("..2", w.file("..data_tmp")), os.Rename(w.file("..data_tmp"), w.file("..data"))); err != nil {
		t.Fatal(err)
	}
	w.inForce("swapped")
}

func TestADirectoryBehindALinkThatIsSwapped(t *testing.T) {
	base := t.TempDir()
	for _, version := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(base, version), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(base, version, version+".yaml"), good)
	}
	w := start(t, func(dir string) {
		if err := errors.Join(os.Remove(dir), os.Symlink(filepath.Join(base, "one"), dir)); err != nil {
			t.Fatal(err)
		}
	})
	w.inForce("one")
	if err := errors.Join(os.Symlink(filepath.Join(base, "two"), w.dir+".new"), os.Rename(w.dir+".new", w.dir)); err != nil {
		t.Fatal(err)
	}
	w.inForce("two")
	write(t, w.file("three.yaml"), better)
	w.inForce("three", "two")
}

func TestTheStartTellsWhatIsWrong(t *testing.T) {
	live := new(rules.Live)
	if _, _, err := New(filepath.Join(t.TempDir(), "nowhere"), live, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), broken)
	if _, problems, err := New(dir, live, Options{}); !errors.Is(err, ErrProblems) || len(problems) != 1 {
		t.Errorf("got %v, %v", problems, err)
	}
	if live.Load().Number != 0 {
		t.Error("it went live")
	}
}

func TestFilesThatAreNoRules(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.yaml", ".b.yaml", "c.yaml~", "README.md", "d.yml"} {
		write(t, filepath.Join(dir, name), good)
	}
	if err := os.Mkdir(filepath.Join(dir, "e.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	files, err := Read(dir)
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f.Name))
	}
	if err != nil || !slices.Equal(names, []string{"a.yaml", "d.yml"}) {
		t.Errorf("got %q, %v", names, err)
	}
}

// A bad file is compiled and reported once, however long it stays and however
// often it is written with the same text.
func TestABadFileIsReportedOnce(t *testing.T) {
	w := start(t, nil)
	replace := func(name, text string) {
		t.Helper()
		write(t, w.file("new"), text)
		if err := os.Rename(w.file("new"), w.file(name)); err != nil {
			t.Fatal(err)
		}
	}
	replace("a.yaml", broken)
	first := w.next(1)
	if first.Read == first.Hash || first.Read == "" || first.Hash != w.live.Load().Hash() || first.At.IsZero() {
		t.Errorf("got %+v", first)
	}
	for range 3 {
		replace("a.yaml", broken)
		time.Sleep(2 * w.watcher.settle) // each is read for itself
	}
	time.Sleep(2 * w.watcher.poll)
	replace("b.yaml", "requst: []\n") // one more mistake is another text
	if r := w.next(2); len(r.Problems) != 2 || r.Read == first.Read {
		t.Errorf("the next result is %+v", r)
	}
	if n := w.count(); n != 3 {
		t.Errorf("%d results, want 3", n)
	}
}

// What compiles may be refused all the same, on a reload and in an edit.
func TestAJudgeKeepsASetFromGoingLive(t *testing.T) {
	dir, live := t.TempDir(), new(rules.Live)
	write(t, filepath.Join(dir, "a.yaml"), good)
	w, problems, err := New(dir, live, Options{Judge: func(s *rules.Set) []rules.Problem {
		if len(s.Routes()) < 2 {
			return nil
		}
		return []rules.Problem{{Position: s.Routes()[1].Position(), Code: "too-many"}}
	}})
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	first := live.Load()
	if out, err := w.Edit(t.Context(), Edit{Route: "b", Text: []byte(better)}); !errors.Is(err, ErrProblems) || len(out.Problems) != 1 {
		t.Errorf("edit: got %v, %v", out.Problems, err)
	}
	write(t, filepath.Join(dir, "b.yaml"), better)
	if r := w.load(true); !errors.Is(r.Err, ErrProblems) || len(r.Problems) != 1 || live.Load() != first {
		t.Errorf("load: got %+v", r)
	}
}
