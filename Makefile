# Everything a checkout needs, in a virtual environment of its own (.venv). Repeated calls are quick:
# a stamp file in .venv tells what is installed, and falls behind when pyproject.toml changes.
#
#   make demo     the demonstration, with two real supervisors
#   make test     every test but the long searches        make soak     the long searches
#   make lint     style, types, imports, generated pages  make docs     write the generated pages
#   make fuzz     decoders, by coverage
#   make bench    every figure of docs/performance, beside its bare prototype; ONLY=turns,handoff selects
#   make bench-peers  other engines at the same work (installed by benchmarks/peers/setup.sh)
#   make profile  flame graphs of a supervisor and an actor process under load
#
# Another interpreter: make PYTHON=python3.13 …    More for pytest: make test PYTEST_ARGS='-k retry -x'

PYTHON ?= python3
PYTEST_ARGS ?=
# Figures to measure, all by default; more for the suite: make bench BENCH_ARGS='--runs 3 --size turns.jobs=500'
ONLY ?=
BENCH_ARGS ?=
# For make soak and make fuzz: how long. make soak simulates hosts for that time, then makes the other long
# searches; with  make soak MINUTES=60  it simulates only, with  make soak SEED=4711  that one seed.
MINUTES ?= 10
SEED ?=
# For make fuzz: where inputs are kept that reach new code.
FUZZ_CORPUS ?= .fuzzing
# Three workers: many tests wait for time to pass, and start processes of their own besides.
# loadgroup spreads single tests and keeps those that share an xdist_group together.
TEST_WORKERS ?= 3

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test soak fuzz lint docs bench bench-peers profile clean
.DELETE_ON_ERROR:

help:
	@sed -n '/^#   make/s/^# *//p' Makefile

# pip is what python3 -m venv makes last: an environment without it is begun again.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Sojourn needs Python 3.11 or newer: name one with  make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/pip
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(INSTALL) --editable '.[bench]'
	@touch $@

# The tests run the benchmarks in a tiny size, plots and all.
$(VENV)/.installed-test: $(VENV)/.installed
	$(INSTALL) --editable '.[test,bench]'
	@touch $@

# The type checkers read the tests too, so linting needs what they import.
$(VENV)/.installed-lint: $(VENV)/.installed-test
	$(INSTALL) --editable '.[test,bench,lint]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/sojourn demo

# Hosts and commands start by the thousand: they are compiled beforehand, in case the environment keeps Python
# from writing down what it compiles.
test: $(VENV)/.installed-test
	@$(BIN)/python -m compileall -q sojourn sojourn/actors sojourn/runtime sojourn/hosts
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup $(PYTEST_ARGS)

soak: $(VENV)/.installed-test
	$(BIN)/python -m tests.simulation.hosts.soak $(if $(SEED),--seed $(SEED),--minutes $(MINUTES))
ifeq ($(SEED)$(filter command line,$(origin MINUTES)),)
	$(BIN)/python -m pytest -m soak --timeout 0 --hypothesis-profile soak $(PYTEST_ARGS)
endif

fuzz: $(VENV)/.installed-test
	$(BIN)/python -m tests.fuzzing.coverage_guided $(FUZZ_CORPUS) $$(( $(MINUTES) * 60 ))

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

docs: $(VENV)/.installed
	$(BIN)/python docs/generate.py

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks --only '$(ONLY)' $(BENCH_ARGS)

bench-peers: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks.peers $(BENCH_ARGS)

profile: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks.profiling $(BENCH_ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .fuzzing
