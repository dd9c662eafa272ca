package rules

import "github.com/sluice-proxy/sluice/rules/document"

// Position is a place in a rule file. Line and Column count from one, columns
// in characters.
type Position = document.Position

// Severity says whether a problem keeps a file from going live.
type Severity = document.Severity

// The severities.
const (
	Error   = document.Error   // the file never goes live
	Warning = document.Warning // reported, and the file goes live
)

// Problem is one thing wrong with a rule file or with sluice.yaml.
type Problem = document.Problem

// The codes of the problems that only rule files have, beside those of package
// document and the jq-... codes of programs.
const (
	codeBadName   = "bad-name"
	codeDuplicate = "duplicate-route"
	codeConflict  = "route-conflict"
	codePattern   = "bad-pattern"
	codeStep      = "bad-step"
	codeVariable  = "jq-variable"
)
