package tap

import "encoding/binary"

// words are the texts that come again in nearly every event: what the protocols
// and Sluice itself call things, and header names in the spellings of HTTP/2 and
// of most who speak HTTP/1. One of them is packed into a byte.
var words = [...]string{
	"inbound", "outbound", "http/1.1", "h2", "grpc", "tls", "raw", "splice", "relay", "exchange", "none",
	"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "OK", "ran", "when_false", "gzip",
	"accept", "accept-encoding", "accept-language", "authorization", "cache-control", "connection", "content-encoding",
	"content-length", "content-type", "cookie", "date", "etag", "expires", "grpc-accept-encoding", "grpc-encoding",
	"grpc-message", "grpc-status", "grpc-timeout", "if-none-match", "keep-alive", "last-modified", "location", "origin",
	"referer", "server", "set-cookie", "te", "traceparent", "tracestate", "trailers", "transfer-encoding", "user-agent",
	"vary", "via", "x-forwarded-for", "x-forwarded-proto", "x-request-id",
	"Accept", "Accept-Encoding", "Authorization", "Cache-Control", "Connection", "Content-Encoding", "Content-Length",
	"Content-Type", "Cookie", "Date", "Etag", "Keep-Alive", "Server", "Set-Cookie", "Traceparent", "Transfer-Encoding",
	"User-Agent", "Vary", "X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id",
}

// lexicon finds words. It is made once and read by all.
type lexicon struct {
	slots [1024]uint8 // the index of a word and one; 0: none
}

func newLexicon() *lexicon {
	l := &lexicon{}
	for i, word := range words {
		if at := wordSlot(word); l.slots[at] == 0 {
			l.slots[at] = uint8(i + 1)
		}
	}
	return l
}

// wordSlot is where a word that is not empty may be. No two words have the same.
func wordSlot(s string) int {
	return (len(s)*59 + int(s[0])*152 + int(s[len(s)-1])*242 + int(s[len(s)/2])*27) & 1023
}

// A packed word starts with its length up to 0x7f, with 0x80 and its place
// among words, or with this and a length of any size.
const longWord = 0xff

// put packs a text that may be a word.
func (l *lexicon) put(b []byte, s string) []byte {
	if s == "" {
		return append(b, 0)
	}
	if i := l.slots[wordSlot(s)]; i != 0 && words[i-1] == s {
		return append(b, 0x80+i-1)
	}
	if len(s) < 0x80 {
		b = append(b, byte(len(s)))
	} else {
		b = binary.AppendUvarint(append(b, longWord), uint64(len(s)))
	}
	return append(b, s...)
}

func (u *unpacker) word() string {
	switch b := u.byte(); {
	case b < 0x80:
		return u.take(int(b))
	case b == longWord:
		return u.string()
	default:
		return words[b-0x80]
	}
}
