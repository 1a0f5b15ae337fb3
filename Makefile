# Every target does its own set-up; it needs Python 3.11 or newer with pip, and make.
# PYTHON= names another interpreter, ARGS= is handed to the tests, the demo and the benchmarks.

PYTHON ?= python3
UV ?= uv
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint types format bench bench-servers first-run lock clean

help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## make .venv: the locked dependencies and this package

demo: $(READY)  ## move real files between two servers of S3, under live traffic and failures
	@$(BIN)/crossfade demo $(ARGS)

test: $(READY)  ## run the tests
	@$(BIN)/python -m pytest -q -n auto --dist worksteal $(ARGS)

test-slow: $(READY)  ## run the longer proofs in tests/slow
	@$(BIN)/python -m pytest -q tests/slow $(ARGS)

lint: $(READY)  ## check style, format and the layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo --no-cache

types: $(READY)  ## check types, strictly
	@$(BIN)/mypy

format: $(READY)  ## put the code into its format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: $(READY)  ## measure beside the same calls without Crossfade, in memory and in directories
	@$(BIN)/python -m benchmarks $(ARGS)

bench-servers: $(READY)  ## measure on S3 servers, beside other clients and rclone
	@$(BIN)/python -m benchmarks.object_stores $(ARGS)
	@$(BIN)/python -m benchmarks.backfills

first-run: $(READY)  ## write docs/first-run.md: the README's two commands and what they say
	@$(BIN)/python docs/make_first_run.py $(ARGS)

lock:  ## write requirements/dev.txt anew, newest versions (needs uv)
	@$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--all-extras --no-annotate --custom-compile-command "make lock" \
		--output-file requirements/dev.txt pyproject.toml requirements/dev.in

clean:  ## remove caches and what was built; .venv stays
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

# Where Python comes without ensurepip, the outer pip fills an environment that has none.
$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one with PYTHON=" >&2; exit 1; }
	@echo "Setting up $(VENV): the dependencies of requirements/dev.txt and this package"
	@test -x $(BIN)/python || $(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 \
		|| $(PYTHON) -m venv --clear --without-pip $(VENV)
	@if $(BIN)/python -m pip --version >/dev/null 2>&1; then pip="$(BIN)/python -m pip"; \
		else pip="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
	quiet="--quiet --quiet --no-input --disable-pip-version-check"; \
	$$pip install $$quiet --require-hashes --requirement requirements/dev.txt && \
	$$pip install $$quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)
	@echo "Ready"
