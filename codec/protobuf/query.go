package protobuf

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The query speaks the protocol itself rather than through a client library: it
// is one stream of two kinds of question, and all its bounds (bytes, files, time)
// are then in one place. The messages of v1alpha are those of v1 on the wire.

// answer is what a server says of a service.
type answer struct {
	schema *schema
	files  [][]byte // nearly as they came; no two have the same path
}

// query asks a server for the files that a service needs.
func query(ctx context.Context, config ReflectionConfig, server Server, service string) (*answer, error) {
	conn, err := grpc.NewClient("passthrough:///reflection",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return server.Dial(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority(server.Authority),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithDisableHealthCheck(),
		grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(int(config.Size))),
	)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	var failures []error
	for _, version := range []string{"v1", "v1alpha"} {
		q := question{config: config, files: make(descriptors), elements: maxElements}
		err := q.ask(ctx, conn, version, service)
		if err == nil {
			schema, err := q.files.link(service)
			if err != nil {
				return nil, err
			}
			return &answer{schema, q.came}, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", version, err))
		// Whatever else went wrong with v1, v1alpha may do: gateways answer with
		// UNAVAILABLE or plain HTTP errors where they do not know a service.
		if ctx.Err() != nil || errors.Is(err, ErrUnknownMethod) || errors.Is(err, errTooMuch) {
			break
		}
	}
	return nil, errors.Join(failures...)
}

// link makes the schema of a service of files that somebody else has written. It
// is an error if they do not have the service.
func (d descriptors) link(service string) (_ *schema, err error) {
	defer func() {
		if p := recover(); p != nil { // descriptors are the server's, linking them is a library's
			err = fmt.Errorf("link descriptors: panic: %v", p)
		}
	}()
	registry, err := d.registry()
	if err != nil {
		return nil, err
	}
	found, err := registry.FindDescriptorByName(protoreflect.FullName(service))
	if _, ok := found.(protoreflect.ServiceDescriptor); !ok || err != nil {
		return nil, fmt.Errorf("the files for %s do not have it", service)
	}
	return newSchema(registry), nil
}

var errTooMuch = errors.New("more descriptors than allowed")

// question collects the files of one service.
type question struct {
	config   ReflectionConfig
	stream   grpc.ClientStream
	files    descriptors
	came     [][]byte // files, nearly as they came
	bytes    int
	elements int // that may still come
}

func (q *question) ask(ctx context.Context, conn *grpc.ClientConn, version, service string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var err error
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	q.stream, err = conn.NewStream(ctx, desc, "/grpc.reflection."+version+".ServerReflection/ServerReflectionInfo")
	if err != nil {
		return err
	}
	files, err := q.exchange(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: service},
	})
	if status.Code(err) == codes.NotFound {
		return fmt.Errorf("%s: %w", service, ErrUnknownMethod)
	}
	if err != nil {
		return fmt.Errorf("ask for %s: %w", service, err)
	}
	if err := q.add(files); err != nil {
		return err
	}
	return q.imports()
}

// imports asks for what is imported until nothing is missing. A file that the
// server does not have stays a gap.
func (q *question) imports() error {
	asked := make(map[string]bool)
	for {
		path := q.missing(asked)
		if path == "" {
			return nil
		}
		asked[path] = true
		files, err := q.exchange(&reflectionpb.ServerReflectionRequest{
			MessageRequest: &reflectionpb.ServerReflectionRequest_FileByFilename{FileByFilename: path},
		})
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			continue
		case err != nil:
			return fmt.Errorf("ask for an import: %w", err)
		}
		if err := q.add(files); err != nil {
			return err
		}
	}
}

func (q *question) missing(asked map[string]bool) string {
	if len(asked) > q.config.Files {
		return ""
	}
	for _, f := range q.files {
		for _, path := range f.Dependency {
			if _, ok := q.files[path]; !ok && !asked[path] && !isStandard(path) {
				return path
			}
		}
	}
	return ""
}

// add takes a server's files; of two with one path the first counts.
func (q *question) add(files [][]byte) error {
	for _, data := range files {
		if q.bytes += len(data); q.bytes > int(q.config.Size) || len(q.files) >= q.config.Files {
			return fmt.Errorf("%w: %d bytes in %d files", errTooMuch, q.bytes, len(q.files)+1)
		}
		f, slim, err := readDescriptor(data, &q.elements)
		if err != nil {
			return fmt.Errorf("read a descriptor: %w", err)
		}
		if _, ok := q.files[f.GetName()]; !ok {
			q.files[f.GetName()] = f
			q.came = append(q.came, slim)
		}
	}
	return nil
}

// refusal is an answer that says no to one question.
type refusal struct{ status *status.Status }

func (r *refusal) Error() string {
	const most = 200
	msg := r.status.Message()
	return msg[:min(most, len(msg))]
}

func (r *refusal) GRPCStatus() *status.Status { return r.status }

func (q *question) exchange(request *reflectionpb.ServerReflectionRequest) ([][]byte, error) {
	if err := q.stream.SendMsg(request); err != nil {
		// The status of a stream that ended comes with RecvMsg.
		if err := q.stream.RecvMsg(new(reflectionpb.ServerReflectionResponse)); err != nil {
			return nil, err
		}
		return nil, err
	}
	response := new(reflectionpb.ServerReflectionResponse)
	if err := q.stream.RecvMsg(response); err != nil {
		return nil, err
	}
	switch answer := response.MessageResponse.(type) {
	case *reflectionpb.ServerReflectionResponse_FileDescriptorResponse:
		return answer.FileDescriptorResponse.FileDescriptorProto, nil
	case *reflectionpb.ServerReflectionResponse_ErrorResponse:
		e := answer.ErrorResponse
		return nil, &refusal{status.New(codes.Code(e.ErrorCode), e.ErrorMessage)}
	}
	return nil, errors.New("an answer to another question")
}
