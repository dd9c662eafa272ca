package iptables

import (
	"slices"
	"strings"
)

// parseSave reads from iptables-save's output what is ours: chains by name, and
// the jumps to them from the chains of others.
func parseSave(saved string) map[Table]xtTable {
	tables := map[Table]xtTable{}
	var name Table
	for line := range strings.Lines(saved) {
		line = strings.TrimSpace(line)
		table := tables[name]
		switch {
		case strings.HasPrefix(line, "*"):
			name = Table(line[1:])
			table = tables[name]
			table.name = name
		case strings.HasPrefix(line, ":"+xtPrefix):
			chain, _, _ := strings.Cut(line[1:], " ")
			table.chains = append(table.chains, chain)
		case strings.HasPrefix(line, "-A "+xtPrefix):
			table.rules = append(table.rules, line)
		case strings.HasPrefix(line, "-A ") && jumpsToOurs(line):
			table.jumps = append(table.jumps, line)
		}
		tables[name] = table
	}
	return tables
}

// jumpsToOurs looks at the target, which save prints last for a plain jump.
func jumpsToOurs(line string) bool {
	words := strings.Fields(line)
	n := len(words)
	return n >= 2 && (words[n-2] == "-j" || words[n-2] == "-g") && strings.HasPrefix(words[n-1], xtPrefix)
}

// equal compares with what was found in the kernel, which keeps its own order
// of chains. Where in its chain a jump stands is for others to decide later.
func (wanted xtTable) equal(found xtTable) bool {
	return slices.Equal(sorted(wanted.chains), sorted(found.chains)) &&
		slices.Equal(sorted(wanted.jumps), sorted(found.jumps)) &&
		slices.Equal(byChain(wanted.rules), byChain(found.rules))
}

func sorted(lines []string) []string { return slices.Sorted(slices.Values(lines)) }

// byChain sorts rules by their chain and keeps their order within it.
func byChain(rules []string) []string {
	chain := func(rule string) string { return strings.Fields(rule)[1] }
	return slices.SortedStableFunc(slices.Values(rules), func(a, b string) int { return strings.Compare(chain(a), chain(b)) })
}
