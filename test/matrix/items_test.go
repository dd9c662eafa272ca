package matrix

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcencoding "google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// items is the service of the calls: its upstream answers by hand, over
// net/http, so that what it is sent can be noted; its callers are grpc-go.
type items struct {
	item protoreflect.MessageDescriptor
}

func newItems(t *testing.T) *items {
	t.Helper()
	file, err := protodesc.NewFile(itemsDescriptor(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &items{file.Messages().ByName("Item")}
}

func (s *items) named(name string) []byte {
	m := dynamicpb.NewMessage(s.item)
	m.Set(s.item.Fields().ByName("name"), protoreflect.ValueOfString(name))
	m.SetUnknown([]byte{0x98, 0x06, 0x07}) // field 99, which nobody knows
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return data
}

// badItem is no item: a string that ends before it began.
var badItem = []byte{0x0a, 0x05, 'x'}

// text is an item in JSON, with what is not known of it in hex.
func (s *items) text(data []byte) string {
	m := dynamicpb.NewMessage(s.item)
	if err := proto.Unmarshal(data, m); err != nil {
		return fmt.Sprintf("no item %x", data)
	}
	text, err := protojson.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %x", strings.ReplaceAll(string(text), " ", ""), []byte(m.GetUnknown()))
}

func (s *items) name(data []byte) string {
	m := dynamicpb.NewMessage(s.item)
	if proto.Unmarshal(data, m) != nil {
		return "?"
	}
	return m.Get(s.item.Fields().ByName("name")).String()
}

// bytesCodec gives grpc-go's callers messages as they are on the wire.
type bytesCodec struct{}

func (bytesCodec) Name() string                  { return "proto" }
func (bytesCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (bytesCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = slices.Clone(data)
	return nil
}

// texts are the items of a body, as a record shows it.
func (s *items) texts(body, coding string) string {
	var texts []string
	for r := strings.NewReader(body); ; {
		data, compressed, err := readItem(r, coding)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				texts = append(texts, err.Error())
			}
			return strings.Join(texts, "\n")
		}
		texts = append(texts, s.shown(data, compressed, coding))
	}
}

// shown is an item as it was on the wire. That it was compressed is said if it
// should not have been, and the other way round.
func (s *items) shown(data []byte, compressed bool, coding string) string {
	switch {
	case compressed == (coding != ""):
		return s.text(data)
	case compressed:
		return s.text(data) + " compressed"
	}
	return s.text(data) + " not compressed"
}

// readItem reads one message, out of its encoding.
func readItem(r io.Reader, coding string) (data []byte, compressed bool, err error) {
	var prefix [5]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, false, err
	}
	size := binary.BigEndian.Uint32(prefix[1:])
	if size > 1<<20 {
		return nil, false, errors.New("no frame")
	}
	data = make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, false, errors.New("broken off")
	}
	if prefix[0] == 0 {
		return data, false, nil
	}
	plain, err := grpcencoding.GetCompressor(coding).Decompress(strings.NewReader(string(data)))
	if err == nil {
		data, err = io.ReadAll(plain)
	}
	return data, true, err
}

func writeItem(w http.ResponseWriter, coding string, data []byte) {
	var prefix [5]byte
	if coding != "" {
		var b strings.Builder
		c, err := grpcencoding.GetCompressor(coding).Compress(&b)
		if err == nil {
			_, err = c.Write(data)
		}
		if err == nil {
			err = c.Close()
		}
		if err != nil {
			panic(err)
		}
		prefix[0], data = 1, []byte(b.String())
	}
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(data)))
	w.Write(append(prefix[:], data...))
	http.NewResponseController(w).Flush()
}

