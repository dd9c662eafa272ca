package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
)

func newCache(t *testing.T, dir string) (*descriptorCache, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	c, err := openDescriptorCache(dir, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return c, log
}

func TestDescriptorCacheKeepsARecordForEachServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "for it")
	c, _ := newCache(t, dir)
	for i := range 3 {
		for _, text := range []string{"old", fmt.Sprintf("record %d", i)} {
			if err := c.Save(fmt.Sprintf("inbound 10.0.0.%d:80", i), []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	again, log := newCache(t, dir)
	for i := range 3 {
		data, err := again.Load(fmt.Sprintf("inbound 10.0.0.%d:80", i))
		if err != nil || string(data) != fmt.Sprintf("record %d", i) {
			t.Errorf("server %d: %q, %v", i, data, err)
		}
	}
	if data, err := again.Load("outbound 10.0.0.1:80"); data != nil || err != nil || log.Len() > 0 {
		t.Errorf("a server that was never saved: %q, %v, log %s", data, err, log)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d files, want 3: %v, %v", len(entries), entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v, want 0600", e.Name(), info.Mode(), err)
		}
	}
}

func TestDescriptorCacheIgnoresBadFiles(t *testing.T) {
	const key = "inbound 10.0.0.1:80"
	good := sealed(key, []byte("record"))
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	for name, spoil := range map[string]func(path string) error{
		"empty":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"cut":     func(path string) error { return os.WriteFile(path, good[:len(good)-1], 0o600) },
		"flipped": func(path string) error { return os.WriteFile(path, flipped, 0o600) },
		"noise":   func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("x"), 1000), 0o600) },
		"another version": func(path string) error {
			return os.WriteFile(path, bytes.Replace(good, []byte("1"), []byte("2"), 1), 0o600)
		},
		"another server": func(path string) error {
			return os.WriteFile(path, sealed("inbound 10.0.0.2:80", []byte("record")), 0o600)
		},
		"writable by others": func(path string) error {
			return errors.Join(os.WriteFile(path, good, 0o600), os.Chmod(path, 0o666))
		},
		"a link": func(path string) error {
			return errors.Join(os.WriteFile(path+"x", good, 0o600), os.Symlink(path+"x", path))
		},
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"too large": func(path string) error {
			return errors.Join(os.WriteFile(path, good, 0o600), os.Truncate(path, int64(cacheFile)+1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, log := newCache(t, t.TempDir())
			path := filepath.Join(c.dir, cacheName(key))
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if data, err := c.Load(key); err == nil {
					t.Errorf("loaded %q", data)
				}
			}
			if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), cacheName(key)) {
				t.Errorf("logged %d lines, want one that names the file: %s", n, log)
			}
			if name == "a directory" {
				return // which is not ours to replace
			}
			if err := c.Save(key, []byte("record")); err != nil {
				t.Fatal(err)
			}
			if data, err := c.Load(key); err != nil || string(data) != "record" {
				t.Errorf("after it was saved again: %q, %v", data, err)
			}
		})
	}
}

func TestDescriptorCacheIsBounded(t *testing.T) {
	c, _ := newCache(t, t.TempDir())
	c.files, c.size = 3, 4*codec.KiB
	key := func(i int) string { return fmt.Sprintf("inbound 10.0.0.%d:80", i) }
	kept := func() string {
		var s strings.Builder
		for i := range 9 {
			if _, err := os.Stat(filepath.Join(c.dir, cacheName(key(i)))); err == nil {
				fmt.Fprint(&s, i)
			}
		}
		return s.String()
	}
	age := func(i, hours int) {
		t.Helper()
		at := time.Now().Add(-time.Duration(hours) * time.Hour)
		if err := os.Chtimes(filepath.Join(c.dir, cacheName(key(i))), at, at); err != nil {
			t.Fatal(err)
		}
	}
	save := func(i, size int) {
		t.Helper()
		if err := c.Save(key(i), make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		save(i, 10)
		age(i, 10-i)
	}
	if _, err := c.Load(key(0)); err != nil { // used, and so the youngest
		t.Fatal(err)
	}
	save(3, 10)
	if got := kept(); got != "023" {
		t.Errorf("by number: kept %s, want 023", got)
	}
	age(0, 1)
	age(3, 2)
	save(2, 3900)
	if got := kept(); got != "02" {
		t.Errorf("by size: kept %s, want 02", got)
	}
	save(5, 10_000)
	if got := kept(); got != "5" {
		t.Errorf("one that is too large alone: kept %s, want 5", got)
	}
}

func TestDescriptorCacheThatCannotBeWrittenSaysSoOnce(t *testing.T) {
	c, log := newCache(t, t.TempDir())
	dir := c.dir
	c.dir = filepath.Join(dir, "gone")
	for range 3 {
		if err := c.Save("k", nil); err == nil {
			t.Error("saved into a directory that is not there")
		}
	}
	c.dir = dir
	if err := c.Save("k", nil); err != nil {
		t.Error(err)
	}
	c.dir = filepath.Join(dir, "gone")
	if err := c.Save("k", nil); err == nil {
		t.Error("saved into a directory that is not there")
	}
	if n := strings.Count(log.String(), "nothing is kept"); n != 2 {
		t.Errorf("told %d times, want once for each time that it broke: %s", n, log)
	}
}

func TestDescriptorCacheClearsUnfinishedFiles(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{".new-1": 2 * time.Hour, ".new-2": 0, "other": 2 * time.Hour} {
		path, at := filepath.Join(dir, name), time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	newCache(t, dir)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != ".new-2" || entries[1].Name() != "other" {
		t.Errorf("left %v, %v", entries, err)
	}
}

func TestDescriptorCacheNeedsADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := openDescriptorCache(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "reflection.cache") {
			t.Errorf("%s: got %v", dir, err)
		}
	}
}
