# The command table: `make` prints it. Everything lives in $(VENV) and build/; `make clean` removes both.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
ROOM ?=
SECONDS ?= 60
OLDEST ?= python3.8
MODELS ?= all
PEERS ?= default
TORCH ?= torch==2.13.0
PEERS_ROOT ?= $(abspath .peers)
export PEERS_ROOT MODELS

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --no-build-isolation -C build-dir=build/wheel
export PATH := $(abspath $(BIN)):$(PATH)
# One compiler and one set of flags for tests, wheel and benchmarks: with ccache the core is compiled
# once, wherever an archive of the sources is unpacked (CCACHE_BASEDIR).
ifeq ($(origin CC),default)
export CC := cc
export CXX := c++
endif
ifneq ($(shell command -v ccache 2>/dev/null),)
export CMAKE_C_COMPILER_LAUNCHER ?= ccache
export CMAKE_CXX_COMPILER_LAUNCHER ?= ccache
export CCACHE_BASEDIR ?= /
endif
export CMAKE_GENERATOR ?= Ninja
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(JOBS)

# Whatever ends up in the wheel: when one of them is newer than a stamp, the package is installed again.
SOURCES := $(shell find cpp bindings cmake python CMakeLists.txt pyproject.toml README.md \
             -type f -not -name '*.pyc' 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-cpp test-python lint lint-python lint-types lint-stubs lint-cpp \
        lint-tree lint-symbols bench bench-kernels peers bench-peers bench-cold bench-digests fuzz sanitize tsan \
        recipes-quick slow wheel wheels oldest arm format clean

help: ## print this table
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/dev.stamp ## own environment in .venv: the package with all extras and the developer tools

demo: $(VENV)/convert.stamp ## from nothing: install, fetch a real model, convert, run on photographs
	@$(BIN)/edgecv demo

test: test-cpp test-python ## C++ tests (also under emulated CPUs) and Python tests

test-cpp: build/dev/configured.stamp
	@cmake --build build/dev
	@ctest --test-dir build/dev --no-tests=error -j $(JOBS) --output-on-failure

test-python: $(VENV)/dev.stamp
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: lint-python lint-types lint-cpp lint-tree lint-stubs lint-symbols ## every static check; ROOM=python/edgecv/graph limits the first three

lint-python: $(VENV)/dev.stamp
	@ruff check $(or $(ROOM),.)
	@ruff format --check $(or $(ROOM),.)
	@vermin --target=3.8- --violations --no-tips --quiet python/edgecv

lint-types: $(VENV)/dev.stamp
	@$(BIN)/python -m mypy $(ROOM)

lint-cpp: $(VENV)/dev.stamp
	@git ls-files --cached --others --exclude-standard -- $(or $(ROOM),cpp bindings tests examples benchmarks) \
	  | grep -E '\.(h|hpp|c|cpp)$$' | xargs -r clang-format --dry-run -Werror

lint-tree: $(VENV)/dev.stamp
	@$(BIN)/python tools/check_deps.py
	@$(BIN)/python tools/check_clean.py

lint-stubs: $(VENV)/dev.stamp
	@cd build && $(abspath $(BIN))/python -m mypy.stubtest edgecv._core --mypy-config-file ../pyproject.toml

lint-symbols: build/dev/configured.stamp
	@cmake --build build/dev
	@$(BIN)/python tools/check_symbols.py build/dev build/wheel

format: $(VENV)/dev.stamp ## rewrite sources in the project's format
	@ruff format $(or $(ROOM),.)
	@git ls-files --cached --others --exclude-standard -- $(or $(ROOM),cpp bindings tests examples benchmarks) \
	  | grep -E '\.(h|hpp|c|cpp)$$' | xargs -r clang-format -i

bench: $(VENV)/convert.stamp ## latency of the real models on this machine
	@$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

bench-kernels: build/bench/configured.stamp ## every kernel on the layers of eleven networks: rates, share of the peak, picks
	@cmake --build build/bench --target bench_kernels
	@build/bench/benchmarks/kernels/bench_kernels $(BENCH_ARGS)

peers: $(PEERS_ROOT)/models.stamp ## .peers: other runtimes, their models and this edgecv's, for the next three

bench-peers: $(PEERS_ROOT)/models.stamp ## latency beside other runtimes; MODELS=resnet18,.. PEERS=ort,.. BENCH_ARGS=..
	@$(PEERS_ROOT)/venv/bin/python benchmarks/peers/bench.py --models $(MODELS) --peers "$(PEERS)" $(BENCH_ARGS)

bench-cold: $(PEERS_ROOT)/models.stamp ## process start to first result and peak memory, beside other runtimes
	@$(PEERS_ROOT)/venv/bin/python benchmarks/peers/bench.py --cold --threads 1 --peers "$(PEERS)" $(BENCH_ARGS) \
	  --models $(subst all,mobilenet_v2,$(MODELS))

bench-digests: $(PEERS_ROOT)/models.stamp ## the same bits from every instruction set, thread count and width, on every network
	@$(PEERS_ROOT)/venv/bin/python benchmarks/peers/make_edgecv.py --folder $(PEERS_ROOT)/models --models $(MODELS) \
	  --variants w4.ecv,a7.ecv
	@$(PEERS_ROOT)/venv/bin/python benchmarks/peers/digests.py --folder $(PEERS_ROOT)/models --models $(MODELS) $(BENCH_ARGS)

sanitize: build/asan/configured.stamp ## C++ tests under ASan and UBSan (clang)
	@cmake --build build/asan
	@ctest --test-dir build/asan --no-tests=error -j $(JOBS) --output-on-failure -LE emulated

tsan: build/tsan/configured.stamp ## the tests of what threads share under ThreadSanitizer (clang)
	@cmake --build build/tsan
	@ctest --test-dir build/tsan --no-tests=error --output-on-failure -LE 'emulated|install'

fuzz: build/asan/configured.stamp ## libFuzzer targets, SECONDS=60 each (clang)
	@cmake --build build/asan --target fuzzers
	@tools/run_fuzzers.sh build/asan $(SECONDS)

recipes-quick: $(VENV)/recipes.stamp ## examples/recipes in two minutes: distil, prune, QAT (TORCH=.. says which PyTorch)
	@$(BIN)/python -m pytest -m recipes tests/python/recipes
	@rm -rf build/recipes/quick
	@$(BIN)/python examples/recipes/distil_prune_quantize.py --quick --check --out build/recipes/quick

slow: $(VENV)/dev.stamp ## what takes minutes: slow tests, faults on purpose, ten minutes of each fuzzer
	@$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)
	@$(BIN)/python tools/mutants.py --jobs $(JOBS)
	@$(MAKE) --no-print-directory fuzz SECONDS=600

