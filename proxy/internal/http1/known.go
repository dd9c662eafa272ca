package http1

import (
	"bytes"
	"math"
)

// FieldKind tells the fields apart that this package looks at.
type FieldKind uint8

// The kinds. All fields that are not named here are Other.
const (
	Other FieldKind = iota
	Host
	Connection
	ContentLength
	TransferEncoding
	UpgradeField
	Expect
	TE
	Trailer
	KeepAlive
	ProxyConnection
	HTTP2Settings

	kinds = iota
)

// hop reports whether fields of kind k always concern one connection only.
// Proxy-Authorization stays: whoever sends one through a transparent sidecar
// means a proxy behind it.
func (k FieldKind) hop() bool {
	switch k {
	case Connection, ContentLength, TransferEncoding, UpgradeField, Trailer, KeepAlive, ProxyConnection, HTTP2Settings:
		return true
	}
	return false
}

func kindOf(name []byte) FieldKind {
	switch len(name) {
	case 2:
		return kindIf(name, "te", TE)
	case 4:
		return kindIf(name, "host", Host)
	case 6:
		return kindIf(name, "expect", Expect)
	case 7:
		if lower(name[0]) == 'u' {
			return kindIf(name, "upgrade", UpgradeField)
		}
		return kindIf(name, "trailer", Trailer)
	case 10:
		if lower(name[0]) == 'c' {
			return kindIf(name, "connection", Connection)
		}
		return kindIf(name, "keep-alive", KeepAlive)
	case 14:
		if lower(name[0]) == 'c' {
			return kindIf(name, "content-length", ContentLength)
		}
		return kindIf(name, "http2-settings", HTTP2Settings)
	case 16:
		return kindIf(name, "proxy-connection", ProxyConnection)
	case 17:
		return kindIf(name, "transfer-encoding", TransferEncoding)
	}
	return Other
}

func kindIf(name []byte, lower string, k FieldKind) FieldKind {
	if equalFold(name, lower) {
		return k
	}
	return Other
}

// know takes in f, which is the last field and of a kind that matters. It
// returns why f is refused, or "".
func (h *Head) know(f *Field) (reason string) {
	again := h.at[f.Kind] != 0
	h.at[f.Kind] = uint16(min(len(h.Fields), math.MaxUint16))
	switch f.Kind {
	case Host:
		if again {
			return reasonTwoHosts
		}
	case ContentLength:
		if again || bytes.IndexByte(f.Value, ',') >= 0 {
			return reasonTwoLengths
		}
		n, ok := parseLength(f.Value)
		if !ok {
			return reasonLength
		}
		h.Length = n
	case TransferEncoding:
		switch {
		case again || h.Minor == 0:
			return reasonTransferEncoding
		case !equalFold(f.Value, "chunked"):
			return reasonCoding
		}
	case Connection:
		return h.knowConnection(f.Value)
	case TE:
		h.AcceptsTrailers = h.AcceptsTrailers || lists(f.Value, "trailers")
	}
	return ""
}

// maxOptions is how many elements all Connection fields may have. Hop goes
// through them for each field.
const maxOptions = 64

func (h *Head) knowConnection(value []byte) (reason string) {
	for len(value) > 0 {
		if h.options++; h.options > maxOptions {
			return reasonTooManyOptions
		}
		var element []byte
		element, value = cutElement(value)
		switch {
		case len(element) == 0:
		case equalFold(element, "close"):
			h.hasClose = true
		case equalFold(element, "keep-alive"):
			h.hasKeepAlive = true
		case equalFold(element, "upgrade"):
			h.listsUpgrade = true
		case equalFold(element, "te"):
		default:
			h.Listed = true
		}
	}
	return ""
}

// parseLength reads a Content-Length: digits, nothing else (RFC 9110, 8.6).
func parseLength(v []byte) (int64, bool) {
	if len(v) == 0 || len(v) > 19 { // math.MaxInt64 has 19
		return 0, false
	}
	var n uint64
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return int64(n), n <= math.MaxInt64
}

// settle does what request and response have in common once all fields are
// there: Close, Upgrade, and the framing fields against each other.
func (h *Head) settle() (reason string) {
	h.Close = h.hasClose || h.Minor == 0 && !h.hasKeepAlive
	h.Upgrade = h.listsUpgrade && h.at[UpgradeField] != 0 && h.Minor == 1
	switch {
	case h.at[TransferEncoding] != 0 && h.at[ContentLength] != 0:
		return reasonLengthAndChunked
	case h.at[TransferEncoding] != 0:
		h.Framing.Kind = Chunked
	case h.at[ContentLength] != 0:
		h.Framing.Kind = Length
	}
	return ""
}
