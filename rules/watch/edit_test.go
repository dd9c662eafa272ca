package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-proxy/sluice/rules"
)

// directory is the rule files of w by name, and whatever else is in its folder.
func (w *watched) directory() string {
	w.Helper()
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		w.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		text, _ := os.ReadFile(w.file(e.Name()))
		fmt.Fprintf(&b, "%s=%s|", e.Name(), strings.ReplaceAll(string(text), "\n", ";"))
	}
	return b.String()
}

func TestEditsAreInForceWhenTheyReturn(t *testing.T) {
	w := start(t, nil)
	generation := uint64(1)
	for _, step := range []struct {
		edit    Edit
		created bool
		file    string
		want    string // the directory
	}{
		{Edit{Route: "b", Text: []byte(better)}, true, "b.yaml", "a.yaml=match: {http: /a};|b.yaml=match: {http: /b};|"},
		{Edit{Route: "b", Text: []byte("match: {http: /c}")}, false, "b.yaml", "a.yaml=match: {http: /a};|b.yaml=match: {http: /c}|"},
		{Edit{Route: "_all", Text: []byte("limits: {body: 1KiB}")}, true, "_all.yaml", "_all.yaml=limits: {body: 1KiB}|a.yaml=match: {http: /a};|b.yaml=match: {http: /c}|"},
		{Edit{Route: "_all"}, false, "_all.yaml", "a.yaml=match: {http: /a};|b.yaml=match: {http: /c}|"},
		{Edit{Route: "off", Text: []byte("mode: off")}, true, "off.yaml", "a.yaml=match: {http: /a};|b.yaml=match: {http: /c}|off.yaml=mode: off|"},
		{Edit{Route: "off"}, false, "off.yaml", "a.yaml=match: {http: /a};|b.yaml=match: {http: /c}|"},
		{Edit{Route: "b"}, false, "b.yaml", "a.yaml=match: {http: /a};|"},
		{Edit{Route: "a"}, false, "a.yaml", ""}, // the last one: nobody waits whether the directory follows
	} {
		done, err := w.watcher.Edit(t.Context(), step.edit)
		if err != nil {
			t.Fatalf("%+v: %v, %+v", step.edit, err, done.Problems)
		}
		generation++
		if g := w.live.Load(); done.Generation != generation || g.Number != generation || done.Hash != g.Hash() || done.Read != g.Hash() {
			t.Errorf("%+v: got %+v, in force is %d %s", step.edit, done.Result, g.Number, g.Hash())
		}
		if done.Created != step.created || done.File != w.file(step.file) || w.directory() != step.want {
			t.Errorf("%+v: got %+v\n%s\nwant %s", step.edit, done, w.directory(), step.want)
		}
	}
}

func TestTheSameTextAgainKeepsTheGeneration(t *testing.T) {
	w := start(t, nil)
	before, _ := os.Stat(w.file("a.yaml"))
	done, err := w.watcher.Edit(t.Context(), Edit{Route: "a", Text: []byte(good)})
	after, _ := os.Stat(w.file("a.yaml"))
	if err != nil || done.Created || done.Generation != 1 || !os.SameFile(before, after) {
		t.Errorf("got %+v, %v", done, err)
	}
}

