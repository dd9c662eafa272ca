package xml_test

import (
	"bytes"
	stdxml "encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/xml"
)

// orders is a document of about size bytes as services send it.
func orders(size int) []byte {
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\">\n  <user id=\"7\">\n    <email>ann@example.org</email>\n    <password>hunter2</password>\n  </user>\n  <items>\n")
	for i := 0; b.Len() < size-160; i++ {
		fmt.Fprintf(&b, "    <item id=\"%d\" sku=\"A-%05d\">\n      <price>%d.50</price>\n      <tag>new</tag>\n      <tag>sale &amp; more</tag>\n    </item>\n", i, i, i)
	}
	b.WriteString("  </items>\n</s:Envelope>\n")
	return []byte(b.String())
}

// masked is .user.email = "x" | del(.user.password), as gojq would leave it.
func masked(v any) any {
	root := maps.Clone(v.(object)["s:Envelope"].(object))
	user := maps.Clone(root["user"].(object))
	user["email"] = "x"
	delete(user, "password")
	root["user"] = user
	return object{"s:Envelope": root}
}

func BenchmarkEdit(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		data := orders(size)
		codectest.Bench(b, fmt.Sprintf("sluice/%d", size), data, codectest.Editing(xml.Codec{}, data, masked))
		// What encoding/xml takes to read the tokens alone, with nothing made of
		// them.
		codectest.Bench(b, fmt.Sprintf("encoding-xml-tokens/%d", size), data, func() error {
			d := stdxml.NewDecoder(bytes.NewReader(data))
			for {
				if _, err := d.RawToken(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					return err
				}
			}
			return nil
		})
	}
}