wheel: $(VENV)/dev.stamp ## sdist, and the wheel from it, into dist/; check the size, install in a new environment, use it
	@rm -rf dist && mkdir -p build dist
	@$(BIN)/python -m build -C build-dir=build/wheel -C cmake.define.EDGECV_WERROR=ON --outdir dist . >build/wheel.log 2>&1 || { tail -40 build/wheel.log; exit 1; }
	@$(BIN)/python tools/check_wheel.py dist
	@tools/try_wheel.sh $(BIN)/python dist

wheels: $(VENV)/convert.stamp ## wheels for x86_64, aarch64 and armv7l (glibc 2.17; PYTHONS="python3.8 .."), sdist; ARM's tried emulated
	@rm -rf dist
	@JOBS=$(JOBS) PYTHON=$(BIN)/python tools/wheels.sh dist
	@PYTHON=$(BIN)/python tools/arm_python.sh dist

arm: $(VENV)/convert.stamp ## tests for aarch64, ARMv7, riscv64 on emulated CPUs; digests of real models; a gate on instruction counts
	@JOBS=$(JOBS) PYTHON=$(BIN)/python tools/arm.sh build

oldest: ## the same for the oldest Python, OLDEST=python3.8 (and with it numpy 1.x)
	@command -v $(OLDEST) >/dev/null || { echo "$(OLDEST) is not installed: set OLDEST=..." >&2; exit 1; }
	@rm -rf build/oldest && mkdir -p build/oldest && $(OLDEST) -m venv build/oldest/venv
	@build/oldest/venv/bin/python -m pip --quiet --disable-pip-version-check wheel --no-deps -w build/oldest .
	@tools/try_wheel.sh build/oldest/venv/bin/python build/oldest

clean: ## remove .venv, build and dist
	@rm -rf $(VENV) build dist

# --- environment -------------------------------------------------------------------------------

$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 8))' || \
	  { echo "edgecv needs Python 3.8 or newer: set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || \
	  { echo "edgecv needs a C++17 compiler (Debian, Ubuntu: apt-get install g++)" >&2; exit 1; }
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p build
	@$(PIP) install --upgrade pip 'scikit-build-core>=0.10' 'pybind11>=3' 'cmake>=3.21' ninja
	@touch $@

$(VENV)/convert.stamp: $(VENV)/venv.stamp $(SOURCES)
	@echo "installing edgecv[convert]"
	@$(INSTALL) '.[convert]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/venv.stamp $(SOURCES)
	@echo "installing edgecv[dev]"
	@$(INSTALL) -C cmake.define.EDGECV_WERROR=ON '.[dev]'
	@touch $(VENV)/convert.stamp $@

$(VENV)/recipes.stamp: $(VENV)/dev.stamp
	@echo "installing $(TORCH)"
	@$(PIP) install $(TORCH)
	@touch $@

build/bench/configured.stamp: $(VENV)/venv.stamp CMakeLists.txt
	@cmake -S . -B build/bench -DCMAKE_BUILD_TYPE=Release -DEDGECV_WERROR=ON -DEDGECV_BUILD_BENCH=ON >build/bench-configure.log || \
	  { cat build/bench-configure.log; exit 1; }
	@touch $@

# --- .peers: other runtimes, their models and this edgecv --------------------------------------

$(PEERS_ROOT)/venv.stamp: benchmarks/peers/setup.sh
	@echo "setting up $(PEERS_ROOT)"
	@benchmarks/peers/setup.sh --rivals-only
	@touch $@

$(PEERS_ROOT)/edgecv.stamp: $(PEERS_ROOT)/venv.stamp $(SOURCES)
	@echo "installing edgecv into $(PEERS_ROOT)"
	@$(PEERS_ROOT)/venv/bin/python -m pip install --quiet --disable-pip-version-check .
	@touch $@

# Rival models are made once; .ecv files again whenever the converter changes.
$(PEERS_ROOT)/models.stamp: $(PEERS_ROOT)/edgecv.stamp $(wildcard benchmarks/peers/*.py) FORCE
	@benchmarks/peers/make_models.sh
	@$(PEERS_ROOT)/venv/bin/python benchmarks/peers/make_edgecv.py --folder $(PEERS_ROOT)/models --models $(MODELS)
	@touch $@

FORCE:

build/dev/configured.stamp build/asan/configured.stamp build/tsan/configured.stamp: \
build/%/configured.stamp: $(VENV)/venv.stamp CMakePresets.json
	@cmake --preset $* >build/$*-configure.log || { cat build/$*-configure.log; exit 1; }
	@touch $@
