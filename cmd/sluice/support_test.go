package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLoadDescriptorsTakesTreesAndFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("tree/shop/types.proto", `syntax = "proto3"; package shop; message Order { int64 id = 1; }`)
	write("tree/shop/v1/orders.proto", `syntax = "proto3"; package shop.v1; import "shop/types.proto"; service Orders { rpc Get(shop.Order) returns (shop.Order); }`)
	write("tree/README", "not a descriptor")
	alone := write("alone.proto", `syntax = "proto3"; package alone; message M {} service S { rpc Do(M) returns (stream M); }`)
	files, err := loadDescriptors([]string{filepath.Join(dir, "tree"), alone})
	if err != nil {
		t.Fatal(err)
	}
	got := files.Methods()
	slices.Sort(got)
	if want := []string{"alone.S/Do", "shop.v1.Orders/Get"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	broken := write("broken.proto", `syntax = "proto3"; service S { rpc Do(Missing) returns (Missing); }`)
	for path, want := range map[string]string{broken: "broken.proto:1:", filepath.Join(dir, "missing"): "no such file"} {
		if _, err := loadDescriptors([]string{path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", path, err, want)
		}
	}
}