// serve answers a call and notes it. Its head leaves with the first item that
// it answers: what a caller has seen of a call that a rule ends is then no
// matter of time.
func (s *items) serve(a *callAction, m method, w http.ResponseWriter, r *http.Request, s1 *seen) {
	script, coding := a.call, r.Header.Get("Grpc-Encoding")
	h := w.Header()
	h["Date"] = nil
	if script.reset || script.noGRPC || script.trailersOnly {
		s.readAll(r, coding, s1)
	}
	switch {
	case script.reset:
		panic(http.ErrAbortHandler)
	case script.noGRPC:
		h.Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "<p>no")
		return
	case script.trailersOnly:
		h.Set("Content-Type", "application/grpc")
		h.Set("Grpc-Status", script.status())
		h.Set("Grpc-Message", percentEncoded(script.message))
		h.Set("X-Trailer", "t")
		h["Content-Length"] = nil
		w.WriteHeader(http.StatusOK)
		return
	}
	for _, f := range answerFields(coding) {
		name, value, _ := strings.Cut(f, ": ")
		h.Add(name, value)
	}
	answer := func(data []byte) {
		if script.bad {
			data = badItem
		}
		if !script.silent {
			writeItem(w, coding, data)
		}
	}
	var names []string
	for {
		data, compressed, err := readItem(r.Body, coding)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s1.Err = "broken off"
				panic(http.ErrAbortHandler)
			}
			break
		}
		s1.note(s.shown(data, compressed, coding))
		names = append(names, s.name(data))
		if m.streams {
			answer(data)
			if !m.streamed {
				answer(data)
			}
		}
		if script.cut {
			panic(http.ErrAbortHandler)
		}
	}
	if !m.streams {
		answer(s.named(strings.Join(names, "+")))
	}
	http.NewResponseController(w).Flush()
	h.Set(http.TrailerPrefix+"Grpc-Status", script.status())
	if script.message != "" {
		h.Set(http.TrailerPrefix+"Grpc-Message", percentEncoded(script.message))
	}
	h.Set(http.TrailerPrefix+"X-Trailer", "t")
}

func (c callScript) status() string {
	if c.code == "" {
		return "0"
	}
	return c.code
}

func percentEncoded(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '%' {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func answerFields(coding string) []string {
	fields := []string{"content-type: application/grpc", "x-up: 1", "x-up: 2", "x-up-bin: QUI"}
	if coding != "" {
		fields = append(fields, "grpc-encoding: "+coding)
	}
	return fields
}

func (s *items) readAll(r *http.Request, coding string, s1 *seen) {
	for {
		data, compressed, err := readItem(r.Body, coding)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s1.Err = "broken off"
			}
			return
		}
		s1.note(s.shown(data, compressed, coding))
	}
}

func (s1 *seen) note(item string) { s1.Messages = append(s1.Messages, item) }

// dial is a caller's connection.
func dial(t *testing.T, addr string) *grpc.ClientConn {
	return testbed.GRPCDial(t, addr, grpc.WithUserAgent("matrix"), grpc.WithAuthority(serviceHost), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{})))
}

// callOf makes the call of a case and reads it to its end.
func (s *items) callOf(t *testing.T, conn *grpc.ClientConn, path string, in [][]byte, coding string, cancelled bool, fields ...string) answered {
	t.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), fields...), testbed.Patience)
	defer cancel()
	var options []grpc.CallOption
	if coding != "" {
		options = append(options, grpc.UseCompressor(coding))
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, path, options...)
	if err != nil {
		return answered{Code: status.Code(err).String(), Message: transportMessage(err)}
	}
	for _, m := range in {
		if stream.SendMsg(&m) != nil {
			break // its status comes below
		}
		if cancelled {
			break
		}
	}
	if !cancelled {
		stream.CloseSend()
	}
	var a answered
	for {
		var data []byte
		if err = stream.RecvMsg(&data); err != nil {
			break
		}
		a.Messages = append(a.Messages, s.text(data))
		if cancelled {
			cancel()
		}
	}
	if header, _ := stream.Header(); header != nil {
		a.Fields = fieldsOf(http.Header(header))
	}
	a.Trailers = fieldsOf(http.Header(stream.Trailer()))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	a.Code, a.Message = status.Code(err).String(), transportMessage(err)
	return a
}

// transportMessage is a status' message, unless the caller's own grpc-go has
// made it up: its texts name addresses, and what it was doing.
func transportMessage(err error) string {
	s := status.Convert(err)
	for _, own := range []string{"connection error:", "error reading from server:", "stream terminated by RST_STREAM", "transport is closing", "closing transport", "received prior goaway", "broken pipe", "connection reset"} {
		if s.Code() != codes.OK && strings.Contains(s.Message(), own) {
			return "(the caller's own)"
		}
	}
	return s.Message()
}
