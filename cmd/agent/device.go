package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"chorale/inference"
)

func newDevice(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "device", Short: "Show and test what models can run on"}
	cmd.AddCommand(newDeviceList(std), newDeviceTest(std))
	return cmd
}

func newDeviceList(std streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "ls", Short: "List devices", Args: cobra.NoArgs,
		Long: "List the devices that --device can name, by index, UUID or name. Software drivers\ncompute on the CPU and are slower than cpu; they are used only where they are named.",
		RunE: func(*cobra.Command, []string) error {
			devices, err := inference.Devices()
			if err != nil {
				std.log.Warn(fmt.Sprintf("not all Vulkan devices can be described: %v", err))
			}
			if asJSON {
				return json.NewEncoder(std.out).Encode(devices)
			}
			return showDevices(std.out, devices)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

// showDevices prints a table, with more of a GPU below its row.
func showDevices(out io.Writer, devices []inference.DeviceInfo) error {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tVENDOR\tTYPE\tKERNELS")
	for _, d := range devices {
		kernels := cmp.Or(d.Kernels, "not tested yet")
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", d.ID, strings.TrimSpace(d.Name), cmp.Or(d.Vendor, "-"), d.Kind, kernels)
	}
	w.Flush()
	rows := strings.SplitAfter(table.String(), "\n")
	for i, d := range devices {
		if d.UUID != "" {
			rows[i+1] += deviceDetails(d)
		}
	}
	_, err := io.WriteString(out, strings.Join(rows, ""))
	return err
}

// deviceDetails are the lines below a GPU's row.
func deviceDetails(d inference.DeviceInfo) string {
	var b strings.Builder
	line := func(what, text string) { fmt.Fprintf(&b, "    %-8s  %s\n", what, text) }
	line("uuid", d.UUID)
	line("driver", d.Driver)
	line("profiles", strings.Join(d.Profiles, " "))
	for _, h := range d.Heaps {
		text := fmt.Sprintf("%s of the %s's", inference.GB(int64(h.Size)), map[bool]string{true: "device", false: "host"}[h.Local])
		if h.Budget > 0 {
			text += fmt.Sprintf(", %s free", inference.GB(int64(h.Budget)))
		}
		line("memory", text)
	}
	return b.String()
}

const deviceTestHelp = `Run every operation of a small model on a GPU, in every kernel profile that it has
the features for, and compare what is written with plain Go on the CPU. The others are
named as not run, and those that take over a minute as slow. Runs take from it which
profiles they can use. Without a name the first real GPU is tested; of cpu the vector
instructions are.

Exit codes:
  0  everything agrees
  1  something does not
  2  there is no such device
  7  the device broke`

func newDeviceTest(std streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "test [DEVICE]", Short: "Compare a device's kernels with plain Go", Long: deviceTestHelp, Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "vulkan"
			if len(args) == 1 {
				name = strings.ToLower(args[0])
			}
			report, err := inference.TestDevice(cmd.Context(), inference.Options{
				Device: name, Notice: func(text string) { std.log.Warn(text) }, Testing: testProgress(std),
			})
			if err != nil {
				return modelError(fmt.Errorf("test device: %w", err))
			}
			return showDeviceTest(std, report, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func showDeviceTest(std streams, r *inference.DeviceReport, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(std.out).Encode(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(std.out, r.Device)
		for _, t := range r.Tests {
			word := map[bool]string{true: "pass", false: "FAIL"}[t.Passed]
			fmt.Fprintf(std.out, "%s  %-9s %-48s %.1e of %.0e\n", word, t.Profile, t.Operation, t.Error, t.Tolerance)
		}
		if len(r.Tests) == 0 {
			fmt.Fprintln(std.out, "nothing to compare: this build computes in plain Go here")
		}
		for _, profile := range r.Slow {
			fmt.Fprintf(std.out, "slow  %-9s set aside: it did not finish in time with this driver\n", profile)
		}
		for _, profile := range r.NotRun {
			fmt.Fprintf(std.out, "----  %-9s not run: the device lacks its features, or only emulates them\n", profile)
		}
	}
	if !r.Passed {
		return &exitError{code: 1, err: errors.New("some of the kernels compute wrongly")}
	}
	return nil
}
