package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/document"
)

// Edit is a change of one route's file.
type Edit struct {
	Route   string // its name; or _all, _inbound, _outbound
	Text    []byte // the file's new text; nil removes the file
	IfMatch string // the hash that the directory has to have; "" for any
	Create  bool   // the file must not be there
}

// Edited is what came of an [Edit].
type Edited struct {
	Result         // once it is live; its Problems are those of all files
	File    string // that was written or removed
	Created bool   // it was not there before
}

// What an [Edit] may fail with, beside [ErrProblems].
var (
	ErrName     = errors.New("not a possible name of a route: letters, digits, dot, dash and underscore, 100 at most")
	ErrNoRoute  = errors.New("no such route")
	ErrNoMatch  = errors.New("the rule files are others by now")
	ErrReadOnly = errors.New("the rules directory cannot be written")
	ErrNotLive  = errors.New("written, but not live")
)

// codeRouteName is of a file whose route is not the one that it was put as.
const codeRouteName = "bad-name"

// liveIn bounds the wait for what was written to be in force.
const liveIn = 5 * time.Second

// Edit writes or removes a route's file, and returns once it is in force. The
// file is the one the route stands in, else one of its name. The directory as it
// would be is compiled first: if that has a problem, nothing is written, the
// error is [ErrProblems] and the problems are those of all files. Edits wait for
// each other. [Watcher.Run] has to run.
//
// A file is replaced by a rename, so that readers see the one text or the other,
// and keeps its mode. A symbolic link becomes a file.
func (w *Watcher) Edit(ctx context.Context, e Edit) (Edited, error) {
	name := rules.FileName(e.Route)
	if name == "" || strings.HasSuffix(e.Route, ".yaml") || strings.HasSuffix(e.Route, ".yml") {
		return Edited{}, ErrName
	}
	select {
	case w.editing <- struct{}{}:
		defer func() { <-w.editing }()
	case <-ctx.Done():
		return Edited{}, ctx.Err()
	}
	files, err := Read(w.dir)
	if err != nil {
		return Edited{}, err
	}
	if e.IfMatch != "" && e.IfMatch != rules.HashOf(files) {
		return Edited{}, ErrNoMatch
	}
	path := w.fileOf(e.Route, name, files)
	at, found := slices.BinarySearchFunc(files, path, func(f rules.File, path string) int { return strings.Compare(f.Name, path) })
	out := Edited{File: path, Created: !found}
	switch {
	case !found && e.Text == nil:
		return Edited{}, fmt.Errorf("%w: %s", ErrNoRoute, e.Route)
	case found && e.Create:
		return Edited{}, ErrNoMatch
	case e.Text == nil:
		files = slices.Delete(files, at, at+1)
	case found && bytes.Equal(files[at].Text, e.Text):
		return w.awaitLive(ctx, out, rules.HashOf(files))
	case found:
		files[at].Text = e.Text
	default:
		files = slices.Insert(files, at, rules.File{Name: path, Text: e.Text})
	}
	if out.Problems, err = w.wouldBe(files, path, e); err != nil {
		return out, err
	}
	if err := w.write(path, e.Text); err != nil {
		return out, err
	}
	return w.awaitLive(ctx, out, rules.HashOf(files))
}

// fileOf is the file that the route stands in, else the one of its name.
func (w *Watcher) fileOf(route, name string, files []rules.File) string {
	for _, r := range w.live.Load().Routes() {
		if file := r.Position().File; r.Name() == route && slices.ContainsFunc(files, func(f rules.File) bool { return f.Name == file }) {
			return file
		}
	}
	return filepath.Join(w.dir, name)
}

// wouldBe looks at the directory as e would make it.
func (w *Watcher) wouldBe(files []rules.File, path string, e Edit) ([]rules.Problem, error) {
	set, problems := w.build(files)
	if set == nil {
		return problems, ErrProblems
	}
	if e.Text == nil || rules.IsShared(rules.File{Name: path}) {
		return problems, nil
	}
	for _, r := range set.Routes() {
		if r.Position().File == path && r.Name() != e.Route {
			problems = append(problems, rules.Problem{
				Position: r.Position(), EndColumn: r.Position().Column + 1, Route: r.Name(), Path: "route", Code: codeRouteName,
				Message: fmt.Sprintf("the route is named %s, and was to be %s", r.Name(), e.Route),
				Hint:    "write route: " + e.Route,
			})
			document.Sort(problems)
			return problems, ErrProblems
		}
	}
	return problems, nil
}

// write puts text into path in one step, or removes path if text is nil.
func (w *Watcher) write(path string, text []byte) (err error) {
	if info, err := os.Lstat(filepath.Join(w.dir, "..data")); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%w: %s is a ConfigMap's: change the ConfigMap", ErrReadOnly, w.dir)
	}
	defer func() {
		for _, refused := range []error{fs.ErrPermission, syscall.EROFS} {
			if errors.Is(err, refused) {
				err = fmt.Errorf("%w: %w", ErrReadOnly, err)
				return
			}
		}
	}()
	if text == nil {
		return os.Remove(path)
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(w.dir, ".sluice-*.tmp") // the dot keeps it from being a rule file
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// awaitLive has the directory loaded until the files of that hash are in force,
// or something is in the way.
func (w *Watcher) awaitLive(ctx context.Context, out Edited, hash string) (Edited, error) {
	ctx, cancel := context.WithTimeout(ctx, liveIn)
	defer cancel()
	answer := make(chan Result, 1)
	for range 3 {
		select {
		case w.asked <- answer:
		case <-ctx.Done():
			return out, fmt.Errorf("%w: %w", ErrNotLive, ctx.Err())
		}
		out.Result = <-answer // Run answers whatever it has begun
		if out.Err != nil || out.Hash == hash {
			break
		}
	}
	switch {
	case out.Err != nil:
		return out, fmt.Errorf("%w: %w", ErrNotLive, out.Err)
	case out.Hash != hash:
		return out, fmt.Errorf("%w: somebody else is changing the directory", ErrNotLive)
	}
	return out, nil
}
