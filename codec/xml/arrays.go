package xml

import "strings"

// paths is a tree of the elements that are always arrays, by the parts between
// the dots of their paths. The nil tree is empty.
type paths struct {
	below map[string]*paths
	array bool
}

func pathsOf(list []string) *paths {
	if len(list) == 0 {
		return nil
	}
	root := &paths{}
	for _, path := range list {
		p := root
		for part := range strings.SplitSeq(path, ".") {
			next := p.below[part]
			if next == nil {
				next = &paths{}
				if p.below == nil {
					p.below = make(map[string]*paths)
				}
				p.below[part] = next
			}
			p = next
		}
		p.array = true
	}
	return root
}

// child is what p says of the children of the element name.
func (p *paths) child(name string) *paths {
	for p != nil {
		part, rest, more := strings.Cut(name, ".")
		p = p.below[part]
		if !more {
			break
		}
		name = rest
	}
	return p
}

func (p *paths) isArray() bool { return p != nil && p.array }
