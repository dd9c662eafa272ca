package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/test/testbed"
)

const (
	oneNote   = "/soak.v1.Notes/One"
	manyNotes = "/soak.v1.Notes/Many"
	notesFile = `
syntax = "proto3";
package soak.v1;
message Note { bytes load = 1; string request = 2; string response = 3; }
service Notes {
  rpc One(Note) returns (Note);
  rpc Many(stream Note) returns (stream Note);
}`
)

func notesMethods(t *testing.T) protobuf.Source {
	t.Helper()
	files, err := protobuf.NewFiles(protobuf.File{Name: "notes.proto", Data: []byte(notesFile)})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// note is soak.v1.Note.
type note struct {
	load              []byte
	request, response string
}

func (n note) marshal() []byte {
	b := protowire.AppendTag(nil, 1, protowire.BytesType)
	return protowire.AppendBytes(b, n.load)
}

func noteOf(data []byte) (n note, err error) {
	for len(data) > 0 {
		field, _, size := protowire.ConsumeTag(data)
		if size < 0 {
			return n, fmt.Errorf("%w: no note", errCorrupt)
		}
		value, length := protowire.ConsumeBytes(data[size:])
		if length < 0 {
			return n, fmt.Errorf("%w: no note", errCorrupt)
		}
		switch field {
		case 1:
			n.load = value
		case 2:
			n.request = string(value)
		case 3:
			n.response = string(value)
		}
		data = data[size+length:]
	}
	return n, nil
}

// bytesCodec gives grpc-go messages as they are on the wire.
type bytesCodec struct{}

func (bytesCodec) Name() string                  { return "proto" }
func (bytesCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (bytesCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = slices.Clone(data)
	return nil
}

// callsServer is the upstream of calls: it echoes notes.
type callsServer struct {
	*net.TCPListener
	rig *rig

	mu    sync.Mutex // guards conns
	conns map[string]*net.TCPConn
}

// Accept keeps connections by their peer's address, so that a call can end its
// own.
func (s *callsServer) Accept() (net.Conn, error) {
	c, err := s.AcceptTCP()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c.RemoteAddr().String()] = c
	return &callsConn{c, s}, nil
}

type callsConn struct {
	*net.TCPConn
	server *callsServer
}

func (c *callsConn) Close() error {
	c.server.mu.Lock()
	delete(c.server.conns, c.RemoteAddr().String())
	c.server.mu.Unlock()
	return c.TCPConn.Close()
}

func startCalls(t *testing.T, r *rig) string {
	t.Helper()
	s := &callsServer{TCPListener: testbed.Loopback(t), rig: r, conns: map[string]*net.TCPConn{}}
	server := grpc.NewServer(grpc.UnknownServiceHandler(s.handle), grpc.ForceServerCodec(bytesCodec{}))
	served := make(chan error, 1)
	go func() { served <- server.Serve(s) }()
	t.Cleanup(func() {
		server.Stop()
		<-served
	})
	return s.Addr().String()
}

// handle echoes. Its fault says what ends the call after some notes: a reset of
// the connection, or a status.
func (s *callsServer) handle(_ any, stream grpc.ServerStream) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	if id, err := strconv.ParseUint(first(md.Get(idField)), 10, 64); err == nil {
		s.rig.asked(id)
	}
	var f, at int
	_, _ = fmt.Sscan(first(md.Get(faultField)), &f, &at)
	for n := 0; ; n++ {
		switch {
		case fault(f) == upstreamResets, fault(f) == upstreamCuts && n == at:
			s.reset(stream)
		case fault(f) == upstreamEnds && n == at:
			return status.Error(codes.FailedPrecondition, "asked for")
		}
		var m []byte
		if err := stream.RecvMsg(&m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := stream.SendMsg(&m); err != nil {
			return err
		}
	}
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// reset resets the connection of a call.
func (s *callsServer) reset(stream grpc.ServerStream) {
	p, _ := peer.FromContext(stream.Context())
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.conns[p.Addr.String()]; c != nil {
		_ = testbed.Reset(c)
	}
}

// callCaller is a grpc-go client.
type callCaller struct {
	rig  *rig
	conn *grpc.ClientConn
}

func (c *callCaller) move() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *callCaller) run(ctx context.Context, i *instance, o *op) error {
	if c.conn == nil {
		var err error
		c.conn, err = grpc.NewClient("passthrough:///"+i.calls, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{}), grpc.WaitForReady(true)),
			grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: time.Second})) // no back-off
		if err != nil {
			return err
		}
	}
	o.size = min(o.size, 256<<10)
	notes, path := 1, oneNote
	if o.IntN(2) == 0 {
		notes, path = 1+o.IntN(20), manyNotes
		o.size /= notes
	}
	o.at = o.IntN(notes)
	err := wrapped(fmt.Sprintf("%s of %d notes, broken off at %d", path, notes, o.at), c.call(ctx, o, path, notes))
	if times := c.rig.times(o.id); times > 1 {
		return fmt.Errorf("%w: the upstream was asked %d times: %w", errCorrupt, times, orNothing(err))
	}
	return err
}

// call sends notes one by one and reads each back.
func (c *callCaller) call(ctx context.Context, o *op, path string, notes int) error {
	ctx = metadata.AppendToOutgoingContext(ctx, idField, strconv.FormatUint(o.id, 10))
	if o.fault >= upstreamResets {
		ctx = metadata.AppendToOutgoingContext(ctx, faultField, fmt.Sprint(int(o.fault), o.at))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := func() error {
		stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, path)
		if err != nil {
			return err
		}
		for n := range notes {
			if (o.fault == callerResets || o.fault == callerEnds) && n == o.at {
				cancel()
			}
			if err := exchange(stream, o, path == oneNote, n); err != nil {
				return err
			}
		}
		var more []byte
		if err := stream.CloseSend(); err != nil {
			return err
		}
		if err := stream.RecvMsg(&more); !errors.Is(err, io.EOF) {
			return fmt.Errorf("want the end: %w, %d bytes", orNothing(err), len(more))
		}
		return nil
	}()
	switch code := status.Code(err); {
	case errors.Is(err, errCorrupt):
		return err
	case o.fault == upstreamEnds:
		if s := status.Convert(err); code != codes.FailedPrecondition || s.Message() != "asked for" {
			return fmt.Errorf("want the upstream's status, got %w", orNothing(err))
		}
		return nil
	case o.fault >= upstreamResets && err == nil:
		return errors.New("it arrived whole")
	case o.fault != none:
		return nil
	}
	return err
}

// exchange sends a note and reads it back. A unary call half-closes before its
// answer comes.
func exchange(stream grpc.ClientStream, o *op, unary bool, n int) error {
	sent := note{load: bytesOf(o.seed+uint64(n), o.size)}
	data := sent.marshal()
	if err := stream.SendMsg(&data); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if unary {
		if err := stream.CloseSend(); err != nil {
			return err
		}
	}
	var back []byte
	if err := stream.RecvMsg(&back); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: a clean end before note %d", errCorrupt, n)
		}
		return err
	}
	got, err := noteOf(back)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(got.load, sent.load):
		return fmt.Errorf("%w: note %d has %d bytes, want %d", errCorrupt, n, len(got.load), len(sent.load))
	case unary && got.request != got.response:
		return fmt.Errorf("%w: of no set alone: %q and %q", errCorrupt, got.request, got.response)
	}
	return nil
}
