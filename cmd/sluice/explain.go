package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/admin"
	"github.com/sluice-proxy/sluice/proxy/tap"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/watch"
)

// explainOptions is the command line of explain.
type explainOptions struct {
	at          adminFlags
	rules       string
	headers     []string
	data        string
	response    string
	direction   string
	destination string
	descriptors []string
}

func newExplainCmd() *cobra.Command {
	var options explainOptions
	o := outputText
	cmd := &cobra.Command{
		Use:   "explain [flags] METHOD URL | explain [flags] ID",
		Short: "Show which route a request meets and why, and what each step does",
		Long: `Show what becomes of a request: the routes that compete for it and why each but one loses, each step with what it
changes, how long it takes and whether it runs in place, and what is sent in the end, with the difference marked. Nothing
is sent. The rules are those of a running sidecar, or with --rules those in a directory. An ID is that of an exchange that
has happened, as sluice tap shows it.

A URL with the scheme grpc is a gRPC call, whose messages are given in JSON. A body without a content type that is JSON
counts as JSON. The connection is inbound to the port of the URL unless a flag says otherwise.`,
		Example: `  sluice explain --rules rules GET http://orders:8080/v1/orders/7
  sluice explain POST orders/v1/orders -H 'x-tenant: acme' -d '{"quantity": 101}'
  curl -si http://orders/v1/orders/7 | sluice explain --rules rules GET orders/v1/orders/7 --response -
  sluice explain --descriptors orders.proto --rules rules POST grpc://orders/shop.v1.Orders/Create -d @order.json
  sluice explain 3fa2c1-7`,
		Args: usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return options.exchange(cmd, o, args[0])
			}
			question, err := options.question(cmd.InOrStdin(), args[0], args[1])
			if err != nil {
				return err
			}
			if options.rules == "" {
				return options.ask(cmd, o, question)
			}
			answer, err := options.offline(cmd, question)
			if err != nil {
				return err
			}
			return showExplained(cmd, o, answer)
		},
	}
	options.at.register(cmd)
	o.register(cmd)
	f := cmd.Flags()
	f.StringVar(&options.rules, "rules", "", "directory of rule files; default: the rules of a running sidecar")
	f.StringArrayVarP(&options.headers, "header", "H", nil, "header line of the request, as 'name: value'")
	f.StringVarP(&options.data, "data", "d", "", "body of the request; @FILE reads it, @- from standard input")
	f.StringVar(&options.response, "response", "", "file with the response, as curl -i prints it, or its body alone; - is standard input")
	f.StringVar(&options.direction, "direction", "", "inbound or outbound; default: inbound")
	f.StringVar(&options.destination, "destination", "", "IP:PORT where the connection goes; default: by the URL")
	f.StringArrayVar(&options.descriptors, "descriptors", nil, "file or directory with .proto files or descriptor sets, for gRPC with --rules")
	return cmd
}

// question is what the command line asks.
func (o *explainOptions) question(stdin io.Reader, method, target string) (*admin.Question, error) {
	q := &admin.Question{
		Direction: rules.Direction(o.direction), Method: method, URL: target,
		Destination: o.destination, Headers: admin.Headers{},
	}
	for _, line := range o.headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, usageError(fmt.Errorf("--header: %q is not of the form 'name: value'", line))
		}
		q.Headers[name] = append(q.Headers[name], strings.TrimSpace(value))
	}
	q.Body = admin.Text(o.data)
	if name, ok := strings.CutPrefix(o.data, "@"); ok {
		data, err := readInput(stdin, name)
		if err != nil {
			return nil, fmt.Errorf("--data: %w", err)
		}
		q.Body = data
	}
	if o.response != "" {
		data, err := readInput(stdin, o.response)
		if err != nil {
			return nil, fmt.Errorf("--response: %w", err)
		}
		if q.Response, err = readResponse(data); err != nil {
			return nil, usageError(fmt.Errorf("--response: %w", err))
		}
	}
	if !utf8.Valid(q.Body) {
		q.Body, q.BodyBase64 = nil, q.Body
	}
	if r := q.Response; r != nil && !utf8.Valid(r.Body) {
		r.Body, r.BodyBase64 = nil, r.Body
	}
	if _, err := q.Parse(); err != nil {
		return nil, usageError(err)
	}
	return q, nil
}

