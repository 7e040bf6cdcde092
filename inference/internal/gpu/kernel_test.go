//go:build cgo && (amd64 || arm64)

package gpu

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
	"chorale/inference/internal/weights"
	"chorale/shaders"
)

const models = "../../testdata/models"

// bench runs single kernels on a driver, watched by the validation layer.
type bench struct {
	testing.TB
	d *vk.Device
}

func newBench(t *testing.T, driver drivers.Driver) *bench {
	t.Helper()
	driver.Use(t)
	i, err := vk.Open(vk.Options{Validate: true})
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
		silent(t, i)
	})
	return &bench{t, d}
}

// silent fails the test where the validation layer said something.
func silent(t testing.TB, i *vk.Instance) {
	t.Helper()
	for _, m := range i.Messages() {
		t.Errorf("validation: %s", m)
	}
}

// run runs a kernel on x*y workgroups. Its buffers are slices of 32-bit numbers
// or bytes; they are filled with what the kernel left in them.
func run[P any](b *bench, k *shaders.Kernel, constants []int, push P, x, y int, slices ...any) {
	b.Helper()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	var words []uint32
	for _, c := range constants {
		words = append(words, uint32(c))
	}
	kernel, err := b.d.NewKernel(spec(k, words))
	must(err)
	defer kernel.Close()
	var ranges []vk.Range
	for _, s := range slices {
		buffer, err := b.d.NewBuffer(ceil(max(binary.Size(s), 1), 16)*16, vk.Upload)
		must(err)
		defer buffer.Close()
		clear(buffer.Bytes())
		_, err = binary.Encode(buffer.Bytes(), binary.LittleEndian, s)
		must(err)
		ranges = append(ranges, vk.Range{Buffer: buffer})
	}
	set, err := b.d.NewSet(kernel, ranges...)
	must(err)
	defer set.Close()
	c, err := b.d.NewCommands()
	must(err)
	defer c.Close()
	must(c.Begin())
	c.Bind(set)
	vk.Push(c, push)
	c.Dispatch(x, y, 1)
	c.ToHost()
	must(errors.Join(c.End(), c.Submit(), c.Wait(time.Minute)))
	for i, s := range slices {
		_, err := binary.Decode(ranges[i].Buffer.Bytes(), binary.LittleEndian, s)
		must(err)
	}
}

// cuts are the ways to cut kernels that tests run on every driver: as for
// software and as for hardware.
func cuts(c *graph.Config) map[string]profile {
	return map[string]profile{"software": newProfile(c, true), "hardware": newProfile(c, false)}
}

// eachCut runs a test on every set of kernel goldens that has the array, on both
// drivers, with the kernels cut in both ways.
func eachCut(t *testing.T, array string, test func(b *bench, g *golden.Blob, p profile)) {
	for _, g := range golden.Kernels(t, models, array) {
		onDrivers(t, 1, 1, func(b *bench, p profile) { test(b, g, p) })
	}
}

// onDrivers runs a test on both drivers, with the kernels cut in both ways.
func onDrivers(t *testing.T, heads, kvHeads int, test func(b *bench, p profile)) {
	for _, driver := range drivers.All {
		for name, p := range cuts(&graph.Config{Heads: heads, KVHeads: kvHeads}) {
			t.Run(driver.Name+"/"+name, func(t *testing.T) { test(newBench(t, driver), p) })
		}
	}
}

// near fails where two arrays differ by more than tolerance, relative to 1 or to
// the wanted number where that is larger.
func near(t testing.TB, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	var worst float64
	at := 0
	for i := range got {
		e := math.Abs(float64(got[i])-float64(want[i])) / max(1, math.Abs(float64(want[i])))
		if !(e <= worst) {
			worst, at = e, i
		}
	}
	if !(worst <= tolerance) {
		t.Errorf("%s: number %d is %v, want %v", what, at, got[at], want[at])
	}
}

