package main

import "github.com/spf13/cobra"

// newModel is the parent of what a person does with models besides running them.
func newModel(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "model", Short: "Fetch, check and look at models"}
	cmd.AddCommand(newModelList(std), newModelInfo(std), newModelPull(std), newModelVerify(std), newModelRemove(std), newModelPlan(std), newModelSynth(std))
	return cmd
}
