package watch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/document"
)

// Read reads the rule files of dir in the order of their names: all that end
// in .yaml, or in .yml, which package rules has a problem with. Names that
// begin with a dot are left out: editors and Kubernetes keep their own there. Of
// a file that is too large no more is read than shows that.
func Read(dir string) ([]rules.File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	var files []rules.File
	for _, e := range entries {
		if !isRuleFile(e.Name()) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		text, err := ReadFile(path)
		if errors.Is(err, errDirectory) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		files = append(files, rules.File{Name: path, Text: text})
	}
	return files, nil
}

func isRuleFile(name string) bool {
	return !strings.HasPrefix(name, ".") && (strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml"))
}

var errDirectory = errors.New("is a directory")

// ReadFile reads one rule file, or sluice.yaml. It refuses what is no regular
// file, whose reading might never end.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s: %w", path, errDirectory)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, document.MaxSize+1))
}

// signature changes whenever a rule file of dir was changed, replaced, added or
// removed, as far as the file system tells without reading.
func signature(dir string) string {
	var s strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err.Error()
	}
	s.WriteString(dir)
	for _, e := range entries {
		if !isRuleFile(e.Name()) {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil {
			fmt.Fprintln(&s, e.Name(), errors.Is(err, fs.ErrNotExist))
			continue
		}
		fmt.Fprintln(&s, e.Name(), info.Size(), info.ModTime().UnixNano(), info.Mode())
	}
	return s.String()
}
