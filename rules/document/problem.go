package document

import (
	"cmp"
	"slices"
)

// Position is a place in a file. Line and Column count from one, columns in
// characters.
type Position struct {
	File         string
	Line, Column int
}

// Severity says whether a problem keeps a file from going live.
type Severity uint8

// The severities.
const (
	Error   Severity = iota // the file never goes live
	Warning                 // reported, and the file goes live
)

// Problem is one thing wrong with a rule file or with sluice.yaml.
type Problem struct {
	Position
	EndColumn int    // one past the last marked character of the line; Column+1 at least
	Source    string // the source line, for the caret
	Route     string // the route's name, if it is known
	Path      string // request[0].jq; empty for the whole file
	Code      string // stable: unknown-key, wrong-type, jq-undefined, not-yet ...
	Message   string // one sentence, lower case, no final dot
	Hint      string // what to do: "did you mean response?"; may be empty
	Severity  Severity
}

// The codes of the problems that this package finds.
const (
	CodeYAML         = "yaml"          // the text is no YAML, or uses what is left out of it here
	CodeTooLarge     = "too-large"     // the file is over MaxSize
	CodeJQYAML       = "jq-yaml"       // YAML cut a jq program or took it for something else
	CodeUnknownKey   = "unknown-key"   // no such key at this place
	CodeDuplicateKey = "duplicate-key" // the key stands twice
	CodeWrongType    = "wrong-type"    // a list where a text belongs, and the like
	CodeBadValue     = "bad-value"     // of the right type, and still not possible
	CodeEmpty        = "empty"         // a key without a value
	CodeMissing      = "missing-key"   // a key that has to be there is not
	CodeNotYet       = "not-yet"       // known, and not built yet
)

// Sort orders problems as they stand in their files, files in the order of
// their names; problems at one place keep their order.
func Sort(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