func poison(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(math.NaN())
	}
	return v
}

func TestNormGolden(t *testing.T) {
	eachCut(t, "rmsnorm.w", func(b *bench, g *golden.Blob, p profile) {
		shape, y := g.Shape(b, "rmsnorm.x"), poison(len(g.F32(b, "rmsnorm.x")))
		run(b, &shaders.Norm, []int{p.norm}, shaders.NormPush{Width: uint32(shape[1]), Eps: 1e-5}, shape[0], 1,
			g.F32(b, "rmsnorm.x"), g.F32(b, "rmsnorm.w"), y)
		near(b, "rmsnorm", y, g.F32(b, "rmsnorm.y"), 1e-5)
	})
}

func TestRopeGolden(t *testing.T) {
	eachCut(t, "rope.cos", func(b *bench, g *golden.Blob, p profile) {
		x, want := g.F32(b, "rope.x"), g.F32(b, "rope.y")
		cos, sin := g.F32(b, "rope.cos"), g.F32(b, "rope.sin") // those that the golden was made with
		n := len(cos) / 32
		heads := len(x) / 64 / n // all but the last count as queries, the last as keys
		var tables, qkv []float32
		for i := range n {
			tables = append(append(tables, cos[i*32:(i+1)*32]...), sin[i*32:(i+1)*32]...)
			qkv = append(qkv, x[i*heads*64:(i+1)*heads*64]...)
			qkv = append(qkv, x[i*64:(i+1)*64]...) // values
		}
		const first = 3 // position of the first token
		capacity := n + 5
		keys, values := poison(capacity*64), poison(capacity*64)
		push := shaders.RopePush{Heads: uint32(heads - 1), KVHeads: 1}
		push.Tokens[0], push.KVCount[0], push.Slots[0] = uint32(n), 1, uint32(capacity)
		buffers := []any{[]uint32{first}, tables, qkv, keys, values}
		for len(buffers) < shaders.Rope.Bindings {
			buffers = append(buffers, []byte{})
		}
		run(b, &shaders.Rope, []int{p.local, 0, 1}, push, ceil((heads+1)*16, p.local), n, buffers...)
		for i := range n {
			row := qkv[i*(heads+1)*64:]
			rotated := want[i*heads*64 : (i+1)*heads*64]
			near(b, "rotated", row[:heads*64], rotated, 1e-5)
			at := (first + i) * 64
			near(b, "cached key", keys[at:at+64], rotated[(heads-1)*64:], 1e-5)
			near(b, "cached value", values[at:at+64], x[i*64:(i+1)*64], 0)
		}
		for _, v := range append(keys[:first*64:first*64], keys[(first+n)*64:]...) {
			if !math.IsNaN(float64(v)) {
				b.Fatal("the cache was written outside the batch")
			}
		}
	})
}

func TestAttendGolden(t *testing.T) {
	for _, g := range golden.Kernels(t, models, "sinks") {
		for _, name := range g.Groups("sinks") {
			heads, kvHeads := g.Shape(t, name+".q")[1], g.Shape(t, name+".k")[1]
			t.Run(name, func(t *testing.T) {
				onDrivers(t, heads, kvHeads, func(b *bench, p profile) { attend(b, g, p, name) })
			})
		}
	}
}

