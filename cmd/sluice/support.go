package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy/telemetry"
)

// newLogger logs lines for people on a terminal, else JSON.
func newLogger(w *telemetry.Writer, stderr io.Writer, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if isTerminal(stderr) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// loadDescriptors reads descriptor sets (.binpb) and .proto files, and those in
// directories, whole trees of them. A .proto is named as imports name it: by
// its path below the directory.
func loadDescriptors(paths []string) (*protobuf.Files, error) {
	var files []protobuf.File
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("descriptors: %w", err)
		}
		if !info.IsDir() {
			data, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("descriptors: %w", err)
			}
			files = append(files, protobuf.File{Name: filepath.Base(path), Data: data})
			continue
		}
		tree := os.DirFS(path)
		err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(name) != ".binpb" && filepath.Ext(name) != ".proto" {
				return err
			}
			data, err := fs.ReadFile(tree, name)
			files = append(files, protobuf.File{Name: name, Data: data})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("descriptors: %w", err)
		}
	}
	loaded, err := protobuf.NewFiles(files...)
	if err != nil {
		return nil, fmt.Errorf("descriptors: %w", err)
	}
	return loaded, nil
}

// usableSocket is path if a socket can be made there, else one of this user's
// own directories: the default belongs to root.
func usableSocket(path string) string {
	if path == "" || usableDir(filepath.Dir(path)) {
		return path
	}
	return ownSocket()
}

// usableDir makes dir if it is not there, and reports whether this process may
// write to it.
func usableDir(dir string) bool {
	if err := os.MkdirAll(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return false
	}
	return unix.Access(dir, unix.W_OK|unix.X_OK) == nil
}
