package traffic

import (
	"bytes"
	"errors"
	"fmt"
)

// http1Answers are the prebuilt answers of the backend, and what orders have to
// be, by where they are sent to.
type http1Answers struct {
	small, large []byte
	orders       map[string]*checker
}

func orderCheckers() map[string]*checker {
	orders := map[string]*checker{}
	for _, size := range []int{SmallOrder, LargeOrder} {
		_, o := orderJSON(size)
		for _, e := range []Edit{"", Mask, Sum, Total} {
			orders[e.Path(size)] = newChecker(o.after(e))
		}
	}
	return orders
}

// order is what a request's body has to be; nil if it is for no order.
func (a *http1Answers) order(line []byte) *checker {
	path, ok := bytes.CutPrefix(line, []byte("POST "))
	path, ok2 := bytes.CutSuffix(path, []byte(" HTTP/1.1"))
	if !ok || !ok2 {
		return nil
	}
	return a.orders[string(path)]
}

// http1Server answers by path, after the whole request has come.
type http1Server struct {
	conn    *conn
	answers *http1Answers
	answer  []byte   // to the request whose body is coming
	left    int      // of that body
	chunks  bool     // that body is in chunks, the last of which is yet to come
	order   *checker // of that body; nil: it may be anything
	body    []byte   // what has come of it, if there is an order
}

func (h *http1Server) receive(b []byte) (int, error) {
	taken := 0
	for taken < len(b) {
		if h.answer == nil {
			head, err := parseHead(b[taken:])
			if err != nil || head.size == 0 {
				return taken, err
			}
			if err := h.begin(head); err != nil {
				return taken, err
			}
			taken += head.size
		}
		if h.chunks {
			chunk, size, err := parseChunk(b[taken:])
			if err != nil || size == 0 {
				return taken, err
			}
			taken += size
			h.body, h.chunks = append(h.body, chunk...), len(chunk) > 0
		}
		n := min(h.left, len(b)-taken)
		if h.order != nil {
			h.body = append(h.body, b[taken:taken+n]...)
		}
		taken += n
		if h.left -= n; h.left == 0 && !h.chunks {
			if err := h.end(); err != nil {
				return taken, err
			}
		}
	}
	return taken, nil
}

// begin finds the answer to a request with that head.
func (h *http1Server) begin(head head) error {
	h.left, h.chunks, h.order = head.length, head.chunks, nil
	switch {
	case bytes.HasPrefix(head.line, []byte("GET /orders/7 HTTP/1.1")) && head.length == 0 && !head.chunks,
		bytes.HasPrefix(head.line, []byte("POST /orders HTTP/1.1")) && head.length == postSize && !head.chunks:
		h.answer = h.answers.small
	case bytes.HasPrefix(head.line, []byte("GET /bulk HTTP/1.1")) && head.length == 0 && !head.chunks:
		h.answer = h.answers.large
	default:
		if h.order = h.answers.order(head.line); h.order == nil {
			return fmt.Errorf("unexpected request %q with %d B", head.line, head.length)
		}
		h.answer, h.body = h.answers.small, h.body[:0]
	}
	return nil
}

// end answers a request that has all come.
func (h *http1Server) end() error {
	if len(h.conn.tail) > 0 {
		return errors.New("a request before the answer to the one before it was taken")
	}
	if h.order != nil {
		if err := h.order.check(h.body); err != nil {
			return err
		}
	}
	h.conn.tail, h.answer = h.answer, nil
	return nil
}

func (h *http1Server) skipped(int) error { return nil }
func (h *http1Server) drained()          {}
func (h *http1Server) ended(err error)   { complain(err) }