// attend runs the golden's rows one by one, and where they are consecutive as
// one batch, too.
func attend(b *bench, g *golden.Blob, p profile, name string) {
	q, rows, want := g.F32(b, name+".q"), g.Ints(b, name+".rows"), g.F32(b, name+".out")
	heads, shape := g.Shape(b, name+".q")[1], g.Shape(b, name+".k")
	n, kvHeads := shape[0], shape[1]
	slots := ceil(n, graph.CachePage) * graph.CachePage
	keys, values := byHead(g.F32(b, name+".k"), kvHeads, slots), byHead(g.F32(b, name+".v"), kvHeads, slots)
	sinks := g.F32(b, name+".sinks")
	window, width := g.Ints(b, name+".window")[0], heads*64

	call := func(first, tokens, position, queries int) {
		var qkv []float32
		for i := first; i < first+tokens; i++ {
			qkv = append(append(qkv, q[i*width:(i+1)*width]...), poison(2*kvHeads*64)...)
		}
		out := poison(tokens * width)
		push := shaders.AttendPush{Tokens: uint32(tokens), KVHeads: uint32(kvHeads), Slots: uint32(slots), Window: uint32(window), SegmentEnd: math.MaxUint32, LastSegment: 1}
		group := heads / kvHeads
		run(b, &shaders.Attend, []int{p.sharers, 64 / p.sharers, group, queries, 0}, push, kvHeads, ceil(tokens, queries/group),
			[]uint32{uint32(position)}, qkv, sinks, keys, values, out, poison(2*tokens*heads))
		near(b, name, out, want[first*width:(first+tokens)*width], 1e-5)
	}
	consecutive := true
	for i, r := range rows {
		consecutive = consecutive && r == rows[0]+i
		if i%7 == 0 || i == len(rows)-1 {
			call(i, 1, r, heads/kvHeads)
		}
	}
	if consecutive {
		call(0, len(rows), rows[0], p.queries)
	}
}

// byFour turns scales [row][block] into [row / 4][block][row % 4], rows of zeros
// added up to whole words.
func byFour(scales []byte, blocks int) []byte {
	rows := len(scales) / blocks
	out := make([]byte, ceil(rows, 4)*4*blocks)
	for i, s := range scales {
		r, b := i/blocks, i%blocks
		out[(r/4*blocks+b)*4+r%4] = s
	}
	return out
}

// byHead turns [position][head][64] into [head][slot][64].
func byHead(v []float32, heads, slots int) []float32 {
	out := poison(heads * slots * 64)
	for i := range len(v) / 64 {
		copy(out[(i%heads*slots+i/heads)*64:], v[i*64:(i+1)*64])
	}
	return out
}

func TestRouterGolden(t *testing.T) {
	eachCut(t, "topk", func(b *bench, g *golden.Blob, p profile) {
		for _, name := range g.Groups("topk") {
			n, experts, top := g.Shape(b, name+".logits")[0], g.Shape(b, name+".logits")[1], g.Shape(b, name+".topk")[1]
			choice, mix := make([]uint32, n*top), poison(n*top)
			run(b, &shaders.TopK, []int{p.local}, shaders.TopKPush{Tokens: uint32(n), Experts: uint32(experts), Top: uint32(top)}, ceil(n, p.local), 1,
				g.F32(b, name+".logits"), choice, mix)
			for i, want := range g.Ints(b, name+".topk") {
				if int(choice[i]) != want {
					b.Fatalf("%s: token %d chose %v", name, i/top, choice[i/top*top:i/top*top+top])
				}
			}
			near(b, name+" weights", mix, g.F32(b, name+".weights"), 1e-6)
		}
	})
}

// TestSwiGLUGolden gives the first matrix the identity for weights.
func TestSwiGLUGolden(t *testing.T) {
	eachCut(t, "swiglu.y", func(b *bench, g *golden.Blob, p profile) {
		x := g.F32(b, "swiglu.x")
		tokens, rows := g.Shape(b, "swiglu.x")[0], g.Shape(b, "swiglu.x")[1]
		codes, scales := make([]byte, rows*rows/2), make([]byte, rows*rows/32)
		for i := range rows {
			codes[(i*rows+i)/2] = 2 << (4 * (i % 2)) // 1.0
		}
		for i := range scales {
			scales[i] = 127
		}
		for _, tile := range []int{1, p.tile} {
			n := ceil(tokens, tile)
			slots, y := make([]uint32, n*tile), poison(n*tile*rows/2)
			for i := range slots {
				slots[i] = uint32(i)
				if i >= tokens {
					slots[i] = math.MaxUint32
				}
			}
			push := shaders.ExpertUpPush{Rows: uint32(rows), Width: uint32(rows), Experts: 1, Grouped: 1, Limit: 7, Alpha: graph.Alpha}
			run(b, &shaders.ExpertUp, []int{p.local, p.each.upN, tile}, push, ceil(rows, p.each.upN*p.local), n,
				x, codes, scales, make([]float32, rows), make([]uint32, n), slots, y)
			near(b, "swiglu", y[:tokens*rows/2], g.F32(b, "swiglu.y"), 1e-5)
		}
	})
}

