package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/rules"
)

// messageBody is a body of messages one behind the other, such as server-sent
// events or lines of JSON, on its way through: each has its steps as soon as its
// last byte is there, and what stands between them passes. It holds a message,
// and what has not been taken of the next one. It is for one goroutine.
type messageBody struct {
	x          *exchange
	body       *body
	fromCaller bool
	format     stream.Format
	splitter   stream.Splitter
	phase      rules.Phase // of the next message
	rows       *rows       // the messages are the rows of one; nil: they are not

	source io.Reader        // without content coding
	undo   *encoding.Reader // nil: there is none
	redo   *encoding.Writer

	in    []byte // what came and was not taken
	final bool   // source has ended
	blind bool   // a message was too large, and what follows passes unseen
	out   bytes.Buffer
	err   error // comes after out
}

// readMessages prepares for the steps of a body of messages.
func (x *exchange) readMessages(h *half, format stream.Format) {
	b := &h.body
	coding, err := encoding.Parse(h.in.Fields.Values("Content-Encoding")...)
	if err != nil {
		b.fail(rules.ReasonEncoding, err)
		return
	}
	m := &messageBody{x: x, body: b, fromCaller: h == &x.request, format: format, phase: rules.StreamMessage}
	m.splitter = format.Split(codec.Limits{Size: x.route.Limits().Message})
	if passes, ok := b.stream.(interface{ passOn() }); ok {
		passes.passOn()
	}
	b.seen = newCapture(int(x.p.Capture))
	m.source = seenReader{b.stream, b.seen}
	if len(b.raw) > 0 { // it was too much to be read whole
		m.source = seenReader{io.MultiReader(bytes.NewReader(b.raw), b.stream), b.seen}
		b.raw = nil
	}
	if !coding.Identity() {
		m.undo = coding.NewReader(m.source, encoding.Limits{})
		if m.redo, err = coding.NewWriter(&m.out); err != nil {
			b.fail(rules.ReasonEncoding, err)
			return
		}
		m.source = m.undo
	}
	x.mu.Lock()
	x.stream = streamRules{generation: x.set.Number, route: x.route, params: x.params}
	x.mu.Unlock()
	b.messages = m
}

// seenReader shows what it reads to the observers.
type seenReader struct {
	io.Reader
	seen *capture
}

func (r seenReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.seen.add(p[:n])
	return n, err
}

// stepMessages runs the steps that do not wait for a message.
func (x *exchange) stepMessages(steps *rules.Steps, h *half, seen *Half, response *rules.Head) error {
	m := h.body.messages
	if steps.Needs().HeadWaits {
		m.phase = rules.StreamFirst
		for m.phase == rules.StreamFirst && m.err == nil {
			m.advance()
		}
		if m.err != nil && !errors.Is(m.err, io.EOF) {
			return m.err
		}
	}
	if m.phase == rules.StreamFirst || !steps.Needs().HeadWaits {
		m.phase = rules.StreamMessage
		if err := x.stepHead(steps, h, seen, response); err != nil {
			return err
		}
	}
	if steps.Needs().Edits {
		h.out = withoutDigests(h.out)
	}
	return nil
}

// Read returns what may go on. Its error is the end, one of the body that it
// reads, or what a step made of a message: a rejection or failure.
func (m *messageBody) Read(p []byte) (int, error) {
	for m.out.Len() == 0 {
		if m.err != nil {
			return 0, m.err
		}
		m.advance()
	}
	return m.out.Read(p)
}

// Close ends the body early.
func (m *messageBody) Close() error {
	m.release()
	return m.body.stream.Close()
}

func (m *messageBody) release() {
	if m.undo != nil {
		m.undo.Close()
		_ = m.redo.Close() // into out
	}
}

// advance takes the messages that are there, or else waits for more.
func (m *messageBody) advance() {
	took := false
	for first := m.phase; len(m.in) > 0 && m.err == nil && m.phase == first; {
		n := m.next()
		if n == 0 && !m.blind {
			break
		}
		m.in = m.in[n:]
		took = true
	}
	switch {
	case m.err != nil:
	case took && m.redo != nil:
		m.err = m.redo.Flush() // what is there does not wait for what follows
	case m.final && !took:
		m.finish()
	case !took:
		m.fill()
	}
}

// next takes a message, or what stands before one. It returns 0 if that is not
// whole.
func (m *messageBody) next() (n int) {
	if m.blind {
		m.pass(m.in)
		return len(m.in)
	}
	n, message, err := m.splitter.Next(m.in, m.final)
	if err != nil && m.rows != nil {
		m.err = m.rowFailed(rules.ReasonTooLarge, err)
		return 0
	}
	if err != nil {
		m.blind = true
		if _, _, err := m.step(streamed{failed: fmt.Errorf("%w: %w", codec.ErrTooLarge, err)}); err != nil {
			m.err = err
		}
		return 0
	}
	if message == nil {
		m.pass(m.in[:n])
		return n
	}
	message = slices.Clone(message) // the steps' results may hold on to it
	if m.rows != nil {
		m.err = m.row(message)
		return n
	}
	left, edited, err := m.step(streamed{data: message, format: m.format})
	switch {
	case err != nil:
		m.err = err
	case !edited:
		m.pass(message)
	}
	for i, data := range left {
		if i < len(left)-1 {
			data = m.format.Terminate(data)
		}
		m.pass(data)
	}
	return n
}

func (m *messageBody) step(message streamed) (left [][]byte, edited bool, err error) {
	phase := m.phase
	m.phase = rules.StreamMessage
	left, edited, err = m.x.stepStreamed(phase, m.fromCaller, message)
	if err != nil && m.fromCaller {
		m.x.cancel(err) // who waits for the response learns of it
	}
	return left, edited, err
}

// pass lets data go on.
func (m *messageBody) pass(data []byte) {
	if m.redo == nil {
		m.out.Write(data)
		return
	}
	if _, err := m.redo.Write(data); err != nil {
		m.err = err
	}
}

// messagePiece is how much is read at a time.
const messagePiece = 16 << 10

func (m *messageBody) fill() {
	if cap(m.in)-len(m.in) < messagePiece/4 {
		m.in = append(make([]byte, 0, max(2*len(m.in), messagePiece)), m.in...)
	}
	n, err := m.source.Read(m.in[len(m.in):cap(m.in)])
	m.in = m.in[:len(m.in)+n]
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		m.final = true
	default:
		m.err = err
	}
}

// finish ends what goes on. Of a message that the source's end has cut off all
// is there that will be.
func (m *messageBody) finish() {
	if m.rows != nil {
		m.in = m.rows.End()
	}
	m.pass(m.in)
	m.in = nil
	m.err = io.EOF
	m.release()
}

// ownError reports whether err is what a step made of a message, not an error of
// the connection that it came on.
func ownError(err error) bool {
	var reject *rejection
	var failed *rules.StepError
	return errors.As(err, &reject) || errors.As(err, &failed)
}
