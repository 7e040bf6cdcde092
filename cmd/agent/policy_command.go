package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"chorale/configs"
	"chorale/harmony"
	"chorale/internal/strictyaml"
	"chorale/policies"
	"chorale/policies/provenance"
	"chorale/runtime"
)

func newPolicy(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Check, explain, test and replay policies; verify what they decided"}
	cmd.AddCommand(newPolicyCheck(std), newPolicyExplain(std), newPolicyTest(std), newPolicyReplay(std), newPolicyAudit(std))
	return cmd
}

func newPolicyCheck(std streams) *cobra.Command {
	return &cobra.Command{
		Use: "check FILE...", Short: "Read policies and manifests, and say what is wrong with them", Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var errs []error
			for _, path := range args {
				what, err := checkPolicyFile(path)
				if err == nil {
					_, err = fmt.Fprintf(std.out, "%s: %s\n", path, what)
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	}
}

// checkPolicyFile reads a file as what it says it is.
func checkPolicyFile(path string) (what string, err error) {
	src, err := strictyaml.ReadFile(path)
	if err != nil {
		return "", err
	}
	var keys map[string]any
	if err := strictyaml.Decode(path, src, &keys); err != nil {
		return "", err
	}
	if keys["kind"] == "Manifest" {
		_, err := provenance.Parse(path, src)
		return "a manifest", err
	}
	word, _ := keys["layer"].(string)
	from, ok := harmony.ParseRole(word)
	if !ok {
		from = harmony.User // the parser says what is wrong
	}
	_, err = policies.Parse(path, src, from)
	return "a " + from.String() + " policy", err
}

func newPolicyTest(std streams) *cobra.Command {
	return &cobra.Command{
		Use: "test DIR...", Short: "Run the tests.yaml of folders against the policies beside it", Args: cobra.MinimumNArgs(1),
		Long: `Run the tests.yaml of each folder, or of each folder below it that has one,
against the policy files beside it. Exit code 1 when a test fails.`,
		RunE: func(_ *cobra.Command, args []string) error {
			failed := 0
			for _, arg := range args {
				n, err := testPolicies(std.out, arg)
				if err != nil {
					return err
				}
				failed += n
			}
			if failed > 0 {
				return &exitError{code: runtime.ExitNoAnswer, err: fmt.Errorf("%s failed", count(failed, "test"))}
			}
			return nil
		},
	}
}

func testPolicies(out io.Writer, dir string) (failed int, err error) {
	dirs := []string{dir}
	if _, err := os.Stat(filepath.Join(dir, "tests.yaml")); err != nil {
		found, _ := filepath.Glob(filepath.Join(dir, "*", "tests.yaml")) // errs only on a bad pattern
		if len(found) == 0 {
			return 0, fmt.Errorf("%s: there is no tests.yaml in it, nor in a folder of it", dir)
		}
		dirs = nil
		for _, f := range found {
			dirs = append(dirs, filepath.Dir(f))
		}
	}
	for _, d := range dirs {
		n, failures, err := policies.RunCases(os.DirFS(filepath.Dir(d)), filepath.Base(d))
		if err != nil {
			return failed, err
		}
		for _, f := range failures {
			fmt.Fprintln(out, f)
		}
		failed += len(failures)
		if _, err := fmt.Fprintf(out, "%s: %s, %d failed\n", d, count(n, "test"), len(failures)); err != nil {
			return failed, err
		}
	}
	return failed, nil
}

func newPolicyAudit(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit RUN", Short: "Verify the chain of a run's decisions", Args: one("run"),
		Long: "Verify that audit.jsonl of a run, given by its id or folder, is whole: that no line\nwas changed, dropped, put in or cut off. Exit code 1 when it was.",
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := findRun(cmd, args[0])
			if err != nil {
				return err
			}
			entries, ended, err := runtime.ReadAudit(dir)
			if err != nil {
				return &exitError{code: runtime.ExitNoAnswer, err: fmt.Errorf("%s: %w", dir, err)}
			}
			note := ""
			if !ended {
				note = "; the run has no result yet, so its end is not known"
			}
			_, err = fmt.Fprintf(std.out, "%s, whole%s\n", count(len(entries), "line"), note)
			return err
		},
	}
	cmd.Flags().String("run-dir", "", "`folder` that runs are kept in")
	return cmd
}

// findRun is the folder of a run that is given by its id or its folder.
func findRun(cmd *cobra.Command, run string) (string, error) {
	if st, err := os.Stat(run); err == nil && st.IsDir() {
		if _, err := os.Stat(filepath.Join(run, "task.lock.yaml")); err != nil {
			return "", fmt.Errorf("%s is no run's folder: it holds no task.lock.yaml", run)
		}
		return run, nil
	}
	cfg, _, err := configs.Load(".", cmd.Flags())
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cfg.Runs, filepath.Base(run))
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return "", fmt.Errorf("there is no run %s in %s", run, cfg.Runs)
	}
	return dir, nil
}
