package traffic

import (
	"bytes"
	"fmt"
)

// http1Answers are the prebuilt answers of the backend.
type http1Answers struct{ small, large []byte }

// http1Server answers by path, after the whole request has come.
type http1Server struct {
	conn    *conn
	answers *http1Answers
	answer  []byte // to the request whose body is coming
	left    int    // of that body
}

func (h *http1Server) receive(b []byte) (int, error) {
	taken := 0
	for taken < len(b) {
		if h.answer == nil {
			head, err := parseHead(b[taken:])
			if err != nil || head.size == 0 {
				return taken, err
			}
			switch {
			case bytes.HasPrefix(head.line, []byte("GET /orders/7 HTTP/1.1")) && head.length == 0,
				bytes.HasPrefix(head.line, []byte("POST /orders HTTP/1.1")) && head.length == postSize:
				h.answer = h.answers.small
			case bytes.HasPrefix(head.line, []byte("GET /bulk HTTP/1.1")) && head.length == 0:
				h.answer = h.answers.large
			default:
				return taken, fmt.Errorf("unexpected request %q with %d B", head.line, head.length)
			}
			taken += head.size
			h.left = head.length
		}
		n := min(h.left, len(b)-taken)
		taken += n
		if h.left -= n; h.left == 0 {
			if len(h.conn.tail) > 0 {
				return taken, fmt.Errorf("a request before the answer to the one before it was taken")
			}
			h.conn.tail, h.answer = h.answer, nil
		}
	}
	return taken, nil
}

func (h *http1Server) skipped(int) error { return nil }
func (h *http1Server) drained()          {}
func (h *http1Server) ended(err error)   { complain(err) }
