package json

import (
	"encoding/binary"
	"math/bits"
)

// node is a value's place in a text. A tree of them is one slice in the order
// of the text: the children of a container follow it, each with its own.
type node struct {
	key, keyEnd int // the member's name with its quotes, if it is one
	start, end  int
	next        int // the index of the first node that is no part of this one
}

// packedNode is a node in half the room: a text has up to one for every two bytes.
type packedNode struct{ key, keyEnd, start, end, next int32 }

// index finds all values of a text that Decode accepted. The result may be in
// the place of nodes.
func index(text []byte, nodes []packedNode) []packedNode {
	if room := 16 + len(text)/8; cap(nodes) < room {
		nodes = make([]packedNode, 0, room)
	}
	x := indexer{text: text, nodes: nodes[:0]}
	x.pos = 0
	if len(text) >= len(bom) && string(text[:len(bom)]) == bom {
		x.pos = len(bom)
	}
	x.space()
	x.value(node{})
	return x.nodes
}

type indexer struct {
	text  []byte
	pos   int
	nodes []packedNode
}

func (x *indexer) space() {
	for x.pos < len(x.text) && x.text[x.pos] <= ' ' {
		x.pos++
	}
}

func (x *indexer) value(n node) {
	at := len(x.nodes)
	x.nodes = append(x.nodes, packedNode{key: int32(n.key), keyEnd: int32(n.keyEnd), start: int32(x.pos)})
	switch x.text[x.pos] {
	case '{', '[':
		x.container()
	case '"':
		x.string()
	default:
		for x.pos < len(x.text) && !endsScalar(x.text[x.pos]) {
			x.pos++
		}
	}
	x.nodes[at].end, x.nodes[at].next = int32(x.pos), int32(len(x.nodes))
}

func endsScalar(c byte) bool { return c <= ' ' || c == ',' || c == ']' || c == '}' }

func (x *indexer) container() {
	object := x.text[x.pos] == '{'
	for {
		x.pos++ // the bracket, or a comma
		x.space()
		if c := x.text[x.pos]; c == '}' || c == ']' {
			break
		}
		var n node
		if object {
			n.key = x.pos
			x.string()
			n.keyEnd = x.pos
			x.space()
			x.pos++ // the colon
			x.space()
		}
		x.value(n)
		x.space()
		if x.text[x.pos] != ',' {
			break
		}
	}
	x.pos++
}

func (x *indexer) string() {
	i := x.pos + 1
	for i+8 <= len(x.text) {
		mark := marks(binary.LittleEndian.Uint64(x.text[i:]))
		if mark == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(mark) >> 3
		switch x.text[i] {
		case '"':
			x.pos = i + 1
			return
		case '\\':
			i++
		}
		i++
	}
	for ; x.text[i] != '"'; i++ {
		if x.text[i] == '\\' {
			i++
		}
	}
	x.pos = i + 1
}
