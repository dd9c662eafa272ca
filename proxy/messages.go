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
	enveloped  *enveloped // of a gRPC-Web or Connect call: web.go; nil if format says all
	splitter   stream.Splitter
	phase      rules.Phase // of the next message
	all        []byte      // that source reads, if it was had before; else nil
	form       *formBody   // is read in place of all that follows; nil: it is none
	rows       *rows       // the messages are the rows of one; nil: they are not

	source io.Reader        // without content coding
	text   io.Reader        // what source is the bytes of; nil if it is no text
	undo   *encoding.Reader // nil: there is none
	redo   *encoding.Writer

	in    []byte // what came and was not taken
	final bool   // source has ended
	blind bool   // a message was too large, and what follows passes unseen
	out   bytes.Buffer
	err   error // comes after out
}

// readMessages prepares for the steps of a body of messages, which are of a
// format or, if that is nil, enveloped.
func (x *exchange) readMessages(h *half, format stream.Format, e *enveloped) {
	b := &h.body
	coding, err := encoding.Parse(h.in.Fields.Values("Content-Encoding")...)
	if err != nil {
		b.fail(rules.ReasonEncoding, err)
		return
	}
	m := &messageBody{x: x, body: b, fromCaller: h == &x.request, format: format, enveloped: e, phase: rules.StreamMessage}
	if e != nil {
		m.splitter = e.envelopes.Split(codec.Limits{Size: e.limit})
	} else {
		m.splitter = format.Split(codec.Limits{Size: x.route.Limits().Message})
	}
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
	if e != nil && e.plain != nil {
		m.text = m.source
		m.source = &textReader{m: m}
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

// stepMessages runs the steps that do not wait for a message. A unary message, and
// the first one of a stream whose head needs it, have theirs with the head.
func (x *exchange) stepMessages(steps *rules.Steps, h *half, seen *Half, response *rules.Head) error {
	m := h.body.messages
	first := rules.StreamMessage
	switch {
	case m.enveloped != nil && m.enveloped.unary:
		first = rules.Whole
	case steps.Needs().HeadWaits:
		first = rules.StreamFirst
	}
	if first != rules.StreamMessage {
		h.body.asked.Store(true)
		m.phase = first
		for m.phase == first && m.err == nil {
			m.advance()
		}
		if m.err != nil && !errors.Is(m.err, io.EOF) {
			return m.failed()
		}
	}
	if m.phase == first { // there is no message, or its steps are not the head's
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

// gather takes the messages of a request of HTTP/1.0 through their steps before it
// leaves: its length has to be known.
func (x *exchange) gather(h *half) error {
	b := &h.body
	if !x.sized || h != &x.request || b.messages == nil || b.messages.enveloped != nil || b.messages.rows != nil {
		return nil
	}
	data, err := io.ReadAll(b.messages)
	if err != nil {
		return b.messages.failed()
	}
	b.raw, b.whole, b.plain = b.messages.all, true, data
	b.edited, b.isEdited, b.messages = data, true, nil
	return nil
}

// failed is the error of a body whose head has not left.
func (m *messageBody) failed() error {
	switch {
	case ownError(m.err):
		return m.err
	case m.fromCaller:
		return &Error{Origin: OriginCaller, Reason: "truncated", Err: m.err}
	}
	return m.x.upstreamFailed(m.err)
}

// Read returns what may go on. Its error is the end, one of the body that it
// reads, or what a step made of a message: a rejection or failure.
func (m *messageBody) Read(p []byte) (int, error) {
	if m.form != nil {
		return m.form.Read(p)
	}
	for m.out.Len() == 0 {
		if m.err != nil && !m.tellsEnd() { // webend.go
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
	case took:
	case m.enveloped != nil && m.enveloped.garbled != nil:
		m.lose(streamed{failed: m.enveloped.garbled, reason: rules.ReasonDecode})
	case m.final:
		m.finish()
	default:
		m.fill()
	}
}

// next takes a message, or what stands before one. It returns 0 if that is not
// whole.
func (m *messageBody) next() (n int) {
	if m.blind {
		m.write(m.in)
		return len(m.in)
	}
	if n, whole := m.endOf(); n > 0 { // webtrailers.go
		m.stepEnd(m.in[:n])
		return n
	} else if !whole {
		return 0
	}
	n, message, err := m.splitter.Next(m.in, m.final)
	if err != nil && m.rows != nil {
		m.err = m.rowFailed(rules.ReasonTooLarge, err)
		return 0
	}
	if err != nil {
		m.lose(streamed{failed: fmt.Errorf("%w: %w", codec.ErrTooLarge, err)})
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
	if m.enveloped != nil {
		m.stepEnvelope(message)
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

// lose fails the message that cannot be taken, and with on_error: pass lets it and
// all that follows go on unseen.
func (m *messageBody) lose(message streamed) {
	m.blind = true
	if _, _, err := m.step(message); err != nil {
		m.err = err
		return
	}
	if !m.fromCaller {
		m.x.end = nil // it is not seen any more
	}
	if m.text != nil {
		m.write(m.enveloped.plain.Rest(nil))
		m.in, m.source, m.text, m.enveloped.garbled = nil, m.text, nil, nil
	}
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

// pass lets data go on as it came.
func (m *messageBody) pass(data []byte) {
	m.x.followEnd(m, data)
	if m.text != nil {
		data = m.enveloped.plain.Pass(nil, data)
	}
	m.write(data)
}

// replace lets data go on in place of the next n bytes.
func (m *messageBody) replace(n int, data []byte) {
	if m.text != nil {
		data = m.enveloped.plain.Replace(nil, n, data)
	}
	m.write(data)
}

func (m *messageBody) write(data []byte) {
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
	m.write(m.in)
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