func TestARouteIsEditedInTheFileWhereItStands(t *testing.T) {
	w := start(t, func(dir string) { write(t, filepath.Join(dir, "some.yaml"), "route: orders\n"+good) })
	if err := os.Chmod(w.file("some.yaml"), 0o640); err != nil {
		t.Fatal(err)
	}
	done, err := w.watcher.Edit(t.Context(), Edit{Route: "orders", Text: []byte("route: orders\n" + better)})
	if err != nil || done.Created || done.File != w.file("some.yaml") {
		t.Fatalf("got %+v, %v", done, err)
	}
	if info, err := os.Stat(w.file("some.yaml")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	done, err = w.watcher.Edit(t.Context(), Edit{Route: "orders", Text: []byte(better)})
	if !errors.Is(err, ErrProblems) || len(done.Problems) != 1 || !strings.Contains(done.Problems[0].Message, "named some, and was to be orders") {
		t.Errorf("got %+v, %v", done.Problems, err)
	}
	if _, err = w.watcher.Edit(t.Context(), Edit{Route: "orders"}); err != nil || w.directory() != "" {
		t.Errorf("got %v, %s", err, w.directory())
	}
}

func TestEditsThatAreRefusedWriteNothing(t *testing.T) {
	hash := "000000000000"
	for _, tt := range []struct {
		name    string
		prepare func(w *watched)
		edit    Edit
		want    error
		codes   string
	}{
		{"a problem", nil, Edit{Route: "b", Text: []byte("match: {http: nowhere}\nrequst: []\n")}, ErrProblems, "bad-pattern unknown-key"},
		{"empty", nil, Edit{Route: "b", Text: []byte{}}, ErrProblems, "empty"},
		{"binary", nil, Edit{Route: "b", Text: []byte("\x00\xff")}, ErrProblems, "yaml"},
		{"too large", nil, Edit{Route: "b", Text: []byte(strings.Repeat("# large\n", 200_000))}, ErrProblems, "too-large"},
		{"a conflict", nil, Edit{Route: "b", Text: []byte(good)}, ErrProblems, "route-conflict"},
		{"another's name", nil, Edit{Route: "b", Text: []byte("route: a\n" + better)}, ErrProblems, "duplicate-route"},
		{"another name", nil, Edit{Route: "b", Text: []byte("route: c\n" + better)}, ErrProblems, "bad-name"},
		{"a shared file with a match", nil, Edit{Route: "_all", Text: []byte(better)}, ErrProblems, "unknown-key"},
		{"a problem elsewhere", func(w *watched) { write(w.T, w.file("z.yaml"), broken) }, Edit{Route: "b", Text: []byte(better)}, ErrProblems, "bad-pattern"},
		{"no such route", nil, Edit{Route: "b"}, ErrNoRoute, ""},
		{"another hash", nil, Edit{Route: "a", Text: []byte(better), IfMatch: hash}, ErrNoMatch, ""},
		{"there already", nil, Edit{Route: "a", Text: []byte(better), Create: true}, ErrNoMatch, ""},
		{"a ConfigMap", func(w *watched) {
			if err := os.Symlink("..1", w.file("..data")); err != nil {
				t.Fatal(err)
			}
		}, Edit{Route: "b", Text: []byte(better)}, ErrReadOnly, ""},
		{"a folder of its name", func(w *watched) {
			if err := os.Mkdir(w.file("b.yaml"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, Edit{Route: "b", Text: []byte(better)}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t, nil)
			if tt.prepare != nil {
				tt.prepare(w)
			}
			before := w.directory()
			done, err := w.watcher.Edit(t.Context(), tt.edit)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			var codes []string
			for _, p := range done.Problems {
				codes = append(codes, p.Code)
			}
			if got := strings.Join(codes, " "); got != tt.codes {
				t.Errorf("problems %q, want %q", got, tt.codes)
			}
			if after := w.directory(); after != before || w.live.Load().Number != 1 {
				t.Errorf("it left %s of %s, generation %d", after, before, w.live.Load().Number)
			}
		})
	}
}

func TestNoNameLeavesTheDirectory(t *testing.T) {
	w := start(t, nil)
	before := w.directory()
	for _, name := range []string{
		"", ".", "..", "../a", "a/b", `a\b`, "/etc/passwd", ".hidden", "..data", "a\x00", "a\n", "a b", "é", "-rf", "_", "_other", "__all",
		"a.yaml", "a.yml", strings.Repeat("a", 101), "a%2fb", "~", "$HOME", "a:b", "a*",
	} {
		for _, text := range [][]byte{nil, []byte(better)} {
			if done, err := w.watcher.Edit(t.Context(), Edit{Route: name, Text: text}); !errors.Is(err, ErrName) {
				t.Errorf("%q: got %+v, %v", name, done, err)
			}
		}
	}
	if w.directory() != before {
		t.Errorf("left %s", w.directory())
	}
}

func TestABrokenDirectoryIsMendedByAnEdit(t *testing.T) {
	w := start(t, nil)
	n := w.count()
	write(t, w.file("a.yaml"), broken)
	if r := w.next(n); r.Err == nil || r.Read == r.Hash {
		t.Errorf("got %+v", r)
	}
	done, err := w.watcher.Edit(t.Context(), Edit{Route: "a", Text: []byte(better)})
	if err != nil || done.Generation != 2 || done.Created {
		t.Errorf("got %+v, %v", done, err)
	}
}

func TestAnEditThatKnowsTheHash(t *testing.T) {
	w := start(t, nil)
	done, err := w.watcher.Edit(t.Context(), Edit{Route: "a", Text: []byte(better), IfMatch: w.live.Load().Hash()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.watcher.Edit(t.Context(), Edit{Route: "a", IfMatch: done.Hash}); err != nil {
		t.Error(err)
	}
}

// However many edit at once, what each was told is in the directory and in force.
func TestEditsAtOnce(t *testing.T) {
	w := start(t, nil)
	var editors sync.WaitGroup
	for i := range 16 {
		editors.Go(func() {
			text := fmt.Sprintf("match: {http: /r%d}", i)
			for _, e := range []Edit{{Route: fmt.Sprintf("r%d", i), Text: []byte(text)}, {Route: fmt.Sprintf("r%d", i), Text: []byte(text + "\nmode: off")}} {
				if _, err := w.watcher.Edit(t.Context(), e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	editors.Wait()
	if got := len(w.live.Load().Routes()); got != 17 {
		t.Errorf("%d routes, want 17", got)
	}
	if strings.Contains(w.directory(), ".tmp") {
		t.Errorf("left %s", w.directory())
	}
}

func TestAnEditDoesNotWaitForEver(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), good)
	w, _, err := New(dir, new(rules.Live), Options{}) // which nobody runs
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := w.Edit(ctx, Edit{Route: "a", Text: []byte(better)})
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
