package rules

import (
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules/document"
)

// caseText is a case of tests: as it is written.
type caseText struct {
	name        text
	now         document.Value[time.Time]
	descriptors document.Value[[]text]
	request     document.Value[messageText]
	response    document.Value[messageText]
	outcomes    document.Value[[]document.Value[outcomeText]]
	expect      document.Value[expectText]
}

// messageText is a request or a response: given, or expected.
type messageText struct {
	direction          document.Value[Direction]
	method, path, host text
	params             document.Value[[]document.Entry[string]]
	query, headers     document.Value[[]document.Entry[[]text]]
	trailers           document.Value[[]document.Entry[[]text]]
	status             number
	grpc               document.Value[Code]
	body               document.Value[codec.Value]
	text               text
	messages           document.Value[[]document.Value[codec.Value]]
}

type outcomeText struct {
	status   number
	grpc     document.Value[Code]
	err      document.Value[string]
	headers  document.Value[[]document.Entry[[]text]]
	body     document.Value[codec.Value]
	duration number
	times    number
}

type expectText struct {
	unchanged         document.Value[bool]
	request, response document.Value[messageText]
	messages          document.Value[[]document.Value[codec.Value]]
	reject            document.Value[rejectedText]
	breaker           document.Value[string]
}

type rejectedText struct {
	status  number
	grpc    document.Value[Code]
	message text
	step    text
}

func casesType() document.Type[[]document.Value[caseText]] {
	return document.ListOf(document.Object(caseTable()))
}

func caseTable() document.Table[caseText] {
	type c = caseText
	return document.Table[c]{
		document.Key("name", document.String(), func(t *c) *text { return &t.name },
			"What the case shows; no two of a file have one name.").Such("adds the tier"),
		document.Key("now", document.Instant(), func(t *c) *document.Value[time.Time] { return &t.now },
			"The instant of the exchange; 2000-01-01T00:00:00Z.").Such("2026-03-01T12:00:00Z"),
		document.Key("descriptors", document.OneOrList(document.String()), func(t *c) *document.Value[[]text] { return &t.descriptors },
			"Files or directories of gRPC descriptors, .proto or .binpb, relative to the rule file.").Such("orders.proto"),
		document.LaterKey[c]("lookup", "What the lookups find."),
		document.Key("request", document.Object(requestTable()), func(t *c) *document.Value[messageText] { return &t.request },
			"What the caller sends; what it does not say follows from match."),
		document.Key("response", document.Object(responseTable()), func(t *c) *document.Value[messageText] { return &t.response },
			"What the upstream answers; without it the request alone is looked at."),
		document.Key("outcomes", document.ListOf(document.Object(outcomeTable())), func(t *c) *document.Value[[]document.Value[outcomeText]] { return &t.outcomes },
			"How exchanges before this one ended, for the breaker.").Such([]any{map[string]any{"status": 503}, map[string]any{"error": "refused"}}),
		document.Key("expect", document.Object(expectTable()), func(t *c) *document.Value[expectText] { return &t.expect },
			"What is to come of it; `sluice test --update` writes it where it is missing or wrong."),
	}
}

func requestTable() document.Table[messageText] {
	type m = messageText
	return append(document.Table[m]{
		document.Key("direction", document.Enum(Inbound, Outbound), func(t *m) *document.Value[Direction] { return &t.direction },
			"inbound or outbound; by match, else inbound."),
		document.Key("params", document.MapOf(document.String()), func(t *m) *document.Value[[]document.Entry[string]] { return &t.params },
			"Values of the pattern's wildcards, in place of path; a wildcard's own name.").Such(map[string]any{"id": "7"}),
	}, append(sentTable(), bodyTable()...)...)
}

// sentTable is what stands in the head of a request.
func sentTable() document.Table[messageText] {
	type m = messageText
	return document.Table[m]{
		document.Key("method", document.String(), func(t *m) *text { return &t.method },
			"The method.").Such("POST"),
		document.Key("path", document.String(), func(t *m) *text { return &t.path },
			"The path, without a query.").Such("/v1/orders/7"),
		document.Key("query", document.MapOf(document.OrNull(document.OneOrList(document.String()))), func(t *m) *document.Value[[]document.Entry[[]text]] { return &t.query },
			"The query's values by name; null: there is none.").Such(map[string]any{"dry_run": "true"}),
		document.Key("host", document.String(), func(t *m) *text { return &t.host },
			"The Host field.").Such("orders:8080"),
	}
}

