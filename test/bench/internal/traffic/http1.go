package traffic

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// head is what the ends of HTTP/1 look at in the other's head.
type head struct {
	size   int    // of the head, with its empty line
	line   []byte // the first one
	length int    // content-length; 0 if absent
	chunks bool   // the body is in chunks
}

// parseHead reads the head that b begins with; size is 0 if it is not all
// there.
func parseHead(b []byte) (head, error) {
	var h head
	for at := 0; ; {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			if len(b) > 64<<10 {
				return head{}, errors.New("a head over 64 KiB")
			}
			return head{}, nil
		}
		line := bytes.TrimSuffix(b[at:at+n], []byte{'\r'})
		at += n + 1
		switch {
		case len(line) == 0:
			h.size = at
			return h, nil
		case h.line == nil:
			h.line = line
			continue
		}
		const length, coding = "content-length:", "transfer-encoding:"
		switch c := line[0] | 0x20; {
		case c == 'c' && hasPrefixFold(line, length):
			var err error
			if h.length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(length):]))); err != nil {
				return head{}, fmt.Errorf("%q: %w", line, err)
			}
		case c == 't' && hasPrefixFold(line, coding):
			h.chunks = true
		}
	}
}

// parseChunk reads the chunk that b begins with: size is 0 if it is not all
// there, and data is empty of the last one. There are no extensions and no
// trailers.
func parseChunk(b []byte) (data []byte, size int, err error) {
	line, rest, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok {
		return nil, 0, nil
	}
	n, err := strconv.ParseUint(string(line), 16, 20)
	if err != nil {
		return nil, 0, fmt.Errorf("a chunk's size: %w", err)
	}
	if len(rest) < int(n)+2 {
		return nil, 0, nil
	}
	return rest[:n], len(line) + 2 + int(n) + 2, nil
}

func hasPrefixFold(b []byte, lower string) bool {
	if len(b) < len(lower) {
		return false
	}
	for i := range len(lower) {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// http1Request is the bytes of a request of spec.
func http1Request(spec Spec) []byte {
	const common = " HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n"
	switch spec.Kind {
	case Post:
		return post("/orders"+common, postBody())
	case Order:
		body, _ := orderJSON(spec.Size)
		return post(spec.Edit.Path(spec.Size)+common, body)
	case Download:
		return []byte("GET /bulk" + common + "\r\n")
	}
	return []byte("GET /orders/7" + common + "\r\n")
}

func post(head string, body []byte) []byte {
	return append(fmt.Appendf(nil, "POST %sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", head, len(body)), body...)
}

// http1Answer is the bytes of an answer to kind, and its body.
func http1Answer(kind Kind) (all, body []byte) {
	contentType := "application/json"
	body = answerBody
	if kind == Download {
		contentType, body = "application/octet-stream", bulk(downloadSize)
	}
	all = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		contentType, len(body))
	return append(all, body...), body
}
