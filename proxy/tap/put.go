package tap

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/rules"
)

// How a head is packed.
const (
	headNone byte = iota
	headAnswer
	headAny
)

func putHead(b []byte, h *rules.Head) []byte {
	switch {
	case h == nil:
		return append(b, headNone)
	case h.Status > 0 && h.Status < 1<<16 && h.Method == "" && h.Path == "" && h.Query == "" && h.Host == "":
		b = append(b, headAnswer, byte(h.Status), byte(h.Status>>8))
	default:
		b = append(b, headAny)
		b = putString(b, h.Method)
		b = putString(b, h.Path)
		b = putString(b, h.Query)
		b = putString(b, h.Host)
		b = binary.AppendVarint(b, int64(h.Status))
	}
	return putFields(b, h.Fields)
}

// putFields makes room once for all: most of an event are header lines.
func putFields(b []byte, f rules.Fields) []byte {
	b = binary.AppendUvarint(b, uint64(len(f)))
	size := 0
	for i := range f {
		size += len(f[i].Name) + len(f[i].Value) + 2*binary.MaxVarintLen32
	}
	b = slices.Grow(b, size)
	at, to := len(b), b[:cap(b)]
	for i := range f {
		name, value := f[i].Name, f[i].Value
		if len(name) >= 0x80 || len(value) >= 0x80 {
			b = putString(putString(to[:at], name), value)
			at = len(b)
			continue
		}
		to[at] = byte(len(name))
		at += 1 + copy(to[at+1:], name)
		to[at] = byte(len(value))
		at += 1 + copy(to[at+1:], value)
	}
	return to[:at]
}

// putAddress packs what netip tells apart: the family, the zone, and an
// address that is none.
func putAddress(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr()
	switch {
	case !ip.IsValid():
		b = append(b, 0)
	case ip.Is4():
		four := ip.As4()
		b = append(append(b, 4), four[:]...)
	default:
		sixteen := ip.As16()
		b = append(append(b, 16), sixteen[:]...)
		b = putString(b, ip.Zone())
	}
	return binary.LittleEndian.AppendUint16(b, a.Port())
}

func putTime(b []byte, t time.Time) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Unix()))
	return binary.LittleEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

func putString(b []byte, s string) []byte {
	if len(s) < 0x80 {
		b = append(b, byte(len(s)))
	} else {
		b = binary.AppendUvarint(b, uint64(len(s)))
	}
	return append(b, s...)
}

func putBytes(b, s []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
