package protobuf

import "github.com/sluice-proxy/sluice/codec/internal/run"

// spot is what a node is on the wire. Offsets are in bytes of the message, and
// none is what is not there. The nodes of a message's fields are one behind the
// other, by the order of its place's children; of a map the nodes of its keys
// come before those of its entries.
type spot struct {
	start, value, end int32 // the record: its tag, what is behind the tag, its end
	body, bodyEnd     int32 // the fields of a message
	records           int32 // of a list or a map: the first node of its elements or entries, or 0
	keys              int32 // of a map: the first node of its keys, one behind the other, or 0
	record            int32 // of a key: the node of its entry
	from, to          int32 // where a touched element was written

	field   *field // nil if the message has none for the place
	once    uint64 // of a message: what it has of field.once
	element bool   // of a list, or an entry of a map
	packed  bool
	inMap   bool // it is of a key in a map
}

const none = run.None

// isList reports whether n is a list, not an element of one.
func isList(n *run.Node[spot]) bool { return n.Spot.field.list && !n.Spot.element }
