// Package watch keeps a [rules.Live] up to date with a directory of rule files.
//
// A change is seen at once where the system tells (fsnotify on the directory,
// so that files replaced by a rename and the symbolic links of a Kubernetes
// ConfigMap are seen too), and by a slow look at the directory where it does
// not. A directory that cannot be read, or that has a problem, changes nothing:
// the last good set stays in force until the directory is good again.
package watch

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/document"
)

// Result is the outcome of one load of the directory.
type Result struct {
	At         time.Time       // when it was loaded
	Generation uint64          // in force after the load
	Hash       string          // of the set in force
	Read       string          // hash of the files that were read; "" if they could not be
	Routes     int             // in force
	Problems   []rules.Problem // what was found in the files; an error among them kept them from going live
	Err        error           // the directory could not be read, or [ErrProblems]; nil: the files are in force
}

// ErrProblems says that the files have problems that keep them from going live.
var ErrProblems = errors.New("the rule files have problems")

// Options are what a Watcher has beside its directory. The zero Options are good.
type Options struct {
	// OnResult is told of each load, the first one included. It is called from New and
	// from Run, one call at a time.
	OnResult func(Result)
	// Judge has the last word on a set that compiles: its problems keep the set from
	// going live. It is called from New, Run and Edit, and may be called at any time.
	Judge func(*rules.Set) []rules.Problem
}

// Watcher is a watched directory. [New] makes one and [Watcher.Run] watches.
type Watcher struct {
	dir      string
	live     *rules.Live
	onResult func(Result)
	judge    func(*rules.Set) []rules.Problem // nil: all that compiles is good

	settle   time.Duration // how long the directory has to be quiet before it is read
	patience time.Duration // the longest wait for that
	poll     time.Duration // between looks at the directory

	empty time.Time // when the directory was first seen without any rule; zero if it has some

	seen   string       // the signature when it was last read
	loaded []rules.File // what was last compiled; nil if that is to be done anew
	failed string       // the last error reported, "" after a load
	last   Result       // of the last load

	asked   chan chan Result // by Edit, to load at once
	editing chan struct{}    // held by the one edit at a time
}

// New loads dir into live and answers with the problems found, warnings among
// them. Its error is [ErrProblems], or says why the directory cannot be read;
// live is unchanged then, and the Watcher can be run all the same.
func New(dir string, live *rules.Live, o Options) (*Watcher, []rules.Problem, error) {
	if o.OnResult == nil {
		o.OnResult = func(Result) {}
	}
	w := &Watcher{
		dir: dir, live: live, onResult: o.OnResult, judge: o.Judge,
		settle: 50 * time.Millisecond, patience: 300 * time.Millisecond, poll: 500 * time.Millisecond,
		asked: make(chan chan Result), editing: make(chan struct{}, 1),
	}
	r := w.load(false)
	return w, r.Problems, r.Err
}

// Run watches until ctx is done. It may be called once.
func (w *Watcher) Run(ctx context.Context) {
	var events chan fsnotify.Event
	var lost chan error
	notify, err := fsnotify.NewWatcher() // without one, the polls have to do
	if err == nil {
		defer func() { _ = notify.Close() }() // the process lets go of it either way
		events, lost = notify.Events, notify.Errors
	}
	var watched os.FileInfo
	watched = w.watch(notify, watched)
	poll := time.NewTicker(w.poll)
	defer poll.Stop()
	w.reload(ctx) // what changed since New
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			if !w.quiet(ctx, events) {
				return
			}
			w.reload(ctx)
		case <-lost: //nolint:errcheck // an overflow: something was missed, whatever it says
			w.reload(ctx)
		case answer := <-w.asked:
			w.load(true)
			answer <- w.last
		case <-poll.C:
			watched = w.watch(notify, watched)
			if signature(w.dir) != w.seen {
				w.reload(ctx)
			}
		}
	}
}

// watch adds the directory to notify, again if it is another one than before:
// removed and made anew, or behind a symbolic link that was changed.
func (w *Watcher) watch(notify *fsnotify.Watcher, before os.FileInfo) os.FileInfo {
	info, err := os.Stat(w.dir)
	if notify == nil || err != nil {
		return nil
	}
	if before != nil && os.SameFile(before, info) {
		return info
	}
	if before != nil {
		_ = notify.Remove(w.dir) // it is gone with its directory in most cases
	}
	if notify.Add(w.dir) != nil {
		return nil
	}
	return info
}

// quiet waits until no event came for a while, so that a file is read when its
// writer has finished. It answers false if ctx is done.
func (w *Watcher) quiet(ctx context.Context, events <-chan fsnotify.Event) bool {
	settled, late := time.NewTimer(w.settle), time.NewTimer(w.patience)
	defer settled.Stop()
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-events:
			settled.Reset(w.settle)
		case <-settled.C:
			return true
		case <-late.C:
			return true
		}
	}
}

// reload loads until the directory did not change while it was read.
func (w *Watcher) reload(ctx context.Context) {
	for range 3 {
		w.load(false)
		if signature(w.dir) == w.seen || ctx.Err() != nil {
			return
		}
	}
}

// load reads the directory, and puts it in force if it is good and not just
// what is in force. It reports what came out, unless that was reported last. A
// directory without rules is sure to be meant if somebody asked for it.
func (w *Watcher) load(sure bool) Result {
	before := signature(w.dir)
	files, err := Read(w.dir)
	w.seen = before
	if err != nil {
		w.loaded = nil
		w.last = w.result("", nil, err)
		if err.Error() != w.failed {
			w.failed = err.Error()
			w.onResult(w.last)
		}
		return w.last
	}
	if signature(w.dir) != before {
		w.seen = "" // it changed meanwhile: what was read may be half of two states
		if w.loaded != nil {
			return Result{}
		}
	}
	if !sure && w.emptied(files) {
		w.seen = ""
		return Result{}
	}
	if w.loaded != nil && slices.EqualFunc(files, w.loaded, sameFile) {
		return w.last
	}
	w.loaded, w.failed = append([]rules.File{}, files...), ""
	set, problems := w.build(files)
	if set == nil {
		err = ErrProblems
	} else if set.Hash() != w.live.Load().Hash() {
		w.live.Swap(set)
	}
	w.last = w.result(rules.HashOf(files), problems, err)
	w.onResult(w.last)
	return w.last
}

// build makes a set of files, nil if they must not go live.
func (w *Watcher) build(files []rules.File) (*rules.Set, []rules.Problem) {
	set, problems := rules.Compile(files)
	if set == nil || w.judge == nil {
		return set, problems
	}
	if failed := w.judge(set); len(failed) > 0 {
		problems = append(problems, failed...)
		document.Sort(problems)
		return nil, problems
	}
	return set, problems
}

// emptied reports whether the last rules went just now. They may be about to be
// followed by their directory, which would change nothing: wait and see.
func (w *Watcher) emptied(files []rules.File) bool {
	if len(files) > 0 || len(w.loaded) == 0 {
		w.empty = time.Time{}
		return false
	}
	if w.empty.IsZero() {
		w.empty = time.Now()
	}
	return time.Since(w.empty) < w.poll
}

func sameFile(a, b rules.File) bool { return a.Name == b.Name && bytes.Equal(a.Text, b.Text) }

func (w *Watcher) result(read string, problems []rules.Problem, err error) Result {
	g := w.live.Load()
	return Result{At: time.Now(), Generation: g.Number, Hash: g.Hash(), Read: read, Routes: len(g.Routes()), Problems: problems, Err: err}
}
