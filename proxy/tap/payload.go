package tap

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/proxy"
)

// How a payload's codec is packed.
const (
	codecNone byte = iota
	codecJSON
	codecRef

	// May be added to one of them.
	isLike      byte = 1 << 5 // only what differs from another payload is packed
	wasRedacted byte = 1 << 6
	wasWithheld byte = 1 << 7
)

// payload packs l. What it has in common with like, bytes that were packed before
// it, is not packed again: edits are mostly small.
func (p *packer) payload(l *proxy.Payload, like []byte) {
	kind := codecNone
	switch l.Codec {
	case nil:
	case codec.Codec(json.Codec{}):
		kind = codecJSON
	default:
		kind = codecRef
		p.ref(l.Codec, 0)
	}
	if l.Redacted != 0 {
		kind |= wasRedacted
	}
	if l.Withheld != "" {
		kind |= wasWithheld
	}
	text, before, behind := l.Bytes, 0, 0
	if len(text) >= lendFrom && len(like) > 0 {
		before = sameBefore(text, like)
		behind = sameBehind(text[before:], like[before:])
		text = text[before : len(text)-behind]
		kind |= isLike
	}
	b := append(p.buf, kind)
	b = binary.AppendVarint(b, l.Size)
	if l.Redacted != 0 {
		b = binary.AppendVarint(b, l.Redacted)
	}
	if l.Withheld != "" {
		b = putString(b, l.Withheld)
	}
	b = p.words.put(b, l.Encoding)
	if kind&isLike != 0 {
		b = binary.AppendUvarint(b, uint64(before))
		b = binary.AppendUvarint(b, uint64(behind))
	}
	b = binary.AppendUvarint(b, uint64(len(text)))
	if len(text) >= lendFrom {
		p.lent = append(p.lent, lent{len(b), text})
		p.far += len(text)
	} else {
		b = append(b, text...)
	}
	p.buf = b
}

// payload is what [packer.payload] packed, with the same like.
func (u *unpacker) payload(like []byte) proxy.Payload {
	var l proxy.Payload
	kind := u.byte()
	switch kind &^ (isLike | wasRedacted | wasWithheld) {
	case codecJSON:
		l.Codec = json.Codec{}
	case codecRef:
		l.Codec = u.ref().(codec.Codec)
	}
	l.Size = u.int()
	if kind&wasRedacted != 0 {
		l.Redacted = u.int()
	}
	if kind&wasWithheld != 0 {
		l.Withheld = u.string()
	}
	l.Encoding = u.word()
	before, behind := 0, 0
	if kind&isLike != 0 {
		before, behind = int(u.uint()), int(u.uint())
	}
	text := u.string()
	switch {
	case kind&isLike != 0:
		l.Bytes = slices.Concat(like[:before], []byte(text), like[len(like)-behind:])
	case text != "":
		l.Bytes = []byte(text)
	}
	return l
}

// stride is how many bytes are compared at a time.
const stride = 256

// sameBefore is how many bytes a and b begin with that are the same.
func sameBefore(a, b []byte) (n int) {
	for n+stride <= min(len(a), len(b)) && bytes.Equal(a[n:n+stride], b[n:n+stride]) {
		n += stride
	}
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// sameBehind is how many bytes a and b end with that are the same.
func sameBehind(a, b []byte) (n int) {
	for n+stride <= min(len(a), len(b)) && bytes.Equal(a[len(a)-n-stride:len(a)-n], b[len(b)-n-stride:len(b)-n]) {
		n += stride
	}
	for n < min(len(a), len(b)) && a[len(a)-n-1] == b[len(b)-n-1] {
		n++
	}
	return n
}
