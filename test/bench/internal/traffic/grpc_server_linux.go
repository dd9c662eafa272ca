package traffic

import (
	"bytes"
	"errors"
	"fmt"
)

// grpcServer answers unary calls with their own message and echoes the others'.
type grpcServer struct {
	link
	conn    *conn
	methods map[string]grpcMethod
	greeted bool
	streams map[uint32]*grpcStream
	free    []*grpcStream
	waiting []*grpcStream // for a window
}

// The heads of a headWriter of a server.
const (
	headIndex     = 0
	trailersIndex = 1
)

// grpcMethod is what the backend does with a call.
type grpcMethod struct {
	echo bool   // messages without end
	want []byte // the only message of another one, framed
}

func grpcMethods() map[string]grpcMethod {
	methods := map[string]grpcMethod{bidiPath: {echo: true}, unaryPath: {want: framed}}
	for _, e := range []Edit{"", Mask} {
		methods[e.Method()] = grpcMethod{want: frameMessage(orderProto().after(e).proto())}
	}
	return methods
}

type grpcStream struct {
	id      uint32
	method  grpcMethod
	ended   bool   // all of the request has come
	request []byte // of a unary call
	pending []byte // DATA that waits for a window
	window  int
	owed    int
}

func newGRPCServer(c *conn, methods map[string]grpcMethod) *grpcServer {
	s := &grpcServer{link: newLink(answerHead(), answerTrailers()), conn: c, methods: methods, streams: map[uint32]*grpcStream{}}
	c.out = appendFrame(c.out, frameSettings, 0, 0, nil)
	c.out = appendWindowUpdate(c.out, 0, ourWindow-defaultWindow)
	return s
}

func (s *grpcServer) receive(b []byte) (int, error) {
	taken := 0
	if !s.greeted {
		if len(b) < len(preface) {
			return 0, nil
		}
		if string(b[:len(preface)]) != preface {
			return 0, fmt.Errorf("no preface: %q", b[:len(preface)])
		}
		s.greeted, taken = true, len(preface)
	}
	for {
		f, size, err := parseFrame(b[taken:])
		if err != nil || size == 0 {
			return taken, err
		}
		taken += size
		switch f.kind {
		case frameHeaders:
			err = s.head(f)
		case frameData:
			err = s.data(f)
		case frameReset:
			delete(s.streams, f.stream)
		case frameGoAway: // the other end goes when its streams have ended
		default:
			err = s.control(s.conn, f, s.grow)
		}
		if err != nil {
			return taken, err
		}
	}
}

func (s *grpcServer) head(f frame) error {
	if f.flags&flagEndHeaders == 0 || f.flags&flagEndStream != 0 {
		return errors.New("a head over several frames, or without a message")
	}
	got, err := s.reader.read(f.payload)
	if err != nil {
		return fmt.Errorf("decode a head: %w", err)
	}
	method, ok := s.methods[got.path]
	if !ok {
		return fmt.Errorf("unknown method %q", got.path)
	}
	var stream *grpcStream
	if n := len(s.free); n > 0 {
		stream, s.free = s.free[n-1], s.free[:n-1]
	} else {
		stream = new(grpcStream)
	}
	*stream = grpcStream{id: f.stream, method: method, window: s.initial, request: stream.request[:0], pending: stream.pending[:0]}
	s.streams[f.stream] = stream
	if stream.method.echo {
		s.conn.out = appendFrame(s.conn.out, frameHeaders, flagEndHeaders, f.stream, s.writer.block(headIndex))
	}
	return nil
}

func (s *grpcServer) data(f frame) error {
	s.take(s.conn, f.flow)
	stream := s.streams[f.stream]
	if stream == nil {
		return nil // it was reset
	}
	stream.ended = f.flags&flagEndStream != 0
	if stream.owed += f.flow; stream.owed >= defaultWindow/2 && !stream.ended {
		s.conn.out = appendWindowUpdate(s.conn.out, stream.id, stream.owed)
		stream.owed = 0
	}
	if stream.method.echo {
		stream.pending = append(stream.pending, f.payload...)
		s.flushOrWait(stream)
		return nil
	}
	stream.request = append(stream.request, f.payload...)
	if !stream.ended {
		return nil
	}
	if !bytes.Equal(stream.request, stream.method.want) {
		return fmt.Errorf("a call with %d B that are not what should come", len(stream.request))
	}
	s.conn.out = appendFrame(s.conn.out, frameHeaders, flagEndHeaders, stream.id, s.writer.block(headIndex))
	stream.pending = append(stream.pending, stream.request...)
	s.flushOrWait(stream)
	return nil
}

func (s *grpcServer) flushOrWait(stream *grpcStream) {
	if !s.flushStream(stream) {
		s.waiting = append(s.waiting, stream)
	}
}

// flushStream sends what waits and then the trailers, as far as the windows
// go, and reports whether nothing waits any more.
func (s *grpcServer) flushStream(stream *grpcStream) bool {
	for len(stream.pending) > 0 {
		n := min(len(stream.pending), s.send, stream.window, 16384)
		if n <= 0 {
			return false
		}
		s.send -= n
		stream.window -= n
		s.conn.out = appendFrame(s.conn.out, frameData, 0, stream.id, stream.pending[:n])
		stream.pending = append(stream.pending[:0], stream.pending[n:]...)
	}
	if stream.ended {
		s.conn.out = appendFrame(s.conn.out, frameHeaders, flagEndHeaders|flagEndStream, stream.id, s.writer.block(trailersIndex))
		delete(s.streams, stream.id)
		s.free = append(s.free, stream)
	}
	return true
}

func (s *grpcServer) grow(id uint32, n int) {
	if id == 0 {
		for _, stream := range s.streams {
			stream.window += n
		}
	} else if stream := s.streams[id]; stream != nil {
		stream.window += n
	}
	waiting := s.waiting
	s.waiting = s.waiting[:0]
	for _, stream := range waiting {
		if s.streams[stream.id] == stream && !s.flushStream(stream) {
			s.waiting = append(s.waiting, stream)
		}
	}
}

func (s *grpcServer) skipped(int) error { return nil }
func (s *grpcServer) drained()          {}
func (s *grpcServer) ended(err error)   { complain(err) }
