package csv

import (
	"maps"
	"slices"
	"sort"

	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// columns are those of the text that is written. What it costs to write a row is
// up to its cells, not up to theirs.
type columns struct {
	list    []column // those that were there, in their order, and then new ones
	places  map[string]int
	old     int  // how many were there
	full    int  // how many the header row has
	changed bool // against those that were read
}

// column is one that was there, by its position, or a new one at -1.
type column struct {
	old  int
	name string
}

func (c *columns) add(col column) {
	c.places[col.name] = len(c.list)
	c.list = append(c.list, col)
}

// added reports whether there are new columns.
func (c *columns) added() bool { return c.old < len(c.list) }

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
	cols := columns{places: make(map[string]int, len(h.names)+len(added))}
	for i, name := range h.names {
		if stay(i) {
			cols.add(column{i, name})
		}
	}
	if len(cols.list) == 0 && len(added) == 0 && len(h.names) > 0 {
		return h.unchanged(), nil
	}
	cols.old = len(cols.list)
	cols.changed = len(added) > 0 || cols.old < len(h.names)
	cols.full = cols.before(len(h.cells))
	if cols.old > 0 && cols.moved(cols.old-1) {
		cols.full = cols.old // with names for cells that had none
	}
	for _, name := range slices.Sorted(maps.Keys(added)) {
		cols.add(column{-1, name})
		cols.full = len(cols.list)
	}
	return cols, nil
}

// unchanged are the columns as they were read.
func (h *head) unchanged() columns {
	cols := columns{places: make(map[string]int, len(h.names)), full: len(h.cells)}
	for i, name := range h.names {
		cols.add(column{i, name})
	}
	cols.old = len(cols.list)
	return cols
}

// moved reports whether column i was elsewhere, so that a name that it has by its
// position must be written out.
func (c *columns) moved(i int) bool { return c.list[i].old != i }

// before is how many columns there are of those before the old position.
func (c *columns) before(old int) int {
	return sort.Search(c.old, func(i int) bool { return c.list[i].old >= old })
}

// count is how many of the columns a row has that had cells before, and is now
// row. One that was short stays so, but for what it is given.
func (c *columns) count(h *head, cells int, row map[string]any) int {
	if c.added() && cells >= len(h.cells) {
		return len(c.list)
	}
	return c.reach(c.before(cells), row)
}

// widthOfNew is how many columns a new row has: all that the header has, and
// beyond it what it is given.
func (c *columns) widthOfNew(row map[string]any) int { return c.reach(c.full, row) }

// reach is n, or more if row has a value for a later column.
func (c *columns) reach(n int, row map[string]any) int {
	for name, v := range row {
		if at, ok := c.places[name]; ok && v != nil {
			n = max(n, at+1)
		}
	}
	return n
}
