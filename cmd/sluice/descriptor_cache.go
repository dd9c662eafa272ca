package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/config"
	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/protobuf"
)

// newReflection makes who asks servers about their methods. The caller closes it.
func newReflection(cfg config.Reflection, log *slog.Logger) (*protobuf.Reflection, error) {
	with := protobuf.ReflectionConfig{TTL: cfg.TTL}
	if cfg.Cache != "" {
		cache, err := openDescriptorCache(cfg.Cache, log)
		if err != nil {
			return nil, err
		}
		with.Store = cache
	}
	return protobuf.NewReflection(with), nil
}

// descriptorCache keeps what servers say of themselves in a directory, a file
// for each. Two sidecars may share it: a file is replaced as a whole, and is
// taken for what it is only with its own digest in it, from the own user. It
// tells people of a file that it cannot use, once. Its methods are called one at
// a time.
type descriptorCache struct {
	dir  string
	log  *slog.Logger
	told map[string]bool // what people were told of, by file; "" for the directory

	files int         // 1000: the most that are kept
	size  codec.Bytes // 128 MiB: of all of them
}

var _ protobuf.Store = (*descriptorCache)(nil)

const (
	cacheSuffix = ".descriptors"
	cachePrefix = ".new-" // of a file that is being written
	cacheMagic  = "sluice descriptors 1\n"
	cacheFile   = 16 * codec.MiB // the largest file that is read
)

// openDescriptorCache makes dir if it is not there, and throws out what a
// process left that did not come to the end of its writing.
func openDescriptorCache(dir string, log *slog.Logger) (*descriptorCache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("reflection.cache: %w", err)
	}
	if err := unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return nil, fmt.Errorf("reflection.cache: %s: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reflection.cache: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), cachePrefix) && time.Since(info.ModTime()) > time.Hour {
			_ = os.Remove(filepath.Join(dir, e.Name())) // it may be another's by now
		}
	}
	return &descriptorCache{dir: dir, log: log, told: make(map[string]bool), files: 1000, size: 128 * codec.MiB}, nil
}

// Load implements [protobuf.Store].
func (c *descriptorCache) Load(key string) ([]byte, error) {
	name := cacheName(key)
	data, err := c.read(name, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		c.tell(name, "descriptor cache: a file is not used", err)
		return nil, err
	}
	now := time.Now()
	_ = os.Chtimes(filepath.Join(c.dir, name), now, now) // it was used: others make way first
	return data, nil
}

// Save implements [protobuf.Store].
func (c *descriptorCache) Save(key string, record []byte) error {
	name := cacheName(key)
	if err := c.write(name, sealed(key, record)); err != nil {
		c.tell("", "descriptor cache: nothing is kept", err)
		return err
	}
	delete(c.told, "")
	delete(c.told, name)
	c.makeRoom(name)
	return nil
}

func cacheName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:16]) + cacheSuffix
}

// sealed is the content of a file: the magic with its version, the digest of the
// rest, the key, a NUL and the record.
func sealed(key string, record []byte) []byte {
	rest := append(append([]byte(key), 0), record...)
	sum := sha256.Sum256(rest)
	return append(append([]byte(cacheMagic), sum[:]...), rest...)
}

// unsealed is the record in a file.
func unsealed(key string, file []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(file, []byte(cacheMagic))
	if !ok || len(rest) < sha256.Size {
		return nil, errors.New("of another kind or version")
	}
	sum, rest := rest[:sha256.Size], rest[sha256.Size:]
	if is := sha256.Sum256(rest); !bytes.Equal(is[:], sum) {
		return nil, errors.New("damaged")
	}
	record, ok := bytes.CutPrefix(rest, append([]byte(key), 0))
	if !ok {
		return nil, errors.New("of another server")
	}
	return record, nil
}

// read reads a file of this user's own. Whoever else may write to the directory
// must not say what messages mean.
func (c *descriptorCache) read(name, key string) ([]byte, error) {
	f, err := os.OpenFile(filepath.Join(c.dir, name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return nil, err
	}
	switch {
	case stat.Mode&unix.S_IFMT != unix.S_IFREG || int(stat.Uid) != os.Geteuid() || stat.Mode&0o022 != 0:
		return nil, errors.New("not a file that only this user can write")
	case stat.Size > int64(cacheFile):
		return nil, errors.New("too large")
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(cacheFile)))
	if err != nil {
		return nil, err
	}
	return unsealed(key, data)
}

// write replaces a file. What a power cut leaves of it is damaged at worst.
func (c *descriptorCache) write(name string, content []byte) error {
	f, err := os.CreateTemp(c.dir, cachePrefix) // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), filepath.Join(c.dir, name)); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// makeRoom removes the files that were not used for longest until the rest is
// within bounds. The one of that name stays.
func (c *descriptorCache) makeRoom(name string) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return // the next Save tells of it
	}
	var kept []fs.FileInfo
	size := codec.Bytes(0)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasSuffix(e.Name(), cacheSuffix) || !info.Mode().IsRegular() {
			continue
		}
		kept = append(kept, info)
		size += codec.Bytes(info.Size())
	}
	slices.SortFunc(kept, func(a, b fs.FileInfo) int { return cmp.Compare(a.ModTime().UnixNano(), b.ModTime().UnixNano()) })
	left := len(kept)
	for _, info := range kept {
		if left <= c.files && size <= c.size {
			return
		}
		if info.Name() == name {
			continue
		}
		if os.Remove(filepath.Join(c.dir, info.Name())) == nil {
			delete(c.told, info.Name())
		}
		left--
		size -= codec.Bytes(info.Size())
	}
}

// tell logs what is wrong with a file, once until it is right again.
func (c *descriptorCache) tell(name, message string, err error) {
	if c.told[name] || len(c.told) >= 2*c.files {
		return
	}
	c.told[name] = true
	c.log.Warn(message, "file", filepath.Join(c.dir, name), "error", err)
}
