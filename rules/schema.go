package rules

import "github.com/sluice-proxy/sluice/rules/document"

// Shape describes what a rule file may say, for a schema and a reference.
func Shape() document.Shape { return fileType().Shape }
