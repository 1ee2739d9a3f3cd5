# One command for each thing a contributor does. `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
TORCH_VERSION ?= 2.13.0
TORCH_PIP_ARGS ?=
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 600
export PYTHON VENV TORCH_VERSION TORCH_PIP_ARGS

BUILD := build/native
SANITIZE := build/sanitize
SANITIZE_THREADS := build/sanitize_threads
BIN := $(abspath $(VENV))/bin
STAMPS := $(VENV)/.stamps
SETUP := scripts/setup.sh
# CMake and Ninja of the virtual environment; the module and the C++ tests share one build tree.
CMAKE := $(BIN)/cmake
CONFIGURE := $(CMAKE) -G Ninja -S . -DCMAKE_MAKE_PROGRAM=$(BIN)/ninja
CPP_FILES = $(shell find ck_tile_masks csrc tests/cpp tests/fuzz tests/amd_emulator tests/gpu_stand_ins tests/python benchmarks -name '*.hpp' -o -name '*.cpp')
# Everything that the installed package is made of. The list itself is kept in a file, so that a file that is
# added or removed counts as a change too.
SOURCES := setup.py pyproject.toml CMakeLists.txt scripts/package_instances.py $(wildcard README.md) \
	$(sort $(shell find ck_tile_masks csrc python -name '*.hpp' -o -name '*.cpp' -o -name 'CMakeLists.txt' \
	-o -name '*.py' -o -name '*.pyi' -o -name py.typed))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables: PYTHON=$(PYTHON) VENV=$(VENV) TORCH_VERSION=$(TORCH_VERSION) TORCH_PIP_ARGS= JOBS=$(JOBS)"

# --- set up and build --------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(STAMPS)/debian-test $(STAMPS)/demo $(STAMPS)/test $(STAMPS)/lint ## install everything: Debian packages, .venv, PyTorch, tools

$(STAMPS)/debian-build: $(SETUP)
	$(SETUP) debian build
	@mkdir -p $(@D) && touch $@

$(STAMPS)/debian-test: $(SETUP)
	$(SETUP) debian test
	@mkdir -p $(@D) && touch $@

$(STAMPS)/venv: $(SETUP) pyproject.toml | $(STAMPS)/debian-build
	$(SETUP) venv
	@mkdir -p $(@D) && touch $@

$(STAMPS)/bench $(STAMPS)/demo $(STAMPS)/test $(STAMPS)/lint: $(STAMPS)/%: $(SETUP) pyproject.toml | $(STAMPS)/venv
	$(SETUP) extras $*
	@touch $@

$(STAMPS)/sources: FORCE
	@mkdir -p $(@D) && echo '$(SOURCES)' | cmp -s - $@ || echo '$(SOURCES)' > $@

