package rules_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules"
)

var instant = time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)

// TestSteps runs the steps of an archive's rule files over its request, or over
// its response if it has one. The first line is METHOD TARGET or a status,
// then come header lines, an empty line, and the message in JSON; several
// messages, one a line, make it a stream.
func TestSteps(t *testing.T) {
	archives(t, "steps", func(t *testing.T, a *txtar.Archive) string {
		set, problems := rules.Compile(ruleFiles(a))
		if set == nil {
			t.Fatal(formatProblems(problems))
		}
		q, messages := request(t, file(a, "request"))
		m, err := set.Match(t.Context(), q, instant)
		if err != nil {
			return formatError(err)
		}
		if m.Route == nil {
			return "no route\n"
		}
		steps := m.Route.Request()
		in := rules.In{Request: q, Params: m.Params, Head: q.Head, Now: instant}
		if text := file(a, "response"); text != nil {
			in.Response, messages = response(t, text)
			in.Head, steps = in.Response, m.Route.Response()
		}
		for line := range strings.Lines(string(file(a, "body"))) {
			in.Body.Skipped = strings.TrimSpace(strings.TrimPrefix(line, "skipped:"))
		}
		return runSteps(t, steps, in, messages)
	})
}

func runSteps(t *testing.T, steps *rules.Steps, in rules.In, messages []codec.Value) string {
	var b strings.Builder
	fmt.Fprintf(&b, "needs %+v\n", steps.Needs())
	run := func(phase rules.Phase, value codec.Value, index int) {
		in.Phase, in.Body.Value, in.Index = phase, value, index
		before := fmt.Sprintf("%+v %v", in.Head, value)
		out, err := steps.Run(t.Context(), in)
		if after := fmt.Sprintf("%+v %v", in.Head, value); after != before {
			t.Errorf("the input changed from %s to %s", before, after)
		}
		formatOut(&b, in, out, err)
		if out.Head != nil {
			in.Head = out.Head
		}
	}
	switch {
	case len(messages) == 0:
		run(rules.Whole, nil, 0)
	case len(messages) == 1:
		run(rules.Whole, messages[0], 0)
	default:
		for i, m := range messages {
			phase := rules.StreamMessage
			if i == 0 && steps.Needs().HeadWaits {
				phase = rules.StreamFirst
			} else if i == 0 {
				b.WriteString("--- head\n")
				run(rules.StreamHead, nil, 0)
			}
			fmt.Fprintf(&b, "--- message %d\n", i)
			run(phase, m, i)
		}
	}
	return b.String()
}

func formatOut(b *strings.Builder, in rules.In, out rules.Out, err error) {
	for _, s := range out.Steps {
		fmt.Fprintf(b, "%s %s", s.Step, s.Result)
		if s.Count != 0 || s.Body != nil {
			fmt.Fprintf(b, " %d %s", s.Count, encode(s.Body))
		}
		b.WriteByte('\n')
	}
	if err != nil {
		b.WriteString(formatError(err))
		return
	}
	if r := out.Reject; r != nil {
		fmt.Fprintf(b, "= reject by %s: %d %s %q\n", r.Step, r.Status, r.GRPC, r.Message)
		return
	}
	switch h := out.Head; {
	case h == in.Head:
		b.WriteString("= head untouched\n")
	case h.Status != 0:
		fmt.Fprintf(b, "= %d\n", h.Status)
	default:
		fmt.Fprintf(b, "= %s %s?%s host %s\n", h.Method, h.Path, h.Query, h.Host)
	}
	if out.Head != in.Head {
		for _, f := range out.Head.Fields {
			fmt.Fprintf(b, "= %s: %s\n", f.Name, f.Value)
		}
	}
	if !out.Edited {
		b.WriteString("= message untouched\n")
	}
	for _, m := range out.Messages {
		fmt.Fprintf(b, "= %s\n", encode(m))
	}
}

func formatError(err error) string {
	e, ok := err.(*rules.StepError)
	if !ok {
		return fmt.Sprintf("! no StepError: %v\n", err)
	}
	return fmt.Sprintf("! %s: %v\n", e, e.Err)
}

func encode(v codec.Value) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func file(a *txtar.Archive, name string) []byte {
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return a.Files[i].Data
}

// request reads a request that came in on port 8080.
func request(t *testing.T, text []byte) (*rules.Request, []codec.Value) {
	first, fields, messages := message(t, text)
	method, target, _ := strings.Cut(first, " ")
	path, query, _ := strings.Cut(target, "?")
	head := &rules.Head{Method: method, Path: path, Query: query}
	q := &rules.Request{
		ID: "7", Direction: rules.Inbound, Head: head,
		Peer: netip.MustParseAddrPort("10.0.0.2:4000"), Destination: netip.MustParseAddrPort("10.0.0.1:8080"),
	}
	for _, f := range fields {
		switch f.Name {
		case "Host":
			head.Host = f.Value
		case "grpc":
			q.Service, q.Method, _ = strings.Cut(f.Value, "/")
		default:
			head.Fields = append(head.Fields, f)
		}
	}
	return q, messages
}

func response(t *testing.T, text []byte) (*rules.Head, []codec.Value) {
	first, fields, messages := message(t, text)
	status, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	return &rules.Head{Status: status, Fields: fields}, messages
}

func message(t *testing.T, text []byte) (first string, fields rules.Fields, messages []codec.Value) {
	t.Helper()
	head, body, _ := bytes.Cut(text, []byte("\n\n"))
	for i, line := range strings.Split(strings.TrimSuffix(string(head), "\n"), "\n") {
		if i == 0 {
			first = line
			continue
		}
		name, value, _ := strings.Cut(line, ": ")
		fields = append(fields, rules.Field{Name: name, Value: strings.TrimSuffix(value, "~")})
	}
	for line := range strings.Lines(string(body)) {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		messages = append(messages, v)
	}
	return first, fields, messages
}
