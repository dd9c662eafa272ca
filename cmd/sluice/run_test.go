package main

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunRefusesTproxyWithoutInboundListener(t *testing.T) {
	t.Chdir(t.TempDir()) // no sluice.yaml there
	cmd := newRootCmd()
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	cmd.SetArgs([]string{"run", "--tproxy", "--listen", "127.0.0.1:8080", "--upstream", "127.0.0.1:9", "--rules", filepath.Join(t.TempDir(), "none")})
	err := cmd.Execute()
	var exit *exitError
	if !errors.As(err, &exit) || exit.Code != exitUsage || !strings.Contains(err.Error(), "--tproxy") {
		t.Errorf("got %v, want a usage error that names --tproxy", err)
	}
}
