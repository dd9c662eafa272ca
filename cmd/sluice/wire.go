package main

import "github.com/spf13/cobra"

// addCommands is the one readable list of what the binary can do.
func addCommands(root *cobra.Command) {
	root.AddCommand(
		newExecCmd(),
		newRunCmd(),
		newIptablesCmd(),
		newCheckCmd(),
		newTapCmd(),
		newStatusCmd(),
		newRoutesCmd(),
		newBreakersCmd(),
		newVersionCmd(),
	)
}
