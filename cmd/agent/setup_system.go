package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chorale/inference"
	"chorale/internal/apt"
	"chorale/tools/browser"
)

// systemPart is something that the system's own packages bring.
type systemPart struct {
	name     string
	packages []string                             // of Debian
	find     func(*cobra.Command) (string, error) // what there is; an error says what is missing
	hint     string                               // what to do where apt-get cannot help
}

var chromium = systemPart{
	name:     "Chromium",
	packages: []string{"chromium", "chromium-sandbox"},
	find:     func(*cobra.Command) (string, error) { return browser.FindChromium() },
	hint: `Install Chromium or Chrome, for example:
  Ubuntu:  sudo snap install chromium
  Fedora:  sudo dnf install chromium
  Arch:    sudo pacman -S chromium`,
}

var vulkan = systemPart{
	name:     "Vulkan",
	packages: []string{"libvulkan1", "mesa-vulkan-drivers"},
	find:     findVulkan,
	hint: `Install a Vulkan loader and the driver of your GPU, for example:
  Fedora:  sudo dnf install vulkan-loader mesa-vulkan-drivers
  Arch:    sudo pacman -S vulkan-icd-loader, and vulkan-radeon, vulkan-intel or nvidia-utils
  macOS:   brew install molten-vk vulkan-loader
An NVIDIA card needs NVIDIA's own driver. Without a GPU everything runs on the CPU.`,
}

// findVulkan asks a process of its own, since a loader is looked for once.
func findVulkan(cmd *cobra.Command) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(cmd.Context(), self, "device", "ls", "--json").Output()
	if err != nil {
		return "", fmt.Errorf("list the devices: %w", err)
	}
	var devices []inference.DeviceInfo
	if err := json.Unmarshal(out, &devices); err != nil {
		return "", err
	}
	var names []string
	for _, d := range devices {
		if d.UUID != "" {
			names = append(names, strings.TrimSpace(d.Name))
		}
	}
	if len(names) == 0 {
		return "", errors.New("there is no Vulkan driver")
	}
	return strings.Join(names, ", "), nil
}

// setupSystem installs a part where it is missing, and looks again.
func setupSystem(cmd *cobra.Command, std streams, part systemPart) error {
	found, missing := part.find(cmd)
	if missing == nil {
		fmt.Fprintf(std.err, "%s is there: %s\n", part.name, found)
		return nil
	}
	ctx := cmd.Context()
	cost, err := apt.Plan(ctx, part.packages...)
	switch {
	case ctx.Err() != nil:
		return err
	case errors.Is(err, apt.ErrAbsent):
		return fmt.Errorf("set up %s: %w\n%s", part.name, missing, part.hint)
	case err != nil:
		return fmt.Errorf("set up %s: %w\n%s", part.name, err, part.hint)
	case len(cost.Packages) == 0:
		return fmt.Errorf("set up %s: %s installed, and yet: %w\n%s", part.name, strings.Join(part.packages, " and "), missing, part.hint)
	}
	// 4 MB a second to fetch, and 20 to unpack, are what a slow machine does.
	about := time.Duration(cost.Download/4+cost.Disk/20) * time.Microsecond
	fmt.Fprintf(std.err, "Setting up %s: %s (packages: %d), %s to download, %s on disk, about %s.\n",
		part.name, strings.Join(part.packages, " "), len(cost.Packages), megabytes(cost.Download), megabytes(cost.Disk), span(about))
	p := &progress{out: std.err, live: std.terminal}
	p.show("install", "installing", "")
	err = apt.Install(ctx, func(text string, percent float64) {
		p.show("install", "installing", fmt.Sprintf("%3.0f %%  %.60s", percent, text))
	}, part.packages...)
	p.end()
	if err != nil {
		return fmt.Errorf("set up %s: %w", part.name, err)
	}
	if found, err = part.find(cmd); err != nil {
		return fmt.Errorf("set up %s: it was installed, and yet: %w\n%s", part.name, err, part.hint)
	}
	fmt.Fprintf(std.err, "  %s is ready: %s\n", part.name, found)
	return nil
}
