package proxy

import (
	"errors"
	"io"

	"github.com/sluice-proxy/sluice/proxy/internal/http1"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
)

// pumpMessages sends the messages of the request as they come.
func (x *exchange1) pumpMessages() error {
	err := passMessages(x.r.toUp, x.request.body.messages, true, func() ([]byte, error) { return x.upload.frame.Trailers(), nil }, func() {})
	var write *writeError
	switch {
	case err == nil:
		x.noteTrailers()
		return nil
	case errors.As(err, &write):
		return write.err // the upstream has ended it, which awaitReply reads
	case ownError(err):
		return err
	}
	return x.uploadFailed(err)
}

// passReplies sends the messages of the response as they come.
func (x *exchange1) passReplies() error {
	return x.passInPieces(x.response.body.messages, x.repliesInChunks())
}

// passTrailed sends the body of a response whose trailers have steps. They are
// behind it, in chunks.
func (x *exchange1) passTrailed() error {
	body, _ := x.response.body.outgoing()
	defer body.Close()
	return x.passInPieces(body, true)
}

func (x *exchange1) passInPieces(body io.Reader, chunked bool) error {
	err := passMessages(x.r.out, body, chunked, x.lastTrailers, x.streamed)
	var write *writeError
	if errors.As(err, &write) {
		return x.callerGone()
	}
	return err
}

// trailed reports whether the response leaves in chunks, with steps over what
// stands behind the last.
func (x *exchange1) trailed() bool {
	if !x.trailersBehind() || x.tunnels || !x.hasBody() || x.record.Answered == answeredFallback {
		return false
	}
	return x.reply1.Kind == http1.Chunked || x.response.body.messages != nil && x.repliesInChunks()
}

// lastTrailers are the lines of the response's trailers as they leave.
func (x *exchange1) lastTrailers() ([]byte, error) {
	came := x.trailers()
	if !x.trailed() {
		if len(came) > 0 {
			x.record.Response.Trailers = came
		}
		return x.download.frame.Trailers(), nil
	}
	if err := x.stepEnd(came); err != nil {
		return nil, err
	}
	out, same := x.trailersOut()
	if same {
		return x.download.frame.Trailers(), nil
	}
	var lines []byte
	for _, f := range out {
		lines = http1.AppendField(lines, f.Name, f.Value)
	}
	return lines, nil
}

// repliesInChunks reports whether messages of the response leave in chunks; else
// they end with the connection.
func (x *exchange1) repliesInChunks() bool {
	kind := x.reply1.Kind
	return kind == http1.Chunked || kind == http1.Length && x.reply1.Minor > 0 && x.head1.Minor > 0
}

// writeError is an error of the side that is written to.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// passMessages sends a body of messages as they come, and behind them the lines of
// its trailers. passed is told of each part that has left.
func passMessages(to *sock.Writer, messages io.Reader, chunked bool, trailers func() ([]byte, error), passed func()) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	var out []byte
	for {
		n, err := messages.Read(*buf)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return err
		}
		out = out[:0]
		if chunked {
			out = http1.AppendChunk(out, (*buf)[:n])
		} else {
			out = append(out, (*buf)[:n]...)
		}
		if last {
			lines, err := trailers()
			if err != nil {
				return err
			}
			if chunked {
				out = http1.AppendLastChunk(out, lines)
			}
		}
		if len(out) > 0 {
			if _, err := to.Write(out); err != nil {
				return &writeError{err}
			}
		}
		if last {
			return nil
		}
		passed()
	}
}