# Not editable: what is tested is what a user gets. The folders removed are setuptools' own copies, which would
# otherwise bring back a module that was deleted.
$(STAMPS)/package: $(SOURCES) $(STAMPS)/sources $(STAMPS)/venv
	@echo ">> Building ck_fmha and installing it into $(VENV)"
	@rm -rf build/lib* build/bdist* python/*.egg-info
	CK_FMHA_BUILD_DIR=$(BUILD) CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) \
		CK_FMHA_CMAKE_ARGS="-DCK_FMHA_WERROR=$(if $(CI),ON,OFF) -DCK_FMHA_EMULATED_ISA=ON" \
		$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check \
		--no-build-isolation --no-deps --force-reinstall .
	@touch $@

.PHONY: build
build: $(STAMPS)/package ## build the library and install it into .venv (again only if a source changed)

.PHONY: FORCE
FORCE:

# --- run -----------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(STAMPS)/package $(STAMPS)/demo ## train a byte-level model with a Big Bird mask, against dense masked attention
	$(BIN)/python examples/train_bytes.py

.PHONY: test
test: cpp-test py-test fuzz-smoke ## run the C++ and the Python tests, and fuzz for half a minute (sets everything up first)

.PHONY: cpp-test
cpp-test: $(STAMPS)/debian-test $(STAMPS)/package ## run the C++ tests only
	$(CONFIGURE) -B $(BUILD) -DCK_FMHA_BUILD_TESTS=ON
	$(CMAKE) --build $(BUILD) --parallel $(JOBS)
	@# Without what sweeps over all parameters of a definition, after its laws: `make sweep` does that.
	$(BIN)/ctest --test-dir $(BUILD) --output-on-failure --parallel $(JOBS) --no-tests=error --progress -E AllParameters

.PHONY: py-test
py-test: $(STAMPS)/package $(STAMPS)/test ## run the Python tests only (PYTEST_ARGS='-k name' to choose)
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

.PHONY: sweep
sweep: $(STAMPS)/package $(STAMPS)/test ## run the long sweeps, and the kernels' tests on every instruction set
	$(CONFIGURE) -B $(BUILD) -DCK_FMHA_BUILD_TESTS=ON
	$(CMAKE) --build $(BUILD) --parallel $(JOBS)
	$(BIN)/ctest --test-dir $(BUILD) --output-on-failure --parallel $(JOBS) --no-tests=error --progress -R AllParameters
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)
	for isa in $$($(BIN)/python -c 'import ck_fmha._native as n; print(*n.available_isas())'); do \
		echo ">> CK_FMHA_CPU_ISA=$$isa"; \
		CK_FMHA_CPU_ISA=$$isa $(BIN)/python -m pytest -q tests/python/test_forward.py tests/python/test_backward.py || exit 1; \
	done

.PHONY: bench
bench: $(STAMPS)/package $(STAMPS)/bench ## time attention against torch's matmul, SDPA and FlexAttention (BENCH_ARGS='--quick')
	@mkdir -p build
	$(BIN)/python -m ck_fmha.bench --json build/bench.json --plot build/bench.png $(BENCH_ARGS)

.PHONY: costs
costs: $(STAMPS)/package ## count the instructions of a step of every mask's walk, and time its schedule
	$(CONFIGURE) -B $(BUILD)
	$(CMAKE) --build $(BUILD) --parallel $(JOBS) --target mask_costs
	$(BUILD)/benchmarks/mask_costs

EMULATOR := $(BUILD)/tests/amd_emulator/libck_fmha_amd_emulator.so
$(EMULATOR): FORCE $(STAMPS)/debian-test $(STAMPS)/package
	$(CONFIGURE) -B $(BUILD) -DCK_FMHA_BUILD_TESTS=ON -DCK_FMHA_AMD_EMULATOR=ON
	$(CMAKE) --build $(BUILD) --parallel $(JOBS) --target ck_fmha_amd_emulator

.PHONY: amd-counts
amd-counts: $(EMULATOR) ## count in the emulator what the AMD forward executes, beside CK Tile (no times: no GPU)
	$(BIN)/python benchmarks/amd_instructions.py --emulator $(EMULATOR) $(COUNT_ARGS)

.PHONY: amd-resources
amd-resources: $(STAMPS)/debian-test $(STAMPS)/package ## compile instances for AMD and print their registers, spills, shared memory
	$(BIN)/python benchmarks/amd_resources.py $(COUNT_ARGS)

.PHONY: amd-hardware
amd-hardware: $(STAMPS)/package ## correctness, then speed, on a real AMD GPU (needs ROCm's PyTorch in the environment)
	$(BIN)/python benchmarks/amd_hardware.py

.PHONY: pictures
pictures: $(STAMPS)/package $(STAMPS)/demo ## draw the pictures of the documents again
	$(BIN)/python docs/pictures.py

.PHONY: gallery
gallery: $(STAMPS)/package $(STAMPS)/demo ## write the gallery of masks and its pictures again
	$(BIN)/python docs/gallery.py

.PHONY: sanitize
sanitize: $(STAMPS)/debian-test $(STAMPS)/venv ## run the C++ tests under the address and undefined-behaviour sanitizers
	@# Without the emulator, which takes long to build so and is no part of the library; its page says how to do it.
	$(CONFIGURE) -B $(SANITIZE) -DCK_FMHA_SANITIZE=ON -DCK_FMHA_BUILD_TESTS=ON -DCK_FMHA_AMD_EMULATOR=OFF \
		-DCK_FMHA_EMULATED_ISA=ON -DCK_FMHA_WERROR=$(if $(CI),ON,OFF)
	$(CMAKE) --build $(SANITIZE) --parallel $(JOBS)
	$(BIN)/ctest --test-dir $(SANITIZE) --output-on-failure --parallel $(JOBS) --no-tests=error --progress -L unit -E AllParameters

.PHONY: sanitize-threads
sanitize-threads: $(STAMPS)/debian-test $(STAMPS)/venv ## run the C++ tests of the CPU back end under the thread sanitizer
	$(CONFIGURE) -B $(SANITIZE_THREADS) -DCK_FMHA_SANITIZE_THREADS=ON -DCK_FMHA_BUILD_TESTS=ON -DCK_FMHA_AMD_EMULATOR=OFF \
		-DCK_FMHA_WERROR=$(if $(CI),ON,OFF)
	$(CMAKE) --build $(SANITIZE_THREADS) --parallel $(JOBS) --target test_cpu_attention test_plans
	$(SANITIZE_THREADS)/tests/cpp/test_cpu_attention
	$(SANITIZE_THREADS)/tests/cpp/test_plans

FUZZ = CMAKE=$(CMAKE) NINJA=$(BIN)/ninja JOBS=$(JOBS) tests/fuzz/run.sh
.PHONY: fuzz
fuzz: $(STAMPS)/debian-test $(STAMPS)/venv ## let a fuzzer search the masks for faults (FUZZ_SECONDS=600; needs clang with libFuzzer)
	$(FUZZ) seconds $(FUZZ_SECONDS)

.PHONY: fuzz-smoke
fuzz-smoke: $(STAMPS)/debian-test $(STAMPS)/venv ## let it try always the same 40,000 inputs, about half a minute
	$(FUZZ) inputs 40000

# --- style -----------------------------------------------------------------------------------------------------------

.PHONY: lint
lint: $(STAMPS)/venv $(STAMPS)/lint $(STAMPS)/demo ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(CPP_FILES)
	$(BIN)/mypy

.PHONY: format
format: $(STAMPS)/venv $(STAMPS)/lint ## put the sources into the style that lint asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP_FILES)

.PHONY: clean
clean: ## remove what was built (keeps .venv; `rm -r .venv` removes that too)
	rm -rf build dist demo_out python/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f $(STAMPS)/package
