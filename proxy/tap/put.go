package tap

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/sluice-proxy/sluice/rules"
)

// How a head is packed.
const (
	headNone byte = iota
	headAnswer
	headAny
)

func (l *lexicon) putHead(b []byte, h *rules.Head) []byte {
	switch {
	case h == nil:
		return append(b, headNone)
	case h.Status > 0 && h.Status < 1<<16 && h.Method == "" && h.Path == "" && h.Query == "" && h.Host == "":
		b = append(b, headAnswer, byte(h.Status), byte(h.Status>>8))
	default:
		b = append(b, headAny)
		b = l.put(b, h.Method)
		b = putString(b, h.Path)
		b = putString(b, h.Query)
		b = putString(b, h.Host)
		b = binary.AppendVarint(b, int64(h.Status))
	}
	return l.putFields(b, h.Fields)
}

func (l *lexicon) putFields(b []byte, f rules.Fields) []byte {
	b = binary.AppendUvarint(b, uint64(len(f)))
	for i := range f {
		b = l.put(b, f[i].Name)
		b = putString(b, f[i].Value)
	}
	return b
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