func responseTable() document.Table[messageText] {
	return append(document.Table[messageText]{
		document.Key("status", document.Int(200, 599), func(t *messageText) *number { return &t.status },
			"The HTTP status; 200."),
		document.Key("grpc", document.Enum(codes[:]...), func(t *messageText) *document.Value[Code] { return &t.grpc },
			"The gRPC status of a call; OK."),
		document.Key("trailers", document.MapOf(document.OrNull(document.OneOrList(document.String()))), func(t *messageText) *document.Value[[]document.Entry[[]text]] { return &t.trailers },
			"The trailers behind the body, as headers; a call's status stands under grpc."),
	}, bodyTable()...)
}

// bodyTable is what requests and responses have in common.
func bodyTable() document.Table[messageText] {
	type m = messageText
	return document.Table[m]{
		document.Key("headers", document.MapOf(document.OrNull(document.OneOrList(document.String()))), func(t *m) *document.Value[[]document.Entry[[]text]] { return &t.headers },
			"Header values by name, a list for repeats; null: there is none.").Such(map[string]any{"x-tier": "gold"}),
		document.Key("body", document.Any(), func(t *m) *document.Value[codec.Value] { return &t.body },
			"The message as jq sees it; in JSON unless the content type or format says otherwise."),
		document.Key("text", document.String(), func(t *m) *text { return &t.text },
			"The body's very text, in place of body."),
		document.Key("messages", document.ListOf(document.Any()), func(t *m) *document.Value[[]document.Value[codec.Value]] { return &t.messages },
			"The messages of a stream, in place of body."),
	}
}

func outcomeTable() document.Table[outcomeText] {
	type o = outcomeText
	errors := document.Enum("refused", "unreachable", "connect_timeout", "timeout", "reset", "protocol")
	return document.Table[o]{
		document.Key("status", document.Int(200, 599), func(t *o) *number { return &t.status },
			"The HTTP status; 200."),
		document.Key("grpc_status", document.Enum(codes[:]...), func(t *o) *document.Value[Code] { return &t.grpc },
			"The gRPC status of a call; OK."),
		document.Key("error", errors, func(t *o) *document.Value[string] { return &t.err },
			"Why there was no response."),
		document.Key("headers", document.MapOf(document.OrNull(document.OneOrList(document.String()))), func(t *o) *document.Value[[]document.Entry[[]text]] { return &t.headers },
			"The response's headers."),
		document.Key("body", document.Any(), func(t *o) *document.Value[codec.Value] { return &t.body },
			"The response's message."),
		document.Key("duration_ms", document.Int(0, 1<<31), func(t *o) *number { return &t.duration },
			"How long it took; 0."),
		document.Key("times", document.Int(1, 10_000), func(t *o) *document.Value[int64] { return &t.times },
			"So many of them, one after the other; 1."),
	}
}

func expectTable() document.Table[expectText] {
	type e = expectText
	expected := func(head document.Table[messageText]) document.Type[messageText] {
		return document.Object(append(head, bodyTable()...))
	}
	return document.Table[e]{
		document.Key("unchanged", document.Bool(), func(t *e) *document.Value[bool] { return &t.unchanged },
			"true: all passes as the bytes that came."),
		document.Key("request", expected(sentTable()), func(t *e) *document.Value[messageText] { return &t.request },
			"What is sent to the upstream: of the head what is named, the body as a whole."),
		document.Key("response", document.Object(responseTable()), func(t *e) *document.Value[messageText] { return &t.response },
			"What the caller is answered, by whomever."),
		document.Key("messages", document.ListOf(document.Any()), func(t *e) *document.Value[[]document.Value[codec.Value]] { return &t.messages },
			"What became of the response's messages or, if only the request has some, of those."),
		document.Key("reject", document.Object(rejectedTable()), func(t *e) *document.Value[rejectedText] { return &t.reject },
			"A reject step has answered; {} for any."),
		document.Key("breaker", document.Enum("closed", "open"), func(t *e) *document.Value[string] { return &t.breaker },
			"The state of the breaker in the end."),
	}
}

func rejectedTable() document.Table[rejectedText] {
	type r = rejectedText
	return document.Table[r]{
		document.Key("status", document.Int(200, 599), func(t *r) *number { return &t.status },
			"The HTTP status."),
		document.Key("grpc", document.Enum(codes[:]...), func(t *r) *document.Value[Code] { return &t.grpc },
			"The gRPC status by name."),
		document.Key("message", document.String(), func(t *r) *text { return &t.message },
			"What the caller is told."),
		document.Key("step", document.String(), func(t *r) *text { return &t.step },
			"The step that rejects.").Such("request[1].reject"),
	}
}
