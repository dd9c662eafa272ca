package rules

import (
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules/document"
)

// The structs and tables of this file are the rule file's format: the parser
// reads by them, and a schema and a reference can be printed from them.

type (
	text   = document.Value[string]
	number = document.Value[int64]
	span   = document.Value[time.Duration]
	size   = document.Value[codec.Bytes]
)

// Format is the name of a payload format, as a codec has it.
type Format string

// The formats that a rule file can name: of bodies, and those of them that can
// be turned into each other.
var (
	spokenFormats = []Format{"json", "xml", "csv", "tsv", "form", "yaml", "msgpack", "ndjson"}
	bodyFormats   = append(spokenFormats[:len(spokenFormats):len(spokenFormats)], "sse", "text", "binary")
)

// fileText is a rule file as it is written.
type fileText struct {
	route     text
	mode      document.Value[mode]
	match     document.Value[matchText]
	format    document.Value[Format]
	request   document.Value[[]document.Value[stepText]]
	response  document.Value[[]document.Value[stepText]]
	trailers  document.Value[[]document.Value[stepText]]
	upstream  document.Value[upstreamText]
	onError   document.Value[OnError]
	limits    document.Value[limitsText]
	redact    document.Value[redactText]
	rateLimit document.Value[rateLimitText]
	fault     document.Value[faultText]
	tests     document.Value[[]document.Value[caseText]]
}

type mode string

const (
	modeEnforce mode = "enforce"
	modeShadow  mode = "shadow"
	modeOff     mode = "off"
)

type matchText struct {
	direction  document.Value[Direction]
	http, grpc document.Value[[]text]
	host       document.Value[[]text]
	port       document.Value[[]number]
	headers    document.Value[[]document.Entry[string]]
	where      text
}

type stepText struct {
	when, jq, head text
	reject         document.Value[answerText]
}

// answerText is a reject or a fallback.
type answerText struct {
	status  number
	grpc    document.Value[Code]
	message text
	headers document.Value[[]document.Entry[[]text]]
	body    document.Value[codec.Value]
}

type upstreamText struct {
	format  document.Value[Format]
	timeout document.Value[timeoutText]
	breaker document.Value[breakerText]
}

type timeoutText struct{ total, attempt, idle span }

type breakerText struct {
	failure, trip text
	window, open  span
	probes        number
	fallback      document.Value[answerText]
}

type limitsText struct {
	body, message size
	steps         number
	time          span
}

// fileType is the type of a whole rule file.
func fileType() document.Type[fileText] {
	type f = fileText
	steps := document.ListOf(document.Object(stepTable()))
	return document.Object(document.Table[f]{
		document.Key("route", document.String(), func(t *f) *text { return &t.route },
			"The route's label in tap, logs and metrics; the file's name if absent.").Such("orders.create"),
		document.Key("mode", document.Enum(modeEnforce, modeShadow, modeOff), func(t *f) *document.Value[mode] { return &t.mode },
			"enforce applies the route; shadow runs it on copies of live traffic, of bodies up to 1MiB, and reports what it would change; off only checks it."),
		document.Key("match", document.Object(matchTable()), func(t *f) *document.Value[matchText] { return &t.match },
			"Which exchanges the route is for; all of HTTP if absent."),
		document.LaterKey[f]("authenticate", "Who the caller has to be."),
		document.LaterKey[f]("authorize", "What the caller may do."),
		document.Key("rate_limit", document.Object(rateLimitTable()), func(t *f) *document.Value[rateLimitText] { return &t.rateLimit },
			"How often the route may be used: 429 or RESOURCE_EXHAUSTED beyond."),
		document.LaterKey[f]("lookup", "Questions asked before jq runs."),
		document.Key("format", document.Enum(bodyFormats...), func(t *f) *document.Value[Format] { return &t.format },
			"The payload's format where the content type is wrong or missing."),
		document.Key("request", steps, func(t *f) *document.Value[[]document.Value[stepText]] { return &t.request },
			"Steps over the request, in order."),
		document.Key("upstream", document.Object(upstreamTable()), func(t *f) *document.Value[upstreamText] { return &t.upstream },
			"How the service is called."),
		document.LaterKey[f]("serve", "An answer without an upstream."),
		document.Key("fault", document.Object(faultTable()), func(t *f) *document.Value[faultText] { return &t.fault },
			"Faults to inject before the upstream is asked."),
		document.Key("response", steps, func(t *f) *document.Value[[]document.Value[stepText]] { return &t.response },
			"Steps over the response, in order."),
		document.Key("trailers", trailerSteps(), func(t *f) *document.Value[[]document.Value[stepText]] { return &t.trailers },
			"Steps over the response's trailers, in order, where a protocol has them."),
		document.Key("on_error", document.Enum(OnErrorReject, OnErrorPass), func(t *f) *document.Value[OnError] { return &t.onError },
			"What happens when a step fails or a body is over a limit: reject or pass."),
		document.Key("limits", document.Object(limitsTable()), func(t *f) *document.Value[limitsText] { return &t.limits },
			"What the route may cost."),
		document.Key("redact", document.Object(redactTable()), func(t *f) *document.Value[redactText] { return &t.redact },
			"What never shows in tap, logs and recordings."),
		document.Key("tests", casesType(), func(t *f) *document.Value[[]document.Value[caseText]] { return &t.tests },
			"Cases that `sluice test` runs offline; they have no effect on traffic."),
	})
}

