package shop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// clientTimeout bounds one request of the client.
const clientTimeout = 10 * time.Second

// Client is the shop's customer. Its methods print one line for each answer;
// an answer that says no is an answer, not an error.
type Client struct {
	HTTP string // the base of the HTTP side, such as "http://127.0.0.1:8080"
	GRPC string // the gRPC side's host:port
	Out  io.Writer
}

// Do runs one command:
//
//	order ID          the order over HTTP
//	place JSON        places an order over HTTP
//	rates N [PAUSE]   asks for the rates N times, with PAUSE in between
//	fail on|off|N     makes the rates fail, recover, or fail N times
//	get ID            the order over gRPC
//	watch ID N        N updates of an order, a server stream
//	upload ID...      uploads orders, a client stream
//	chat TEXT...      says each text and prints the answers, both ways
func (c *Client) Do(ctx context.Context, args ...string) error {
	if len(args) == 0 {
		return errors.New("shop client: no command")
	}
	name, rest := args[0], args[1:]
	switch {
	case name == "order" && len(rest) == 1:
		return c.request(ctx, http.MethodGet, "/v1/orders/"+rest[0], "")
	case name == "place" && len(rest) == 1:
		return c.request(ctx, http.MethodPost, "/v1/orders", rest[0])
	case name == "rates" && (len(rest) == 1 || len(rest) == 2):
		return c.rates(ctx, rest[0], strings.Join(rest[1:], ""))
	case name == "fail" && len(rest) == 1:
		return c.fail(ctx, rest[0])
	case name == "get" && len(rest) == 1:
		return c.call(ctx, "Get", messages("GetRequest", `{"id": %q}`, rest))
	case name == "watch" && len(rest) == 2:
		return c.call(ctx, "Watch", []request{{"WatchRequest", fmt.Sprintf(`{"id": %q, "updates": %s}`, rest[0], rest[1])}})
	case name == "upload" && len(rest) > 0:
		return c.call(ctx, "Upload", messages("Order", `{"id": %q, "customer_email": "ada@example.com", "total_cents": 100}`, rest))
	case name == "chat" && len(rest) > 0:
		return c.call(ctx, "Chat", messages("ChatMessage", `{"from": "customer", "text": %q}`, rest))
	default:
		return fmt.Errorf("shop client: no command %q with %d arguments", name, len(rest))
	}
}

// Converse runs one command for each line of in until in ends. After the
// answers to a command, or a line "error: ..." in their place, it prints an
// empty line.
func (c *Client) Converse(ctx context.Context, in io.Reader) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := c.Do(ctx, strings.Fields(lines.Text())...); err != nil {
			fmt.Fprintf(c.Out, "error: %v\n", err)
		}
		if _, err := fmt.Fprintln(c.Out); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (c *Client) fail(ctx context.Context, how string) error {
	switch how {
	case "on":
		return c.request(ctx, http.MethodPost, "/control/fail?on=true", "")
	case "off":
		return c.request(ctx, http.MethodPost, "/control/fail?on=false", "")
	default:
		return c.request(ctx, http.MethodPost, "/control/fail?count="+how, "")
	}
}

func (c *Client) rates(ctx context.Context, times, pause string) error {
	n, err := strconv.Atoi(times)
	if err != nil {
		return fmt.Errorf("shop client: rates: %w", err)
	}
	var wait time.Duration
	if pause != "" {
		if wait, err = time.ParseDuration(pause); err != nil {
			return fmt.Errorf("shop client: rates: %w", err)
		}
	}
	for i := range n {
		if i > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := c.request(ctx, http.MethodGet, "/v1/rates", ""); err != nil {
			return err
		}
	}
	return nil
}

// request sends one HTTP request and prints its answer.
func (c *Client) request(ctx context.Context, method, path, body string) error {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.HTTP+path, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("shop client: %w", err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("shop client: %s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("shop client: read the answer of %s %s: %w", method, path, err)
	}
	_, err = fmt.Fprintf(c.Out, "%s %s -> %d %s\n", method, path, resp.StatusCode, oneLine(answer))
	return err
}

// oneLine is text without line breaks; JSON keeps the order and the spelling
// that it came with.
func oneLine(text []byte) []byte {
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err == nil {
		return compact.Bytes()
	}
	return bytes.ReplaceAll(bytes.TrimSpace(text), []byte("\n"), []byte(" "))
}

// request is a message to be sent: its type and its JSON text.
type request struct{ message, text string }

func messages(name, format string, args []string) []request {
	var list []request
	for _, arg := range args {
		list = append(list, request{name, fmt.Sprintf(format, arg)})
	}
	return list
}

// call sends one gRPC call and prints every message of its answer, and its
// status if that is not OK.
func (c *Client) call(ctx context.Context, method protoreflect.Name, requests []request) error {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	s, err := compileSchema(ctx)
	if err != nil {
		return fmt.Errorf("shop client: %w", err)
	}
	conn, err := grpc.NewClient("passthrough:///"+c.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("shop client: %w", err)
	}
	defer conn.Close()
	err = c.converse(ctx, conn, s, method, requests)
	if answer, ok := status.FromError(err); ok && err != nil {
		_, err = fmt.Fprintf(c.Out, "%s/%s -> %s: %s\n", serviceName, method, answer.Code(), answer.Message())
	}
	return err
}

func (c *Client) converse(ctx context.Context, conn *grpc.ClientConn, s *schema, method protoreflect.Name, requests []request) error {
	described := s.service.Methods().ByName(method)
	desc := &grpc.StreamDesc{ServerStreams: described.IsStreamingServer(), ClientStreams: described.IsStreamingClient()}
	stream, err := conn.NewStream(ctx, desc, fmt.Sprintf("/%s/%s", serviceName, method))
	if err != nil {
		return err
	}
	lockstep := desc.ServerStreams && desc.ClientStreams
	for _, one := range requests {
		m, err := s.message(protoreflect.Name(one.message), one.text)
		if err != nil {
			return fmt.Errorf("shop client: %w", err)
		}
		// An io.EOF says that the call has ended already: RecvMsg knows why.
		if err := stream.SendMsg(m); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if lockstep {
			if err := c.receive(stream, described); err != nil {
				return err
			}
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		err := c.receive(stream, described)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// receive prints the stream's next message.
func (c *Client) receive(stream grpc.ClientStream, method protoreflect.MethodDescriptor) error {
	m := dynamicpb.NewMessage(method.Output())
	if err := stream.RecvMsg(m); err != nil {
		return err
	}
	// protojson varies its spacing on purpose; oneLine evens it out.
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("shop client: print %s: %w", method.Output().FullName(), err)
	}
	_, err = fmt.Fprintf(c.Out, "%s/%s -> %s\n", serviceName, method.Name(), oneLine(text))
	return err
}
