//go:build cgo && (amd64 || arm64)

package vk

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chorale/inference/internal/drivers"
)

// device opens the driver's device with the validation layer, which must have
// said nothing when the test ends.
func device(t *testing.T, driver drivers.Driver) (*Instance, *Device) {
	t.Helper()
	driver.Use(t)
	i, err := Open(Options{Validate: true})
	if err != nil {
		drivers.Missing(t, err.Error())
	}
	t.Cleanup(i.Close)
	all, err := i.Devices()
	if err != nil || len(all) == 0 {
		t.Fatalf("%d devices: %v", len(all), err)
	}
	d, err := i.Open(all[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Close()
		for _, m := range i.Messages() {
			t.Errorf("validation: %s", m)
		}
	})
	return i, d
}

// eachDriver runs a test on both software drivers.
func eachDriver(t *testing.T, test func(t *testing.T, d *Device)) {
	for _, driver := range drivers.All {
		t.Run(driver.Name, func(t *testing.T) {
			_, d := device(t, driver)
			test(t, d)
		})
	}
}

// double is a kernel that doubles the numbers of a buffer: binding 0 is read,
// binding 1 written, specialisation constant 0 the invocations per workgroup,
// push constant 0 the count. See testdata/double.comp.
func double(t testing.TB, local uint32) KernelSpec {
	t.Helper()
	code, err := os.ReadFile(filepath.Join("testdata", "double.spv"))
	if err != nil {
		t.Fatal(err)
	}
	return KernelSpec{Name: "double", SPIRV: code, Bindings: 2, Push: 4, Constants: []uint32{local}}
}

// job is a recorded run of double.
type job struct {
	from, to *Buffer
	commands *Commands
}

const count = 1000

func newJob(t testing.TB, d *Device, local uint32) (*job, func()) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	j := &job{}
	var err error
	j.from, err = d.NewBuffer(4*count, Upload)
	must(err)
	j.to, err = d.NewBuffer(4*count, Readback)
	must(err)
	k, err := d.NewKernel(double(t, local))
	must(err)
	set, err := d.NewSet(k, Range{Buffer: j.from}, Range{Buffer: j.to})
	must(err)
	j.commands, err = d.NewCommands()
	must(err)
	must(j.commands.Begin())
	j.commands.Bind(set)
	Push(j.commands, uint32(count))
	j.commands.Dispatch((count+int(local)-1)/int(local), 1, 1)
	j.commands.ToHost()
	must(j.commands.End())
	return j, func() {
		j.commands.Close()
		set.Close()
		k.Close()
		j.to.Close()
		j.from.Close()
	}
}

// run fills in, submits, waits and checks.
func (j *job) run(t testing.TB, seed int) {
	in := j.from.Float32s()
	for i := range in {
		in[i] = float32(i + seed)
	}
	if err := j.commands.Submit(); err != nil {
		t.Error(err)
		return
	}
	if err := j.commands.Wait(time.Minute); err != nil {
		t.Error(err)
		return
	}
	for i, v := range j.to.Float32s() {
		if v != 2*float32(i+seed) {
			t.Errorf("number %d is %v, want %v", i, v, 2*float32(i+seed))
			return
		}
	}
}

func TestRun(t *testing.T) {
	eachDriver(t, func(t *testing.T, d *Device) {
		if d.Kind != Software || d.Name == "" || len(d.UUID) != 32 || d.MaxInvocations < 256 || d.MaxBuffer < 1<<27 {
			t.Errorf("odd description: %+v", d.Description)
		}
		f := d.Features
		if d.Kind == Software && (!f.SubgroupWhole || !f.SubgroupArithmetic || f.Subgroup < 1 || len(d.Heaps) == 0 || d.Heaps[0].Size == 0) {
			t.Errorf("odd features: %+v, heaps %+v", f, d.Heaps)
		}
		t.Logf("%s: driver %s (%#x), %+v, heaps %+v", d.Name, d.Driver, d.DriverVersion, f, d.Heaps)
		j, done := newJob(t, d, 64)
		defer done()
		for seed := range 3 {
			j.run(t, seed) // the same recording again
		}
	})
}