func matchTable() document.Table[matchText] {
	type m = matchText
	texts := document.OneOrList(document.String())
	return document.Table[m]{
		document.Key("direction", document.Enum(Inbound, Outbound), func(t *m) *document.Value[Direction] { return &t.direction },
			"inbound or outbound; both if absent."),
		document.Key("http", texts, func(t *m) *document.Value[[]text] { return &t.http },
			"One or more patterns [METHOD ][HOST]/[PATH], as Go's http.ServeMux has them.").Such("POST /v1/orders/{id}", []any{"GET /v1/orders", "GET /v1/orders/{id}"}),
		document.Key("grpc", texts, func(t *m) *document.Value[[]text] { return &t.grpc },
			"One or more of package.Service/Method, package.Service/* and *.").Such("shop.v1.Orders/Create", "shop.v1.Orders/*"),
		document.Key("host", texts, func(t *m) *document.Value[[]text] { return &t.host },
			"One or more hosts, one of which it has to be; a leading * is one or more labels.").Such("orders", []any{"orders", "*.shop.svc"}),
		document.Key("port", document.OneOrList(document.Int(1, 65535)), func(t *m) *document.Value[[]number] { return &t.port },
			"One or more original destination ports.").Such(8080),
		document.Key("headers", document.MapOf(document.String()), func(t *m) *document.Value[[]document.Entry[string]] { return &t.headers },
			"Header values of which one has to be equal, or * for present.").Such(map[string]any{"x-tenant": "acme", "x-debug": "*"}),
		document.Key("where", document.Program(), func(t *m) *text { return &t.where },
			"jq over the head that gives one boolean.").Such(`.query.dry_run != "true"`),
	}
}

func stepTable() document.Table[stepText] {
	type s = stepText
	return document.Table[s]{
		document.Key("when", document.Program(), func(t *s) *text { return &t.when },
			"jq that gives one boolean: the step runs if it is true.").Such(".quantity > 100"),
		document.Key("jq", document.Program(), func(t *s) *text { return &t.jq },
			"jq over the message, whose result is the new message.").Such(`.user.email = "x" | del(.password)`),
		document.Key("head", document.Program(), func(t *s) *text { return &t.head },
			"jq over the head, whose result is the new head.").Such(`.headers["x-tier"] = $body.tier`),
		document.Key("reject", document.Object(rejectTable()), func(t *s) *document.Value[answerText] { return &t.reject },
			"Answers the caller; nothing is sent on."),
	}
}

// trailerSteps are steps over trailers, which have no message and no head.
func trailerSteps() document.Type[[]document.Value[stepText]] {
	type s = stepText
	return document.ListOf(document.Object(document.Table[s]{
		document.Key("when", document.Program(), func(t *s) *text { return &t.when },
			"jq over the trailers that gives one boolean: the step runs if it is true.").Such(`.grpc_status == "UNAVAILABLE"`),
		document.Key("jq", document.Program(), func(t *s) *text { return &t.jq },
			"jq over the trailers, grpc_status and grpc_message among them, whose result is the new trailers.").Such(`.["x-cost"] = "7"`),
	}))
}

func statusKey() document.Field[answerText] {
	return document.Key("status", document.Int(200, 599), func(t *answerText) *number { return &t.status },
		"The HTTP status; derived from grpc if only that is there.")
}

func grpcKey() document.Field[answerText] {
	return document.Key("grpc", document.Enum(codes[:]...), func(t *answerText) *document.Value[Code] { return &t.grpc },
		"The gRPC status by name; derived from status if only that is there.")
}

