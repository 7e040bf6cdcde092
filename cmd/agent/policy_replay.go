package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"chorale/policies/agentdojo"
)

const replayHelp = `Replay traces of AgentDojo with a model that does whatever the attacker says, and
count what the policy engine stops.

  F  nobody watches: what nobody vouches for is denied
  G  somebody is asked, also about what cannot be taken back, and says yes to
     what the task needs and no to what the attacker asks for

A task counts as stopped when one of its own calls was; an attack counts as
reaching its goal when all its side effects were let through.`

func newPolicyReplay(std streams) *cobra.Command {
	var manifest, mode, hosts string
	var asJSON, details bool
	cmd := &cobra.Command{
		Use: "replay TRACES...", Short: "Measure the engine on attack traces", Long: replayHelp, Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if hosts != "allow" && hosts != "ask" {
				return fmt.Errorf("--new-hosts %s: want allow or ask", hosts)
			}
			src, err := os.ReadFile(manifest)
			if err != nil {
				return fmt.Errorf("--manifest: %w", err)
			}
			m, err := agentdojo.ReadManifest(manifest, src)
			if err != nil {
				return err
			}
			gate, err := agentdojo.Mode(mode, hosts == "ask")
			if err != nil {
				return fmt.Errorf("--mode: %w", err)
			}
			var traces []agentdojo.Trace
			for _, path := range args {
				more, err := readTraces(path)
				if err != nil {
					return err
				}
				traces = append(traces, more...)
			}
			return printScores(std.out, agentdojo.Replay(traces, m, gate, mode == "G"), asJSON, details)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&manifest, "manifest", "", "what the tools mean: the `file` beside the traces")
	flags.StringVar(&mode, "mode", "F", "the policy that is measured: `F|G`")
	flags.StringVar(&hosts, "new-hosts", "allow", "links that members of the boundary posted: `allow|ask`")
	flags.BoolVar(&details, "details", false, "name the stopped calls and the attacks that reached their goal")
	flags.BoolVar(&asJSON, "json", false, "print the counts as JSON")
	_ = cmd.MarkFlagRequired("manifest") // errs only without the flag
	return cmd
}

// readTraces reads a trace file, packed or not.
func readTraces(path string) ([]agentdojo.Trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	traces, err := agentdojo.Read(path, r)
	if err == nil && len(traces) == 0 {
		err = fmt.Errorf("%s holds no traces", path)
	}
	return traces, err
}

func printScores(out io.Writer, scores []agentdojo.Score, asJSON, details bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(scores)
	}
	for _, s := range scores {
		if _, err := fmt.Fprintln(out, s); err != nil {
			return err
		}
		if !details {
			continue
		}
		for _, line := range s.Stops {
			fmt.Fprintln(out, "  "+show(line))
		}
		for _, line := range s.Leaks {
			fmt.Fprintln(out, "  reached: "+show(line))
		}
	}
	return nil
}