func readInput(stdin io.Reader, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

// readResponse reads what curl -i prints: a head and a body as it was sent, but
// for a chunked one, which curl has put together. Without a head all is the body.
func readResponse(data []byte) (*admin.Response, error) {
	if !bytes.HasPrefix(data, []byte("HTTP/")) {
		return &admin.Response{Body: data}, nil
	}
	r := bufio.NewReader(bytes.NewReader(data))
	for {
		lines := textproto.NewReader(r)
		first, err := lines.ReadLine()
		if err != nil {
			return nil, err
		}
		_, status, _ := strings.Cut(first, " ")
		status, _, _ = strings.Cut(status, " ")
		n, err := strconv.Atoi(status)
		if err != nil {
			return nil, fmt.Errorf("%.40q is no status line", first)
		}
		fields, err := lines.ReadMIMEHeader()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if n < http.StatusOK {
			continue // 100 Continue stands before the response
		}
		body, err := io.ReadAll(r)
		return &admin.Response{Status: n, Headers: admin.Headers(fields), Body: body}, err
	}
}

// offline explains with the rules of a directory.
func (o *explainOptions) offline(cmd *cobra.Command, q *admin.Question) ([]byte, error) {
	files, err := watch.Read(o.rules)
	if err != nil {
		return nil, fmt.Errorf("--rules: %w", err)
	}
	set, problems := rules.Compile(files)
	if set == nil {
		if err := writeProblems(cmd.ErrOrStderr(), problems); err != nil {
			return nil, err
		}
		return nil, &exitError{Code: exitFindings}
	}
	descriptors, err := loadDescriptors(o.descriptors)
	if err != nil {
		return nil, err
	}
	live := new(rules.Live)
	live.Swap(set)
	asked, err := q.Parse()
	if err != nil {
		return nil, usageError(err)
	}
	cfg := proxy.Config{Rules: live, Codecs: formats(), Methods: protobuf.Sources(descriptors)}
	e, err := proxy.Explain(cmd.Context(), cfg, asked)
	if err != nil {
		return nil, err
	}
	return explanationText(cmd.Context(), e), nil
}

// explanationText is an explanation as POST /explain answers it.
func explanationText(ctx context.Context, e *proxy.Explanation) []byte {
	return tap.Config{Codecs: formats(), Schemaless: protobuf.Raw()}.Explanation(ctx, e)
}

// ask asks a running sidecar.
func (o *explainOptions) ask(cmd *cobra.Command, out output, q *admin.Question) error {
	if len(o.descriptors) > 0 {
		return usageError(errors.New("--descriptors goes with --rules: a sidecar has its own"))
	}
	return o.get(cmd, out, "POST", "/explain", q)
}

// exchange shows what a running sidecar remembers of an exchange.
func (o *explainOptions) exchange(cmd *cobra.Command, out output, id string) error {
	if o.rules != "" || o.data != "" || o.response != "" || len(o.headers) > 0 {
		return usageError(errors.New("an exchange that has happened takes no --rules, --header, --data or --response; a question is METHOD URL"))
	}
	return o.get(cmd, out, "GET", "/exchanges/"+url.PathEscape(id), nil)
}

func (o *explainOptions) get(cmd *cobra.Command, out output, method, path string, body any) error {
	c, err := o.at.open(cmd.Context())
	if err != nil {
		return err
	}
	var e explained
	return c.show(cmd, out, method, path, body, &e, e.writeTo)
}

// showExplained prints an explanation.
func showExplained(cmd *cobra.Command, o output, answer []byte) error {
	var e explained
	return o.show(cmd, answer, &e, e.writeTo)
}

func (e *explained) writeTo(w io.Writer) error {
	p := explainPrinter{colour: coloured(w)}
	p.all(e)
	_, err := io.WriteString(w, p.b.String())
	return err
}