func messageKey() document.Field[answerText] {
	return document.Key("message", document.String(), func(t *answerText) *text { return &t.message },
		"What the caller is told.")
}

func rejectTable() document.Table[answerText] {
	return document.Table[answerText]{statusKey(), grpcKey(), messageKey()}
}

func upstreamTable() document.Table[upstreamText] {
	type u = upstreamText
	return document.Table[u]{
		document.Key("format", document.Enum(spokenFormats...), func(t *u) *document.Value[Format] { return &t.format },
			"What the service speaks, if it is not what the caller speaks."),
		document.LaterKey[u]("request", "The request to make of a call in another format."),
		document.LaterKey[u]("to", "Where to call; the original destination if absent."),
		document.Key("timeout", document.Object(timeoutTable()), func(t *u) *document.Value[timeoutText] { return &t.timeout },
			"How long to wait; for ever if absent."),
		document.LaterKey[u]("retry", "When to try again."),
		document.Key("breaker", document.Object(breakerTable()), func(t *u) *document.Value[breakerText] { return &t.breaker },
			"Stops calling a service that fails."),
		document.LaterKey[u]("split", "Versions that share the traffic."),
		document.LaterKey[u]("mirror", "A copy of the traffic to compare with."),
	}
}

func timeoutTable() document.Table[timeoutText] {
	type t = timeoutText
	return document.Table[t]{
		document.Key("total", document.Duration(), func(t *t) *span { return &t.total },
			"From when the request goes to the service until its response ends; of a stream, until its head.").Such("2s"),
		document.Key("attempt", document.Duration(), func(t *t) *span { return &t.attempt },
			"From when the request goes to the service until the head of its response.").Such("800ms"),
		document.Key("idle", document.Duration(), func(t *t) *span { return &t.idle },
			"How long both sides may be silent until the response ends.").Such("30s"),
	}
}

func breakerTable() document.Table[breakerText] {
	type b = breakerText
	return document.Table[b]{
		document.Key("failure", document.Program(), func(t *b) *text { return &t.failure },
			"jq over the outcome: what counts as a failure.").Such(".status >= 500 or (.body.errors | length) > 0"),
		document.Key("trip", document.Program(), func(t *b) *text { return &t.trip },
			"jq over the counts of the window: when to open.").Such(".requests >= 20 and .failures / .requests > 0.5"),
		document.Key("window", document.Duration(), func(t *b) *span { return &t.window },
			"How far back the counts reach; 10s.").Such("10s"),
		document.Key("open", document.Duration(), func(t *b) *span { return &t.open },
			"How long it stays open before it probes; 30s.").Such("30s"),
		document.Key("probes", document.Int(1, 1000), func(t *b) *number { return &t.probes },
			"At most so many probes at once, and so many successes close it; 1."),
		document.Key("fallback", document.Object(fallbackTable()), func(t *b) *document.Value[answerText] { return &t.fallback },
			"The answer while it is open; 503 and UNAVAILABLE if absent.").Such(map[string]any{"status": 200, "body": map[string]any{"orders": []any{}, "stale": true}}),
	}
}

func fallbackTable() document.Table[answerText] {
	type a = answerText
	return document.Table[a]{
		statusKey(), grpcKey(), messageKey(),
		document.Key("headers", document.MapOf(document.OneOrList(document.String())), func(t *a) *document.Value[[]document.Entry[[]text]] { return &t.headers },
			"Headers of the answer, each a text or a list of texts."),
		document.Key("body", document.Any(), func(t *a) *document.Value[codec.Value] { return &t.body },
			"The answer's message, encoded in the caller's format."),
	}
}

func limitsTable() document.Table[limitsText] {
	type l = limitsText
	return document.Table[l]{
		document.Key("body", document.Size(), func(t *l) *size { return &t.body },
			"Of an HTTP body kept for a rule; 8MiB.").Such("8MiB"),
		document.Key("message", document.Size(), func(t *l) *size { return &t.message },
			"Of one gRPC message; 4MiB.").Such("4MiB"),
		document.Key("steps", document.Int(1, 1<<40), func(t *l) *number { return &t.steps },
			"Instructions of all jq programs that one message meets; 5000000. What a program makes counts too: one for about 24 bytes."),
		document.Key("time", document.Duration(), func(t *l) *span { return &t.time },
			"Of one run of a jq program; 1s.").Such("1s"),
	}
}
