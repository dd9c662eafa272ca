package traffic

import (
	"encoding/binary"
	"fmt"
)

// What goes over the wire, the same bytes at both ends.

// answerBody is what every small answer holds: 100 B of JSON.
var answerBody = []byte(`{"id":"7c0f7a52","customer":"Ada Lovelace","total":1843,"currency":"EUR","paid":true,"lines":[1,2]}` + "\n")

// bulk is size bytes that are not all the same. Their period of 251 B is prime, so that bytes at
// a wrong place are noticed.
func bulk(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

const (
	postSize     = 16 << 10
	downloadSize = 1 << 20
	rawBlock     = 251 << 10 // a whole number of periods
)

// postBody is 16 KiB of JSON.
func postBody() []byte {
	b := append(make([]byte, 0, postSize), `{"lines":[0`...)
	for i := 0; len(b) < postSize-16; i++ {
		b = fmt.Appendf(b, ",%d", i)
	}
	b = append(b, "]}"...)
	for len(b) < postSize {
		b = append(b, ' ')
	}
	return b
}

// rawGreeting is what a raw connection says first; no protocol begins so.
var rawGreeting = []byte("\x00\x01bulk\r\n")

// message is what a gRPC message holds, 100 B: a string in field 1.
var message = append([]byte{0x0a, 98}, answerBody[:98]...)

// framed is message as gRPC puts it on the wire.
var framed = frameMessage(message)

func frameMessage(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// The gRPC methods of the backend, beside those of orders.
const (
	unaryPath = "/bench.Echo/Unary"
	bidiPath  = "/bench.Echo/Bidi"
)
