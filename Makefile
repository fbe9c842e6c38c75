# Everything a checkout needs, in a virtual environment of its own (.venv). Repeated calls are quick:
# a stamp file in .venv tells what is installed, and falls behind when pyproject.toml changes.
#
#   make demo     the demonstration, with two real supervisors
#   make test     every test but the long searches        make soak     the long searches
#   make lint     style, types, imports, generated pages  make docs     write the generated pages
#   make bench    durable turns per second               make fuzz     decoders, by coverage
#
# Another interpreter: make PYTHON=python3.13 …    More for pytest: make test PYTEST_ARGS='-k retry -x'

PYTHON ?= python3
PYTEST_ARGS ?=
# For benchmarks/turns.py:  make bench BENCH_ARGS='--jobs 2000 -o json'
BENCH_ARGS ?=
# For make fuzz: how long, and where inputs are kept that reach new code.
MINUTES ?= 10
FUZZ_CORPUS ?= .fuzzing
# Two workers: tests start processes of their own, so more would only wait for each other.
# loadgroup spreads single tests and keeps those that share an xdist_group together.
TEST_WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test soak fuzz lint docs bench clean
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

$(VENV)/.installed-test: $(VENV)/.installed
	$(INSTALL) --editable '.[test]'
	@touch $@

# The type checkers read the tests too, so linting needs what they import.
$(VENV)/.installed-lint: $(VENV)/.installed-test
	$(INSTALL) --editable '.[test,lint]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/sojourn demo

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup $(PYTEST_ARGS)

soak: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m soak --timeout 0 --hypothesis-profile soak $(PYTEST_ARGS)

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

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.turns $(BENCH_ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .fuzzing
