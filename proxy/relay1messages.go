package proxy

import (
	"errors"
	"io"

	"github.com/sluice-proxy/sluice/proxy/internal/http1"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
)

// pumpMessages sends the messages of the request as they come.
func (x *exchange1) pumpMessages() error {
	err := passMessages(x.r.toUp, x.request.body.messages, &x.upload.frame, true, func() {})
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
	err := passMessages(x.r.out, x.response.body.messages, &x.download.frame, x.repliesInChunks(), x.streamed)
	var write *writeError
	if errors.As(err, &write) {
		return x.callerGone()
	}
	if err == nil {
		x.record.Response.Trailers = x.trailers()
	}
	return err
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

// passMessages sends a body of messages, whose bytes come in frame, as they
// come. passed is told of each part that has left.
func passMessages(to *sock.Writer, messages *messageBody, frame *http1.Body, chunked bool, passed func()) error {
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
		if last && chunked {
			out = http1.AppendLastChunk(out, frame.Trailers())
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
