package csv

import (
	"maps"
	"slices"

	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// columns are those of the text that is written.
type columns struct {
	list    []column
	changed bool // against those that were read
	added   bool
}

// column is one that was there, by its position, or a new one at -1.
type column struct {
	old  int
	name string
}

// plan returns the columns that the text has after an edit.
func (h *head) plan(c Codec, before, after []any) (columns, error) {
	seen := make([]bool, len(h.names))
	added := make(map[string]bool)
	for i, row := range after {
		row, ok := row.(map[string]any)
		if !ok {
			return columns{}, value.Within(value.Index(i), c.inexpressible("a row is an object, and "+value.TypeName(after[i])+" is none"))
		}
		for name := range row {
			if at, ok := h.index[name]; ok {
				seen[at] = true
				continue
			}
			if name == "" {
				return columns{}, value.Within(value.Index(i), value.Within(value.Key(name), c.inexpressible("a column needs a name")))
			}
			added[name] = true
		}
	}
	widest := 0
	for _, row := range before {
		widest = max(widest, len(row.(map[string]any)))
	}
	stay := func(i int) bool { return seen[i] || i >= widest || len(after) == 0 }
	cols := columns{added: len(added) > 0}
	for i, name := range h.names {
		if stay(i) {
			cols.list = append(cols.list, column{i, name})
		}
	}
	if len(cols.list) == 0 && len(added) == 0 && len(h.names) > 0 {
		return h.unchanged(), nil
	}
	cols.changed = cols.added || len(cols.list) < len(h.names)
	for _, name := range slices.Sorted(maps.Keys(added)) {
		cols.list = append(cols.list, column{-1, name})
	}
	return cols, nil
}

// unchanged are the columns as they were read.
func (h *head) unchanged() columns {
	cols := columns{list: make([]column, len(h.names))}
	for i, name := range h.names {
		cols.list[i] = column{i, name}
	}
	return cols
}

// count is how many of the columns a row has that had cells before, and is now
// row. One that was short stays so, but for what it is given.
func (c *columns) count(h *head, cells int, row map[string]any) int {
	if c.added && cells >= len(h.cells) {
		return len(c.list)
	}
	n := 0
	for i, col := range c.list {
		if col.old >= 0 && col.old < cells || row[col.name] != nil {
			n = i + 1
		}
	}
	return n
}

// widthOfNew is how many columns a new row has: all that the header has, and
// beyond it what it is given.
func (c *columns) widthOfNew(h *head, row map[string]any) int {
	n := 0
	for i, col := range c.list {
		if col.old < len(h.cells) || row[col.name] != nil {
			n = i + 1
		}
	}
	return n
}
