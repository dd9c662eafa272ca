package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/config"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/document"
)

func newSchemaCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [rule|config]",
		Short: "Print the JSON Schema of rule files, or of sluice.yaml, for editors",
		Long: `Print a JSON Schema (draft 2020-12) for editors: of rule files, or with config of sluice.yaml.

  sluice schema > rules/sluice.schema.json

and, as the first line of each rule file,

  # yaml-language-server: $schema=./sluice.schema.json`,
		ValidArgs: []string{"rule", "config"},
		Args:      usageArgs(cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs)),
		RunE: func(cmd *cobra.Command, args []string) error {
			title, shape := "A rule file of Sluice", rules.Shape()
			if len(args) == 1 && args[0] == "config" {
				title, shape = "Sluice's sluice.yaml", config.Shape()
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetIndent("", "  ")
			out.SetEscapeHTML(false)
			return out.Encode(schemaOf(title, shape))
		},
	}
}

func schemaOf(title string, shape document.Shape) map[string]any {
	schema := shape.Schema()
	schema["$schema"], schema["title"] = "https://json-schema.org/draft/2020-12/schema", title
	return schema
}