func TestCopy(t *testing.T) {
	eachDriver(t, func(t *testing.T, d *Device) {
		a, err := d.NewBuffer(64, Upload)
		if err != nil {
			t.Fatal(err)
		}
		b, err := d.NewBuffer(64, Local)
		if err != nil {
			t.Fatal(err)
		}
		back, err := d.NewBuffer(64, Readback)
		if err != nil {
			t.Fatal(err)
		}
		copy(a.Bytes(), "0123456789abcdef")
		c, err := d.NewCommands()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Begin(); err != nil {
			t.Fatal(err)
		}
		c.Copy(b, 16, a, 8, 8)
		c.Barrier()
		c.Copy(back, 0, b, 16, 8)
		c.ToHost()
		if err := errors.Join(c.End(), c.Submit(), c.Wait(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if got := string(back.Bytes()[:8]); got != "89abcdef" {
			t.Errorf("copied %q", got)
		}
	})
}

// TestGCStorm builds pipelines and submits work while the garbage collector
// runs all the time. It does so in a process of its own where freed C memory is
// overwritten (glibc's MALLOC_PERTURB_), so that a call whose arguments are freed
// under it is caught: vulkan-go's own CreateComputePipelines dies here.
func TestGCStorm(t *testing.T) {
	const inside = "CHORALE_GC_STORM"
	if os.Getenv(inside) != "" {
		storm(t)
		return
	}
	drivers.Lavapipe.Use(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestGCStorm$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1", "MALLOC_PERTURB_=165")
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%.4000s", err, text)
	}
	t.Logf("%s", text)
}

func storm(t *testing.T) {
	i, err := Open(Options{}) // the validation layer would hide the driver's timing
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	all, err := i.Devices()
	if err != nil || len(all) == 0 {
		t.Fatalf("%d devices: %v", len(all), err)
	}
	d, err := i.Open(all[0])
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var stop atomic.Bool
	var collectors sync.WaitGroup
	for range 2 {
		collectors.Go(func() {
			for !stop.Load() {
				garbage.Store(new([1 << 16]byte))
				runtime.GC()
			}
		})
	}
	builds, submits := 0, 0
	for end := time.Now().Add(3 * time.Second); !t.Failed() && (time.Now().Before(end) || builds < 500); {
		for range 20 {
			k, err := d.NewKernel(double(t, uint32(8<<(builds%4))))
			if err != nil {
				t.Fatal(err)
			}
			k.Close()
			builds++
		}
		j, done := newJob(t, d, 32)
		for seed := range 20 {
			j.run(t, seed)
			submits++
		}
		done()
	}
	stop.Store(true)
	collectors.Wait()
	t.Logf("%d pipelines built and %d submissions under a GC storm", builds, submits)
}

var garbage atomic.Pointer[[1 << 16]byte] // keeps the allocations on the heap

func TestConcurrentSubmits(t *testing.T) {
	_, d := device(t, drivers.Lavapipe)
	var all sync.WaitGroup
	for n := range 4 {
		j, done := newJob(t, d, 32)
		defer done()
		all.Go(func() {
			for seed := range 20 {
				j.run(t, seed+100*n)
			}
		})
	}
	all.Wait()
}

func TestErrors(t *testing.T) {
	eachDriver(t, func(t *testing.T, d *Device) {
		if _, err := d.NewBuffer(0, Local); err == nil {
			t.Error("a buffer of 0 bytes was made")
		}
		if _, err := d.NewKernel(KernelSpec{Name: "none", Bindings: 1}); err == nil {
			t.Error("a kernel without code was made")
		}
		k, err := d.NewKernel(double(t, 64))
		if err != nil {
			t.Fatal(err)
		}
		b, err := d.NewBuffer(1024, Local)
		if err != nil {
			t.Fatal(err)
		}
		for _, ranges := range [][]Range{
			{{Buffer: b}},
			{{Buffer: b}, {Buffer: b, Offset: 512, Size: 1024}},
			{{Buffer: b}, {Buffer: b, Offset: -4}},
			{{Buffer: b}, {Buffer: b, Offset: 1024}},
		} {
			if _, err := d.NewSet(k, ranges...); err == nil {
				t.Errorf("a set of %v was made", ranges)
			}
		}
		c, err := d.NewCommands()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Begin(), c.End(), c.Submit()); err != nil {
			t.Fatal(err)
		}
		if c.Begin() == nil || c.Submit() == nil {
			t.Error("commands that run were recorded or submitted again")
		}
		if err := c.Wait(time.Minute); err != nil {
			t.Error(err)
		}
		c.Close()
		c.Close()
	})
}

func TestOutOfMemory(t *testing.T) {
	drivers.Lavapipe.Use(t)
	i, err := Open(Options{}) // the layer would complain of the size
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	all, err := i.Devices()
	if err != nil {
		t.Fatal(err)
	}
	d, err := i.Open(all[0])
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if most := d.MaxAllocation; most < 1<<30 { // which Vulkan demands
		t.Errorf("at most %d bytes are allocated", most)
	}
	if _, err := d.NewBuffer(int(d.MaxAllocation)+1, Local); !errors.Is(err, ErrOutOfMemory) {
		t.Errorf("a byte more than is allocated at once: %v", err)
	}
	d.MaxAllocation = 1 << 46
	if _, err := d.NewBuffer(1<<46, Local); !errors.Is(err, ErrOutOfMemory) {
		t.Errorf("64 TiB: %v", err)
	}
}

// TestTimeout waits for less time than the work takes.
func TestTimeout(t *testing.T) {
	_, d := device(t, drivers.Lavapipe)
	b, err := d.NewBuffer(4<<20, Local)
	if err != nil {
		t.Fatal(err)
	}
	k, err := d.NewKernel(double(t, 8))
	if err != nil {
		t.Fatal(err)
	}
	set, err := d.NewSet(k, Range{Buffer: b}, Range{Buffer: b})
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.NewCommands()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Begin(); err != nil {
		t.Fatal(err)
	}
	c.Bind(set)
	Push(c, uint32(1<<20))
	for range 100 {
		c.Dispatch(1<<16-1, 1, 1)
		c.Barrier()
	}
	if err := errors.Join(c.End(), c.Submit()); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(time.Microsecond); !errors.Is(err, ErrTimeout) {
		t.Errorf("wait of a microsecond: %v", err)
	}
	if err := c.Wait(time.Minute); err != nil {
		t.Errorf("wait on: %v", err)
	}
}

// TestCloseWhileRunning closes a device with work under way: it must wait for
// the work, destroy everything, and do nothing the second time.
func TestCloseWhileRunning(t *testing.T) {
	_, d := device(t, drivers.Lavapipe)
	j, _ := newJob(t, d, 8)
	if err := j.commands.Submit(); err != nil {
		t.Fatal(err)
	}
	d.Close()
	d.Close()
	j.commands.Close()
	if err := j.commands.Submit(); err == nil {
		t.Error("a closed device took work")
	}
}

// watched opens lavapipe under the validation layer.
func watched(t *testing.T) (*Instance, *Device) {
	drivers.Lavapipe.Use(t)
	i, err := Open(Options{Validate: true})
	if err != nil {
		drivers.Missing(t, err.Error())
	}
	t.Cleanup(i.Close)
	all, err := i.Devices()
	if err != nil {
		t.Fatal(err)
	}
	d, err := i.Open(all[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return i, d
}

// TestMessages makes a mistake that the validation layer must report, so that
// silence elsewhere means something.
func TestMessages(t *testing.T) {
	i, d := watched(t)
	c, err := d.NewCommands()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Begin(); err != nil {
		t.Fatal(err)
	}
	b, err := d.NewBuffer(64, Local)
	if err != nil {
		t.Fatal(err)
	}
	c.Copy(b, 32, b, 0, 64) // over the end, and overlapping
	if err := c.End(); err != nil {
		t.Log(err)
	}
	if m := strings.Join(i.Messages(), "\n"); !strings.Contains(m, "VUID-vkCmdCopyBuffer") {
		t.Errorf("the layer said: %q", m)
	}
}

// TestWhole asks for workgroups of whole subgroups. The layer knows those that cannot be
// such, which shows that it was asked.
func TestWhole(t *testing.T) {
	i, d := watched(t)
	size := uint32(d.Features.Subgroup)
	for _, x := range []struct {
		local       uint32
		whole, said bool
	}{{4 * size, true, false}, {size + 1, false, false}, {size + 1, true, true}} {
		spec := double(t, x.local)
		spec.Whole = x.whole
		if _, err := d.NewKernel(spec); err != nil && !x.said {
			t.Error(err)
		}
		if m := strings.Join(i.Messages(), "\n"); strings.Contains(m, "SubgroupSize") != x.said {
			t.Errorf("workgroups of %d, whole: %v: the layer said %q", x.local, x.whole, m)
		}
	}
}

// TestNoDriver stands for a machine with a loader and no driver.
func TestNoDriver(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.json")
	t.Setenv("VK_DRIVER_FILES", none)
	t.Setenv("VK_ICD_FILENAMES", none)
	i, err := Open(Options{})
	if errors.Is(err, ErrNoLoader) {
		drivers.Missing(t, err.Error())
	}
	if err == nil {
		defer i.Close()
		if all, _ := i.Devices(); len(all) > 0 {
			t.Fatalf("devices without a driver: %+v", all)
		}
		return
	}
	if !errors.Is(err, ErrNoDriver) {
		t.Errorf("open without a driver: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for result, want := range map[int32]error{-1: ErrOutOfMemory, -2: ErrOutOfMemory, -4: ErrDeviceLost, 2: ErrTimeout, -9: ErrNoDriver} {
		if err := check("test", result); !errors.Is(err, want) {
			t.Errorf("VkResult %d: %v, want %v", result, err, want)
		}
	}
	if check("test", int32(0)) != nil || check("test", int32(-13)) == nil {
		t.Error("success and unknown errors are mixed up")
	}
}
