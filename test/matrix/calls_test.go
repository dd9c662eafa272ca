package matrix

// method is a row of the kinds of gRPC methods.
type method struct {
	name     string
	in       []string // names of the items that the caller sends
	streamed bool     // the caller may send many
	streams  bool     // the upstream may answer many
}

var methods = []method{
	{"Unary", []string{"a"}, false, false},
	{"Server", []string{"a"}, false, true},
	{"Client", []string{"a", "b", "drop", "two", "c"}, true, false},
	{"Bidi", []string{"a", "b", "drop", "two", "c"}, true, true},
}

// callEncodings are a row of grpc-encodings.
var callEncodings = []encoding{{}, {name: "gzip"}, {name: "zstd"}}

// callAction is a row of what a rule does to a call. The zero row is a call
// that the upstream answers: with the item, with each item twice, with one item
// of all names, or with each as it comes.
type callAction struct {
	name  string
	rule  string
	place place
	only  string // a method; "" for all
	ends  bool   // the call ends at its first item, and the caller sends no more
	late  bool   // it ends by the answer: whether the upstream had all of the call by then is a matter of time
	bad   bool   // the caller sends bytes that are no item
	call  callScript

	priming int  // calls before, ended with UNAVAILABLE
	cancel  bool // the caller resets the call after the first answer

	notIn string // a lane that gets it wrong, and why
}

// callScript is what the upstream does beside answering.
type callScript struct {
	code         string // grpc-status; "0"
	message      string
	trailersOnly bool // no head, no items
	silent       bool // a head, and no items
	bad          bool // answers bytes that are no item
	reset        bool // instead of a head
	cut          bool // after the first item
	noGRPC       bool // answers as a web server would
}

const (
	callHeads    = "request:\n  - head: .headers[\"x-added\"] = \"1\" | .headers[\"x-many\"] = [\"a\", \"b, c\"] | del(.headers[\"x-secret\"])\nresponse:\n  - head: .headers[\"x-answer\"] = \"1\" | del(.headers[\"x-up\"])\n"
	callRewrites = "request:\n  - jq: .name = \"in:\" + .name\nresponse:\n  - jq: .name = \"out:\" + .name\n"
	callTrailers = "trailers:\n  - when: .grpc_status != \"OK\"\n    jq: .grpc_status = \"DATA_LOSS\" | .grpc_message = \"was \" + .grpc_message | .[\"x-cost\"] = \"7\" | del(.[\"x-trailer\"])\n"
	callStatus   = "response:\n  - when: $response.grpc_status == \"DATA_LOSS\"\n    head: .headers[\"x-lost\"] = \"1\"\n  - when: $response.grpc_status == \"OK\"\n    jq: .name = \"well:\" + .name\n  - when: $response.grpc_status == \"INTERNAL\"\n    reject: {grpc: ABORTED, message: broken there}\n"
	callResults  = "if .name == \"drop\" then empty elif .name == \"two\" then (., .name = \"2\") else . end"
	callFallback = "    fallback: {grpc: OK, headers: {x-fallback: [\"1\"]}, body: {name: stale}}\n"
)

