package yaml_test

import (
	"fmt"
	"strings"
	"testing"

	goyaml "go.yaml.in/yaml/v4"

	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/yaml"
)

// orders is a document of about size bytes as services send it.
func orders(size int) []byte {
	var b strings.Builder
	b.WriteString("user:\n  id: 7\n  email: ann@example.org\n  password: hunter2\nitems:\n")
	for i := 0; b.Len() < size-80; i++ {
		fmt.Fprintf(&b, "  - id: %d\n    sku: A-%05d\n    price: %d.50\n    tags: [new, sale]\n    ok: true\n", i, i, i)
	}
	return []byte(b.String())
}

func BenchmarkEdit(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		data := orders(size)
		codectest.Bench(b, fmt.Sprintf("sluice/%d", size), data, codectest.Editing(yaml.Codec{}, data, codectest.Masked))
		codectest.Bench(b, fmt.Sprintf("goyaml/%d", size), data, func() error {
			var v any
			if err := goyaml.Load(data, &v); err != nil {
				return err
			}
			_, err := goyaml.Dump(codectest.Masked(v))
			return err
		})
	}
}
