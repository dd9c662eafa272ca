package codec_test

import (
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/csv"
	"github.com/sluice-proxy/sluice/codec/form"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/xml"
)

func TestByContentType(t *testing.T) {
	r := codec.NewRegistry(
		codec.Format{Codec: json.Codec{}, Types: []string{"application/json", "+json"}},
		codec.Format{Codec: xml.Codec{}, Types: []string{"application/xml", "+xml"}},
		codec.Format{Types: []string{"application/xhtml+xml"}},
		codec.Format{Codec: csv.Codec{}, Types: []string{"text/csv"}},
		codec.Format{Codec: form.Multipart{}, Types: []string{"multipart/form-data"}},
	)
	for value, want := range map[string]string{
		"application/json":                   "json",
		"Application/JSON; charset=utf-8":    "json",
		"application/problem+json":           "json",
		"application/soap+xml; action=\"x\"": "xml",
		"application/xhtml+xml":              "",
		"image/svg+xml":                      "",
		"text/csv":                           "csv",
		"text/csv; header=absent":            "csv",
		"multipart/form-data; boundary=x":    "multipart",
		"multipart/form-data":                "",
		"text/html":                          "",
		"":                                   "",
		";":                                  "",
	} {
		c, ok := r.ByContentType(value)
		got := ""
		if ok {
			got = c.Name()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
	if c, _ := r.ByContentType("text/csv; header=absent"); c != (csv.Codec{NoHeader: true}) {
		t.Errorf("got %#v", c)
	}
	if r.Default().Name() != "json" {
		t.Error("JSON is not the default")
	}
}
