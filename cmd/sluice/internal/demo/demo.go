// Package demo is what `sluice demo` shows: its rule files, and how it prints.
// It knows nothing of what really happens; its caller does, and checks it.
package demo

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
)

// The rule files of the demo, by their routes' names.
const (
	Orders     = "orders"      // masks an order in JSON
	OrdersGRPC = "orders-grpc" // the same of a gRPC message
	Rates      = "rates"       // a breaker with a fallback
)

//go:embed rules
var files embed.FS

// Rule is the text of a rule file.
func Rule(name string) (string, error) {
	text, err := files.ReadFile("rules/" + name + ".yaml")
	return string(text), err
}

// WriteRules writes every rule file into dir, which it makes.
func WriteRules(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{Orders, OrdersGRPC, Rates} {
		text, err := Rule(name)
		if err != nil {
			return fmt.Errorf("rule %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
