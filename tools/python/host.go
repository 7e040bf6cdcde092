package python

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	wasi "github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// exitStopped is the exit code of a guest that the host ended.
const exitStopped = 0xC0DE

// stopFlag tells a guest to end. The guest looks at it from its loops and
// wherever it waits.
type stopFlag struct {
	once sync.Once
	set  atomic.Bool
	done chan struct{}
}

func newStopFlag() *stopFlag { return &stopFlag{done: make(chan struct{})} }

func (s *stopFlag) stop() {
	s.once.Do(func() {
		s.set.Store(true)
		close(s.done)
	})
}

// leave unwinds the guest from within a host function: merely returning an
// error would let Python code go on.
func leave() { panic(sys.NewExitError(exitStopped)) }

type stopKey struct{}

// stopOf returns the stop flag of the guest that calls a host function.
func stopOf(ctx context.Context) *stopFlag { return ctx.Value(stopKey{}).(*stopFlag) }

// instantiateHost gives a runtime the functions that the guest imports:
// wazero's own, with two replaced.
func instantiateHost(ctx context.Context, rt wazero.Runtime) error {
	host := rt.NewHostModuleBuilder(wasi.ModuleName)
	wasi.NewFunctionExporter().ExportFunctions(host)
	i32 := api.ValueTypeI32
	host.NewFunctionBuilder().
		WithGoFunction(api.GoFunc(yield), nil, []api.ValueType{i32}).
		Export("sched_yield")
	host.NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(pollOneoff), []api.ValueType{i32, i32, i32, i32}, []api.ValueType{i32}).
		Export("poll_oneoff")
	if _, err := host.Instantiate(ctx); err != nil {
		return err
	}
	// The full interpreter has a door to functions of its host. It is shut.
	_, err := rt.NewHostModuleBuilder("host").NewFunctionBuilder().
		WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) { stack[0] = api.EncodeI32(-1) }),
			[]api.ValueType{i32, i32, i32, i32}, []api.ValueType{i32}).
		Export("call").Instantiate(ctx)
	return err
}

// yield is what the guest's loops call. Being Go code it is also a point at
// which the scheduler and the garbage collector can stop this goroutine.
func yield(ctx context.Context, stack []uint64) {
	stopOf(ctx).check()
	stack[0] = 0
}

// WASI error numbers and the layout of poll_oneoff's structures, from
// WASI preview 1, snapshot-01.
const (
	errnoFault = 21
	errnoInval = 28

	subscriptionSize = 48
	eventSize        = 32

	eventClock   = 0
	eventFDRead  = 1
	eventFDWrite = 2

	flagAbstime = 1
)

// pollOneoff waits for the first of some events. wazero's own knows no
// absolute times, which is what Python's sleep asks for, and can't be
// interrupted. Descriptors here are files and always ready.
func pollOneoff(ctx context.Context, mod api.Module, stack []uint64) {
	stack[0] = uint64(poll(stopOf(ctx), mod.Memory(), uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])))
}

func poll(stop *stopFlag, mem api.Memory, in, out, n, result uint32) uint32 {
	if n == 0 || n > 1<<16 {
		return errnoInval
	}
	subs, ok := mem.Read(in, n*subscriptionSize)
	events, okOut := mem.Read(out, n*eventSize)
	if !ok || !okOut {
		return errnoFault
	}
	waits := make([]time.Duration, n)
	first := time.Duration(1<<63 - 1)
	for i := range waits {
		sub := subs[i*subscriptionSize:]
		switch sub[8] {
		case eventClock:
			waits[i] = clockWait(sub)
		case eventFDRead, eventFDWrite:
		default:
			return errnoInval
		}
		first = min(first, waits[i])
	}
	sleep(stop, first)
	count := uint32(0)
	for i, wait := range waits {
		if wait > first {
			continue
		}
		sub, event := subs[i*subscriptionSize:], events[count*eventSize:][:eventSize]
		clear(event)
		copy(event, sub[:8]) // the caller's own mark
		event[10] = sub[8]
		count++
	}
	if !mem.WriteUint32Le(result, count) {
		return errnoFault
	}
	return 0
}

// clockWait reads how long a clock subscription waits.
func clockWait(sub []byte) time.Duration {
	clock := binary.LittleEndian.Uint32(sub[16:])
	timeout := binary.LittleEndian.Uint64(sub[24:])
	if binary.LittleEndian.Uint16(sub[40:])&flagAbstime != 0 {
		now := uint64(monotonic())
		if clock == 0 {
			now = uint64(time.Now().UnixNano())
		}
		if timeout <= now {
			return 0
		}
		timeout -= now
	}
	return time.Duration(min(timeout, 1<<63-1))
}

// sleep waits, or unwinds the guest when it is stopped.
func sleep(stop *stopFlag, d time.Duration) {
	if d <= 0 {
		stop.check()
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop.done:
		leave()
	}
}

// tick is the resolution of the guest's clocks. It is coarse so that they do
// not measure what the host does.
const tick = time.Millisecond

var start = time.Now()

// monotonic is the guest's monotonic clock. It starts above zero, where some
// programs take a first reading for "never".
func monotonic() int64 { return int64((time.Since(start) + time.Second).Truncate(tick)) }

// withClocks gives a guest its clocks.
func withClocks(c wazero.ModuleConfig) wazero.ModuleConfig {
	resolution := sys.ClockResolution(tick)
	return c.
		WithWalltime(func() (int64, int32) {
			now := time.Now().Truncate(tick)
			return now.Unix(), int32(now.Nanosecond())
		}, resolution).
		WithNanotime(monotonic, resolution)
}
