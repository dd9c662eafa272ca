package value

// Member is a member of an object that is written onto its original text.
type Member struct {
	Node    int // what its codec knows it by
	Name    string
	Dropped bool // it leaves
	Settled bool // it stays as it is
}

// DropShadowed settles the names that occur more than once in members. Where the
// edit touches such a name, all but its last member are dropped: a masked value
// must not survive in a member that jq did not see and another reader may prefer.
func (p *Pairer) DropShadowed(members []Member, before, after map[string]any) {
	count := make(map[string]int, len(before))
	for _, m := range members {
		count[m.Name]++
	}
	untouched := make(map[string]bool)
	for name, n := range count {
		v, ok := after[name]
		untouched[name] = n > 1 && ok && p.Equal(before[name], v)
	}
	for i := range members {
		m := &members[i]
		count[m.Name]--
		m.Settled = untouched[m.Name]
		m.Dropped = count[m.Name] > 0 && !m.Settled
	}
}
