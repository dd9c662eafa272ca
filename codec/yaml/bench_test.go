package yaml_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	goyaml "go.yaml.in/yaml/v4"

	"github.com/sluice-proxy/sluice/codec"
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

// masked is .user.email = "x" | del(.user.password), as gojq would leave it.
func masked(v any) any {
	root := maps.Clone(v.(map[string]any))
	user := maps.Clone(root["user"].(map[string]any))
	user["email"] = "x"
	delete(user, "password")
	root["user"] = user
	return root
}

func BenchmarkEdit(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		data := orders(size)
		b.Run(fmt.Sprintf("sluice/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				v, original, err := yaml.Codec{}.Decode(data, codec.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := (yaml.Codec{}).Encode(original, masked(v)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("goyaml/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				var v any
				if err := goyaml.Load(data, &v); err != nil {
					b.Fatal(err)
				}
				if _, err := goyaml.Dump(masked(v)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
