package inference

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chorale/inference/internal/gpu"
	"chorale/internal/atomicfile"
	"chorale/internal/lockfile"
	"chorale/shaders"
)

// errWrong says that a GPU's kernels compute something else than the CPU's.
var errWrong = errors.New("the self-test found its kernels to compute wrongly (agent device test shows where)")

// proof is what is remembered of a GPU under one driver and one set of shaders:
// which kernel profiles agree with the CPU, and which of them is to be used.
// A profile that did not finish in time counts as failed, or every start would wait for
// it again; a test that broke off in another way is repeated the next time.
type proof struct {
	Device string             `json:"device"` // in words, for people who look
	Passed map[string]bool    `json:"passed"` // by profile; those not tested yet are missing
	Times  map[string]float64 `json:"times"`  // of passes, relative to the base
	Chosen string             `json:"chosen"` // of those that are exact; empty: not measured yet
}

// exact reports whether a profile computes as precisely as the base does. Those
// that don't are used only when they are asked for.
func exact(profile string) bool { return gpu.Tolerances[profile] <= gpu.Tolerances[gpu.Base] }

// covers reports whether nothing that is needed is left to be tested.
func (p *proof) covers(needed []string) bool {
	for _, profile := range needed {
		passed, tested := p.Passed[profile]
		switch {
		case !tested:
			return false
		case profile == gpu.Base && !passed:
			return true
		}
	}
	return p.settled()
}

// settled reports whether it is known which profile is to run.
func (p *proof) settled() bool {
	return p.Passed[gpu.Base] && p.Passed[p.Chosen] && exact(p.Chosen)
}

// prover tests the kernels of a GPU and remembers what it found.
type prover struct {
	dir    string
	notice func(string)
	found  map[string]bool // just now, whether profiles pass; it replaces what is remembered
	test   func(ctx context.Context, d gpu.Device, profile string) (passed bool, err error)
	time   func(ctx context.Context, d gpu.Device, profiles []string) (relative map[string]float64, err error)
}

// chooseKernels returns the kernel profile that a model is to run in on a GPU.
func chooseKernels(ctx context.Context, d gpu.Device, o Options) (string, error) {
	have, err := gpu.Profiles(d)
	if err != nil {
		return "", err
	}
	want := o.Kernels
	if d.Software && want == "" {
		if have = forSoftware(have); slices.Contains(have, gpu.Texel) {
			want = gpu.Texel
		}
	}
	p := newProver(o)
	return p.choose(ctx, d, have, want)
}

func newProver(o Options) prover {
	return prover{dir: o.Cache, notice: o.Notice, time: timeProfiles,
		test: func(ctx context.Context, d gpu.Device, profile string) (bool, error) {
			return profileAgrees(ctx, d, profile, o.Testing)
		}}
}

// forSoftware leaves of a software driver's profiles the base and the one made for
// such drivers. The others are for tests there: it emulates what they use.
func forSoftware(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(p string) bool { return p != gpu.Base && p != gpu.Texel })
}

// record remembers which profiles of a GPU have just been found to agree with the
// CPU, in place of what was remembered, and finds out what else a run wants to know.
func (p *prover) record(ctx context.Context, d gpu.Device, found map[string]bool) error {
	have := slices.Sorted(maps.Keys(found))
	if d.Software {
		have = forSoftware(have)
	}
	p.found = found
	_, err := p.proof(ctx, d, needed(have, ""))
	return err
}

func profileAgrees(ctx context.Context, d gpu.Device, profile string, tell func(string, int, int)) (bool, error) {
	rows, err := testProfile(ctx, d, profile, tell)
	return err == nil && !slices.ContainsFunc(rows, func(t DeviceTest) bool { return !t.Passed }), err
}

// choose returns want, or where that is empty the fastest exact profile of
// those that the device has, tested before it is used for the first time. One
// that fails gives way to the base; a base that fails is an error.
func (p *prover) choose(ctx context.Context, d gpu.Device, have []string, want string) (string, error) {
	if want != "" && !slices.Contains(have, want) {
		return "", choice("device %s has no kernel profile %q, it has %s", d.Name, want, strings.Join(have, ", "))
	}
	r, err := p.proof(ctx, d, needed(have, want))
	if err != nil {
		return "", fmt.Errorf("test %s: %w", d.Name, err)
	}
	switch {
	case !r.Passed[gpu.Base]:
		return "", fmt.Errorf("%s: %w", d.Name, errWrong)
	case want == "":
		return cmp.Or(r.Chosen, gpu.Base), nil
	case !r.Passed[want]:
		p.notice(fmt.Sprintf("The kernels %q of %s do not pass their test; the base takes their place.", want, d.Name))
		return gpu.Base, nil
	}
	return want, nil
}

