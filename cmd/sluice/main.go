// Command sluice is a transparent HTTP and gRPC sidecar: it reads and rewrites
// a service's traffic without touching the service.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/iptables/rootless"
	"github.com/sluice-proxy/sluice/proxy"
)

// The exit codes of every subcommand but exec, whose code is its command's.
const (
	exitFailed   = 1  // failed at run time
	exitFindings = 2  // check and test found something
	exitUsage    = 64 // the command line is wrong (EX_USAGE)
	exitData     = 65 // run or exec refuse to start on a bad file (EX_DATAERR)
)

// exitError carries the process's exit code together with its cause. A nil
// Err exits silently: everything has been said already.
type exitError struct {
	Code int
	Err  error
}

func (e *exitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *exitError) Unwrap() error { return e.Err }

// usageError marks err as a mistake in the command line: exit code 64.
func usageError(err error) error { return &exitError{Code: exitUsage, Err: err} }

func main() {
	rootless.MaybeHelper()
	proxy.RegisterEncodings()
	os.Exit(Main(os.Args[1:]))
}

// Main runs the command line args and returns the process's exit code. Tests
// register it as a testscript command.
func Main(args []string) int {
	root := newRootCmd()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{Code: exitFailed, Err: err}
	}
	if exit.Err != nil {
		fmt.Fprintf(root.ErrOrStderr(), "sluice: %v\n", exit.Err)
		if exit.Code == exitUsage {
			fmt.Fprintf(root.ErrOrStderr(), "Run 'sluice --help' for usage.\n")
		}
	}
	return exit.Code
}

func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:           "sluice",
		Short:         "Read and rewrite a service's traffic without touching the service",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError(err) })
	addCommands(root)
	return root
}

// usageArgs makes a positional-argument check fail with the usage exit code.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError(err)
		}
		return nil
	}
}
