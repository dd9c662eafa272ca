package msgpack

import "encoding/binary"

// kind is what a value is, whatever the width of its form.
type kind uint8

const (
	kindNil kind = iota
	kindBool
	kindUint  // positive fixint, uint 8 to 64
	kindInt   // negative fixint, int 8 to 64
	kindFloat // 32 or 64
	kindStr
	kindBin
	kindArray
	kindMap
	kindExt
)

// head is what a value begins with. Of a number it is all of it.
type head struct {
	kind  kind
	form  byte   // the first byte; of a fix form without what it holds
	width int    // in bytes
	n     uint64 // the bits of a bool or number, the count of elements or members, or the bytes that follow
	ext   int8   // the type
}

// The first bytes that stand for more than one value.
const (
	formFixint  = 0x00
	formFixmap  = 0x80
	formFixarr  = 0x90
	formFixstr  = 0xa0
	formNil     = 0xc0
	formFalse   = 0xc2
	formTrue    = 0xc3
	formBin8    = 0xc4
	formExt8    = 0xc7
	formFloat32 = 0xca
	formFloat64 = 0xcb
	formUint8   = 0xcc
	formUint64  = 0xcf
	formInt8    = 0xd0
	formInt64   = 0xd3
	formFixext  = 0xd4
	formStr8    = 0xd9
	formStr16   = 0xda
	formArray16 = 0xdc
	formMap16   = 0xde
	formNegInt  = 0xe0
)

// forms are those from 0xc0 to 0xdf: what they are, and how many bytes their
// number or length takes.
var forms = [0x20]struct {
	kind  kind
	bytes uint8
}{
	0x00: {kindNil, 0}, 0x02: {kindBool, 0}, 0x03: {kindBool, 0},
	0x04: {kindBin, 1}, 0x05: {kindBin, 2}, 0x06: {kindBin, 4},
	0x07: {kindExt, 1}, 0x08: {kindExt, 2}, 0x09: {kindExt, 4},
	0x0a: {kindFloat, 4}, 0x0b: {kindFloat, 8},
	0x0c: {kindUint, 1}, 0x0d: {kindUint, 2}, 0x0e: {kindUint, 4}, 0x0f: {kindUint, 8},
	0x10: {kindInt, 1}, 0x11: {kindInt, 2}, 0x12: {kindInt, 4}, 0x13: {kindInt, 8},
	0x14: {kindExt, 0}, 0x15: {kindExt, 0}, 0x16: {kindExt, 0}, 0x17: {kindExt, 0}, 0x18: {kindExt, 0},
	0x19: {kindStr, 1}, 0x1a: {kindStr, 2}, 0x1b: {kindStr, 4},
	0x1c: {kindArray, 2}, 0x1d: {kindArray, 4},
	0x1e: {kindMap, 2}, 0x1f: {kindMap, 4},
}

// headAt reads the head of the value at pos, which is in text. It is false if
// text ends within it, or if its first byte is the one that stands for nothing.
func headAt(text string, pos int) (head, bool) {
	c := text[pos]
	switch {
	case c < formFixmap:
		return head{kind: kindUint, form: formFixint, width: 1, n: uint64(c)}, true
	case c < formFixarr:
		return head{kind: kindMap, form: formFixmap, width: 1, n: uint64(c & 0x0f)}, true
	case c < formFixstr:
		return head{kind: kindArray, form: formFixarr, width: 1, n: uint64(c & 0x0f)}, true
	case c < formNil:
		return head{kind: kindStr, form: formFixstr, width: 1, n: uint64(c & 0x1f)}, true
	case c >= formNegInt:
		return head{kind: kindInt, form: formNegInt, width: 1, n: uint64(int64(int8(c)))}, true
	case c == formNil+1:
		return head{}, false
	}
	f := forms[c-formNil]
	h := head{kind: f.kind, form: c, width: 1 + int(f.bytes)}
	if f.kind == kindExt {
		h.width++
	}
	if h.width > len(text)-pos {
		return head{}, false
	}
	h.n = number(text[pos+1 : pos+1+int(f.bytes)])
	switch f.kind {
	case kindBool:
		h.n = uint64(c - formFalse)
	case kindInt:
		unused := 64 - 8*uint(f.bytes)
		h.n = uint64(int64(h.n<<unused) >> unused)
	case kindExt:
		h.ext = int8(text[pos+h.width-1])
		if f.bytes == 0 {
			h.n = 1 << (c - formFixext)
		}
	}
	return h, true
}

// number reads 0, 1, 2, 4 or 8 bytes.
func number(s string) uint64 {
	switch len(s) {
	case 1:
		return uint64(s[0])
	case 2:
		return uint64(s[0])<<8 | uint64(s[1])
	case 4:
		return uint64(s[0])<<24 | uint64(s[1])<<16 | uint64(s[2])<<8 | uint64(s[3])
	case 8:
		return number(s[:4])<<32 | number(s[4:])
	}
	return 0
}

// appendNumber appends the low bytes of n: 1, 2, 4 or 8 of them.
func appendNumber(out []byte, n uint64, bytes int) []byte {
	switch bytes {
	case 1:
		return append(out, byte(n))
	case 2:
		return binary.BigEndian.AppendUint16(out, uint16(n))
	case 4:
		return binary.BigEndian.AppendUint32(out, uint32(n))
	}
	return binary.BigEndian.AppendUint64(out, n)
}

// payload is how many bytes follow the head and belong to the value itself.
func (h head) payload() uint64 {
	switch h.kind {
	case kindStr, kindBin, kindExt:
		return h.n
	}
	return 0
}

// children is how many values follow the head.
func (h head) children() uint64 {
	switch h.kind {
	case kindArray:
		return h.n
	case kindMap:
		return 2 * h.n
	}
	return 0
}
