package main

import "github.com/spf13/cobra"

// addCommands is the one readable list of what the binary can do.
func addCommands(root *cobra.Command) {
	root.AddCommand(
		newDemoCmd(),
		newExecCmd(),
		newRunCmd(),
		newIptablesCmd(),
		newCheckCmd(),
		newTestCmd(),
		newExplainCmd(),
		newTapCmd(),
		newStatusCmd(),
		newRoutesCmd(),
		newBreakersCmd(),
		newSchemaCmd(),
		newVersionCmd(),
		newShopCmd(), // hidden: what the demo and the README show Sluice on
	)
}
