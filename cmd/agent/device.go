package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chorale/inference"
)

func newDevice(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "device", Short: "Show what models can run on"}
	cmd.AddCommand(&cobra.Command{
		Use: "ls", Short: "List devices", Args: cobra.NoArgs,
		Long: "List the devices that --device can name. Software drivers compute on the CPU and\nare slower than cpu; they are used only where they are named.",
		RunE: func(*cobra.Command, []string) error {
			devices, err := inference.Devices()
			for _, d := range devices {
				name := d.Name
				if d.Memory > 0 && !d.Software {
					name += fmt.Sprintf(", %.1f GiB", float64(d.Memory)/(1<<30))
				}
				fmt.Fprintf(std.out, "%-10s %s\n", d.ID, strings.TrimSpace(name))
			}
			if err != nil {
				std.log.Warn(fmt.Sprintf("no Vulkan device: %v", err))
			}
			return nil
		},
	})
	return cmd
}