// needed are the profiles to be tested before one is chosen.
func needed(have []string, want string) []string {
	return slices.DeleteFunc(slices.Clone(have), func(p string) bool { return !exact(p) && p != want })
}

// proof reads what is remembered, and finds out what is not. One process at a
// time tests a device; the others wait for what it finds.
func (p *prover) proof(ctx context.Context, d gpu.Device, needed []string) (proof, error) {
	path, err := p.path(d)
	if err == nil {
		if r := readProof(path); p.found == nil && r.covers(needed) {
			return r, nil
		}
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	var lock *lockfile.Lock
	if err == nil {
		lock, err = lockfile.Wait(ctx, path+".lock", func() {})
	}
	if ctx.Err() != nil {
		return proof{}, context.Cause(ctx)
	}
	var r proof
	if lock != nil {
		defer lock.Close()
		if r = readProof(path); p.found == nil && r.covers(needed) {
			return r, nil
		}
	}
	if p.found != nil {
		r.Passed = p.found
	}
	if failed := p.prove(ctx, d, needed, &r); failed != nil {
		return proof{}, failed
	}
	if err == nil {
		err = writeProof(path, r)
	}
	if err != nil {
		p.notice(fmt.Sprintf("The self-test of %s can't be remembered, and will run again: %v.", d.Name, err))
	}
	return r, nil
}

// prove tests what is not tested yet, and chooses.
func (p *prover) prove(ctx context.Context, d gpu.Device, needed []string, r *proof) error {
	*r = proof{Device: d.String(), Passed: maps.Clone(r.Passed), Chosen: gpu.Base}
	if r.Passed == nil {
		r.Passed = map[string]bool{}
	}
	var candidates []string
	for _, profile := range needed {
		if _, tested := r.Passed[profile]; !tested {
			passed, err := p.test(ctx, d, profile)
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case err != nil && profile == gpu.Base:
				return err
			case errors.Is(err, gpu.ErrTimeout):
				p.notice(fmt.Sprintf("The kernels %q of %s did not finish their test in time and are set aside; agent device test tries them again.", profile, d.Name))
			case err != nil:
				p.notice(fmt.Sprintf("The test of the kernels %q of %s broke off: %v.", profile, d.Name, err))
				continue
			}
			r.Passed[profile] = passed
		}
		if !r.Passed[gpu.Base] {
			return nil
		}
		if r.Passed[profile] && exact(profile) {
			candidates = append(candidates, profile)
		}
	}
	if len(candidates) == 1 {
		return nil
	}
	times, err := p.time(ctx, d, candidates)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		r.Chosen = ""
		p.notice(fmt.Sprintf("The kernels of %s could not be measured, the base is used: %v.", d.Name, err))
	default:
		r.Times, r.Chosen = times, fastest(times)
	}
	return nil
}

// gain is how much faster than the base a profile must be to be chosen: what is
// less may be the measurement's.
const gain = 1.05

func fastest(times map[string]float64) string {
	best := gpu.Base
	for _, profile := range slices.Sorted(maps.Keys(times)) {
		if t := times[profile]; t*gain < 1 && t < times[best] {
			best = profile
		}
	}
	return best
}

// path is where a device's proof is kept: one file for a device, a driver, a set of
// shaders and a self-test.
func (p *prover) path(d gpu.Device) (string, error) { return deviceFile(p.dir, d, ".json") }

// deviceFile is where something is kept of a device under one driver, one set of
// shaders and one self-test, in a folder or among the user's caches.
func deviceFile(dir string, d gpu.Device, kind string) (string, error) {
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(user, "chorale", "devices")
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%s\n%v", d.UUID, d.Driver, d.Version, shaders.Digest(), rounds))
	return filepath.Join(dir, hex.EncodeToString(key[:16])+kind), nil
}

// readProof reads what is remembered. What is missing or damaged is nothing.
func readProof(path string) (r proof) {
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &r) != nil {
		return proof{}
	}
	return r
}

// writeProof replaces a proof as a whole.
func writeProof(path string, r proof) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(text, '\n'), 0o600)
}