var callActions = []callAction{
	{name: "pass", place: noRules},
	{name: "beside"},
	{name: "heads", rule: callHeads},
	{name: "head-from-message", rule: "request:\n  - head: .headers[\"x-name\"] = $body.name\nresponse:\n  - head: .headers[\"x-name\"] = $body.name\n"},
	{name: "rewrite", rule: callRewrites},
	{name: "rewrite-request", rule: "request:\n  - jq: .name = \"in:\" + .name | .big = 9007199254740993\n"},
	{name: "rewrite-response", rule: "response:\n  - jq: .name = \"out:\" + .name\n"},
	{name: "same", rule: "request:\n  - jq: .\nresponse:\n  - jq: .\n"},
	{name: "when-index", rule: "request:\n  - when: $message.index > 0\n    jq: .note = \"\\($message.index)\"\n"},
	{name: "results-request", rule: "request:\n  - jq: " + callResults + "\n"},
	{name: "results-response", rule: "response:\n  - jq: " + callResults + "\n", only: "Bidi"},
	{name: "no-result", rule: "request:\n  - jq: empty\n", only: "Unary"},
	{name: "two-results", rule: "response:\n  - jq: ., .\n", only: "Unary"},

	{name: "reject-by-head", rule: "request:\n  - when: $request.headers[\"x-secret\"] == \"s\"\n    reject: {grpc: UNAUTHENTICATED, message: not you}\n"},
	{name: "reject-by-message", ends: true, rule: "request:\n  - when: .name == \"a\"\n    reject: {grpc: OUT_OF_RANGE, message: 100 % \"no\"}\n"},
	{name: "reject-second", rule: "request:\n  - when: .name == \"b\"\n    reject: {status: 422}\n", only: "Client"},
	{name: "reject-response", ends: true, late: true, rule: "response:\n  - when: .name != \"\"\n    reject: {grpc: DATA_LOSS, message: lost}\n"},
	{name: "reject-response-head", ends: true, late: true, rule: "response:\n  - when: $response.headers[\"x-up\"] != null\n    reject: {grpc: ABORTED}\n"},

	{name: "bad-request", rule: callRewrites, bad: true},
	{name: "bad-request-pass", rule: "on_error: pass\n" + callRewrites, bad: true, call: callScript{silent: true, code: "3", message: "what?"}},
	{name: "bad-response", ends: true, late: true, rule: callRewrites, call: callScript{bad: true}},
	{name: "error", ends: true, rule: "request:\n  - jq: error(\"no\")\n"},
	{name: "error-pass", rule: "on_error: pass\nrequest:\n  - jq: error(\"no\")\nresponse:\n  - jq: error(\"no\")\n"},
	{name: "error-response", ends: true, late: true, rule: "response:\n  - jq: error(\"no\")\n"},
	{name: "encode", ends: true, rule: "request:\n  - jq: .big = \"many\"\n"},
	{name: "too-large", ends: true, rule: "limits: {message: 1B}\n" + callRewrites},
	{name: "too-large-response", ends: true, late: true, rule: "limits: {message: 1B}\nresponse:\n  - jq: .\n",
		notIn: "exchange: where the upstream's trailers come before its message is read, grpc-go's own refusal is taken for the upstream's status"},
	{name: "too-large-pass", rule: "on_error: pass\nlimits: {message: 1B}\n" + callRewrites},

	{name: "breaker-closed", rule: "upstream:\n" + neverTripped + callRewrites},
	{name: "breaker-open", rule: "upstream:\n" + trippedAtOnce, priming: 1},
	{name: "breaker-open-rewrite", rule: "upstream:\n" + trippedAtOnce + callRewrites, priming: 1},
	{name: "breaker-fallback", rule: "upstream:\n" + trippedAtOnce + callFallback, priming: 1},
	{name: "breaker-fallback-rewrite", rule: "upstream:\n" + trippedAtOnce + callFallback + callRewrites, priming: 1},
	{name: "breaker-fallback-status", rule: "upstream:\n" + trippedAtOnce + "    fallback: {grpc: NOT_FOUND, message: gone}\n", priming: 1},

	{name: "trailers-add", rule: trailersAdd},
	{name: "trailers-add-rewrite", rule: callRewrites + trailersAdd},
	{name: "trailers-status", rule: callTrailers, call: callScript{code: "13", message: "broken \u00e4"}},
	{name: "trailers-status-rewrite", rule: callRewrites + callTrailers, call: callScript{code: "13", message: "broken \u00e4"}},
	{name: "trailers-of-trailers-only", rule: callTrailers, call: callScript{trailersOnly: true, code: "5", message: "none % of it"}},
	{name: "trailers-of-trailers-only-rewrite", rule: callRewrites + callTrailers, call: callScript{trailersOnly: true, code: "5", message: "none % of it"}},
	{name: "trailers-of-silent", rule: callRewrites + callTrailers, call: callScript{silent: true, code: "5"}},
	{name: "trailers-error", rule: "trailers:\n  - jq: " + failing + "\n"},
	{name: "trailers-error-rewrite", rule: callRewrites + "trailers:\n  - jq: " + failing + "\n"},
	{name: "trailers-error-pass", rule: "on_error: pass\ntrailers:\n  - jq: " + failing + "\n"},
	{name: "trailers-error-of-trailers-only", rule: "trailers:\n  - jq: .[\"te\"] = \"gzip\"\n", call: callScript{trailersOnly: true, code: "5"}},
	{name: "trailers-fallback", rule: "upstream:\n" + trippedAtOnce + callFallback + trailersAdd, priming: 1},
	{name: "trailers-fallback-rewrite", rule: "upstream:\n" + trippedAtOnce + callFallback + callRewrites + trailersAdd, priming: 1},
	{name: "trailers-fallback-status", rule: "upstream:\n" + trippedAtOnce + "    fallback: {grpc: NOT_FOUND, message: gone}\n" + callRewrites + callTrailers, priming: 1},
	{name: "trailers-cut", ends: true, late: true, rule: trailersAdd, call: callScript{cut: true}, only: "Bidi"},

	{name: "status-when", ends: true, late: true, rule: callStatus},
	{name: "status-when-pass", rule: "on_error: pass\n" + callStatus},
	{name: "status-when-lost", ends: true, late: true, rule: callStatus, call: callScript{code: "15"}},
	{name: "status-when-refused", ends: true, late: true, rule: callStatus, call: callScript{code: "13"}},
	{name: "status-when-trailers-only", rule: callStatus, call: callScript{trailersOnly: true, code: "13", message: "none"}},
	{name: "status-when-silent", ends: true, late: true, rule: callStatus, call: callScript{silent: true, code: "15"}},
	{name: "status-when-fallback", rule: "upstream:\n" + trippedAtOnce + callFallback + callStatus, priming: 1},

	{name: "refused-no-rules", place: refusedNoRules},
	{name: "refused-beside", place: refused},
	{name: "refused-heads", place: refused, rule: callHeads},
	{name: "refused-breaker", place: refused, rule: "upstream:\n" + neverTripped + callRewrites},

	{name: "trailers-only", place: noRules, call: callScript{trailersOnly: true, code: "5", message: "none % of it"}},
	{name: "trailers-only-rewrite", rule: callRewrites, call: callScript{trailersOnly: true, code: "5", message: "none % of it"}},
	{name: "trailers-only-heads", rule: callHeads, call: callScript{trailersOnly: true, code: "5", message: "none"}},
	{name: "silent", rule: callRewrites, call: callScript{silent: true, code: "5", message: "none"}},
	{name: "silent-well", rule: callRewrites, call: callScript{silent: true}, only: "Bidi"},
	{name: "status", place: noRules, call: callScript{code: "13", message: "broken \u00e4"}},
	{name: "status-rewrite", rule: callRewrites, call: callScript{code: "13", message: "broken \u00e4"}},
	{name: "reset-no-rules", place: noRules, call: callScript{reset: true}},
	{name: "reset", rule: callHeads, call: callScript{reset: true}},
	{name: "reset-rewrite", rule: callRewrites, call: callScript{reset: true}},
	{name: "cut-no-rules", ends: true, late: true, place: noRules, call: callScript{cut: true}, only: "Bidi"},
	{name: "cut", ends: true, late: true, rule: callHeads, call: callScript{cut: true}, only: "Bidi"},
	{name: "cut-rewrite", ends: true, late: true, rule: callRewrites, call: callScript{cut: true}, only: "Bidi"},
	{name: "no-grpc", place: noRules, call: callScript{noGRPC: true}},
	{name: "no-grpc-rewrite", rule: callRewrites, call: callScript{noGRPC: true}},
	{name: "cancel", ends: true, place: noRules, cancel: true, only: "Bidi"},
	{name: "cancel-heads", ends: true, rule: callHeads, cancel: true, only: "Bidi"},
	{name: "cancel-rewrite", ends: true, rule: callRewrites, cancel: true, only: "Bidi"},
}
