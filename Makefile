# The two commands of the README are `make run` and `make test`.
# Every target sets up what it needs and does nothing twice.

GO      ?= go
TASK    ?= examples/arithmetic.yaml
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# On amd64 the CPU's vector kernels need this experiment of the compiler; a build
# without it has them in plain Go. Elsewhere it changes nothing.
export GOEXPERIMENT ?= simd

# -buildvcs=false: a clone that belongs to another user must build as well.
BUILD = $(GO) build -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

# How long each property is tried on random input.
FUZZTIME ?= 60s

.PHONY: test-python-full equivalence-python run test check race heavy arm64 real-shapes profiles fuzz corrupt soak soak-browser bench-harmony bench-python bench-peer bench-guesses bench-browser build setup setup-test shaders clean

run: setup build ## set up, then carry out an example task on the embedded model
	@bin/agent run $(TASK)

test: setup-test build check race heavy arm64 fuzz ## set up, then pass every test

build:
	@mkdir -p bin
	@$(BUILD) -o bin/ ./cmd/agent

setup: build
	@scripts/system.sh run
	@bin/agent setup python --runtime basic

setup-test: build
	@scripts/system.sh test
	@scripts/mcp-tests.sh
	@scripts/shader-tools.sh
	@bin/agent setup python --runtime basic

check: ## formatting, vet, and the builds that CI does not run
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }
	$(GO) vet -buildvcs=false ./...
	GOEXPERIMENT= CGO_ENABLED=0 $(GO) build -buildvcs=false -o /dev/null ./cmd/agent
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 $(GO) build -buildvcs=false -o /dev/null ./cmd/agent
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) build -buildvcs=false -o /dev/null ./cmd/agent
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) build -buildvcs=false -o /dev/null ./cmd/agent

race: ## every test but the heavy numeric goldens, under the race detector
	$(GO) test -buildvcs=false -race -timeout 15m ./...

heavy: ## the numeric goldens, the replay of held-out episodes and PDFs, at full speed
	$(GO) test -buildvcs=false -timeout 15m -run 'Heavy|Golden|Replay|Eval|Guesses' ./inference/... ./cmd/agent/...
	$(GO) test -buildvcs=false -timeout 15m -run PDF ./tools/browser/...

# The emulator does not tell where a mapped file is missing, and nothing of speed.
ifneq ($(shell $(GO) env GOHOSTARCH),arm64)
EMULATED = GOOS=linux
EMULATOR = -exec qemu-aarch64-static
endif
arm64: ## the kernels of arm64 and the goldens by them, on other processors under an emulator
	$(EMULATED) GOARCH=arm64 CGO_ENABLED=0 $(GO) vet -buildvcs=false ./inference/internal/kernel
	$(EMULATED) GOARCH=arm64 CGO_ENABLED=0 $(GO) test -buildvcs=false $(EMULATOR) \
	-skip 'Fault|Gate|Heavy|Golden(Models|Kernels|HalfCache|Bytes)' ./inference/internal/kernel ./inference/internal/ref

real-shapes: ## gpt-oss-20b's and 120b's layers whole on Vulkan and on the CPU; takes 5 GB of memory
	AGENT_REAL_SHAPES=1 $(GO) test -buildvcs=false -count 1 -timeout 30m -v -run TestRealShapes ./inference/internal/gpu

profiles: ## every golden, shape and format in every kernel profile, with caches in f32 and f16; takes long
	AGENT_PROFILES=1 $(GO) test -buildvcs=false -count 1 -timeout 120m -v \
	-run 'TestGolden(Models|HalfCache|Formats)|TestShapes|TestGrow|TestSegments|TestHeavyRealWidths' ./inference/internal/gpu ./inference/internal/ref

fuzz: ## the properties of Harmony's codec and grammar on random input, one core each
	@grep -Ero '^func Fuzz\w+' --include='*_test.go' harmony | sed 's|/[^/]*:func||' | \
	xargs -P "$$(getconf _NPROCESSORS_ONLN)" -n 2 sh -c \
	'GOMAXPROCS=1 $(GO) test -buildvcs=false -run "^$$" -fuzz "^$$2\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s -parallel 1 "./$$1"' fuzz

corrupt: ## damage small checkpoints in every format 120,000 times
	AGENT_CORRUPTIONS=120000 $(GO) test -buildvcs=false -count 1 -timeout 30m -v -run TestCorrupted ./inference

soak: ## five million tokens on the CPU and as many on lavapipe, under GC storms; every way to fail
	AGENT_SOAK=5000000 $(GO) test -buildvcs=false -timeout 240m -v -run 'TestSoak|TestRecovery' ./inference

soak-browser: ## a hundred tasks with the browser, and a hundred pages in one: nothing is left
	AGENT_BROWSER_TASKS=100 $(GO) test -buildvcs=false -count 1 -timeout 30m -v -run 'TestSoak|TestManyPages' ./tools/browser/...

test-python-full: setup-test ## the sandbox's tests on the full interpreter: fetches 98 MB, compiles for a minute
	@bin/agent setup python
	AGENT_PYTHON_RUNTIME=full $(GO) test -buildvcs=false -count 1 -timeout 15m ./tools/python/

equivalence-python: ## one program on the interpreters as they were fetched and as they were rewritten; compiles for minutes
	AGENT_PYTHON_EQUIVALENCE=1 $(GO) test -buildvcs=false -count 1 -timeout 30m -v -run Equivalent ./tools/python/

bench-harmony: ## the codec beside its peers, built from their packages; rewrites docs/benchmarks.md
	$(GO) run -buildvcs=false ./internal/bench/harmony

bench-browser: ## starting Chromium, opening tabs and small pages, and turning pages into text
	$(GO) test -buildvcs=false -run '^$$' -bench 'Start|Load' -benchtime 20x ./tools/browser/internal/chrome
	$(GO) test -buildvcs=false -run '^$$' -bench FromHTML ./tools/browser/internal/pagetext

bench-peer: ## the engine beside llama.cpp, installed from packages; rewrites docs/benchmarks.md; CASES=cpu,lavapipe-cut,... for some
	$(GO) run -buildvcs=false ./internal/bench/llama -cases '$(CASES)'

bench-guesses: setup ## the examples with guesses and without, on the CPU and on lavapipe; rewrites docs/benchmarks.md
	$(GO) test -buildvcs=false -timeout 60m -run '^$$' -bench Guesses -benchtime 5x ./cmd/agent -guess-table "$(CURDIR)/docs/benchmarks.md"

bench-python: build ## the sandbox beside CPython with numpy and pandas; rewrites docs/benchmarks.md
	@bin/agent setup python
	$(GO) run -buildvcs=false ./internal/bench/python

shaders: ## recompile the SPIR-V (needs the pinned glslc)
	@scripts/shader-tools.sh
	$(GO) generate ./shaders

clean:
	rm -rf bin
