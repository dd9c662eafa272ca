package rules

// Position is a place in a rule file. Line and Column count from one, columns
// in characters.
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