// TestMXFP4Golden multiplies by the golden's blocks, and reads every value of
// the format out with one-hot vectors; with texel buffers too, where the device has the
// profile.
func TestMXFP4Golden(t *testing.T) {
	eachCut(t, "mxfp4.table_ocp", func(b *bench, g *golden.Blob, p profile) {
		plain := func(x []float32, codes, scales []byte, rows, width int) []float32 {
			n := len(x) / width
			y := poison(n * rows)
			push := shaders.ExpertDownPush{Rows: uint32(rows), Width: uint32(width), Experts: 1}
			scales = byFour(scales, width/32)
			run(b, &shaders.ExpertDown, []int{p.local, p.each.downN, 1}, push, ceil(rows, p.each.downN*p.local), n,
				x, codes, scales, make([]float32, rows), make([]uint32, n), y)
			return y
		}
		mxfp4(b, g, plain)
		if p.use(&b.d.Description, Texel) != nil {
			return
		}
		mxfp4(b, g, func(x []float32, block, exponents []byte, rows, width int) []float32 {
			n, most := len(x)/width, ceil(rows, 32)*32 // with rows of zeros
			w := &weights.Tensor{DType: weights.MXFP4, Shape: []int{1, most, width}, Data: make([]byte, most*width/2), Scales: make([]byte, most*width/32)}
			copy(w.Data, block)
			copy(w.Scales, exponents)
			y := poison(n * most)
			push := shaders.ExpertDownPush{Rows: uint32(most), Width: uint32(width), Experts: 1}
			run(b, &shaders.ExpertDownTexel, []int{texelLanes, texelRows, 1}, push, n, most/(texelLanes*texelRows),
				x, whole(codes(w, p.tiler())), whole(scales(w, p.tiler())), make([]float32, most), make([]uint32, n), y)
			var used []float32
			for i := range n {
				used = append(used, y[i*most:][:rows]...)
			}
			return used
		})
	})
}

func mxfp4(b *bench, g *golden.Blob, down func(x []float32, codes, scales []byte, rows, width int) []float32) {
	shape := g.Shape(b, "mxfp4.values")
	y := down(g.F32(b, "mxfp4.x"), g.U8(b, "mxfp4.hf_blocks"), g.U8(b, "mxfp4.hf_scales"), shape[0], shape[1])
	near(b, "mxfp4", y, g.F32(b, "mxfp4.matvec"), 1e-4) // the sum cancels

	const scales = 256 // the last two, where codes overflow and spoil their block, are not asked for
	var codes, exponents []byte
	for s := range scales {
		for range 2 {
			codes = append(codes, 0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe)
		}
		exponents = append(exponents, byte(min(s, 253)))
	}
	x := make([]float32, 16*32)
	for c := range 16 {
		x[c*32+c] = 1
	}
	y = down(x, codes, exponents, scales, 32)
	table := g.F32(b, "mxfp4.table_ocp")
	for c := range 16 {
		for s := range scales - 2 {
			got, want := float64(y[c*scales+s]), float64(table[s*16+c])
			// Scales 0 and 1 vanish where denormals are flushed.
			if got != want && math.Abs(got-want) > 8e-38 {
				b.Fatalf("scale %d, code %d: %g, want %g", s, c, got, want)
			}
		}
	}
}
