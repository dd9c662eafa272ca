package msgpack

// node is a value's place in a document. A tree of them is one slice in the
// order of the document: the children of a container follow it, each with its
// own. An ext has none.
type node struct {
	key        int32 // where the member's key begins, which ends at start
	start, end int32
	next       int32 // the index of the first node that is no part of this one
}

// index finds all values of a document that Decode accepted.
func index(text string) []node {
	x := indexer{text: text, nodes: make([]node, 0, 16+len(text)/4)}
	x.value(0)
	return x.nodes
}

type indexer struct {
	text  string
	pos   int
	nodes []node
}

func (x *indexer) value(key int) {
	at := len(x.nodes)
	x.nodes = append(x.nodes, node{key: int32(key), start: int32(x.pos)})
	h := x.head()
	for range h.children() / h.perChild() {
		key := x.pos
		if h.kind == kindMap {
			x.head()
		}
		x.value(key)
	}
	x.nodes[at].end, x.nodes[at].next = int32(x.pos), int32(len(x.nodes))
}

// perChild is how many values each child takes.
func (h head) perChild() uint64 {
	if h.kind == kindMap {
		return 2
	}
	return 1
}

// head passes the next head and the bytes that belong to it.
func (x *indexer) head() head {
	h, _ := headAt(x.text, x.pos)
	x.pos += h.width + int(h.payload())
	return h
}
