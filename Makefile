# `make setup` once, then `make test`. Every target says what it does: `make help`.
PYTHON ?= python3
VENV := .venv/bin
# Cached bytecode: importing pulumi_aws costs seconds without it.
unexport PYTHONDONTWRITEBYTECODE
export PULUMI_SKIP_UPDATE_CHECK := true
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.tools/bin:$(PATH)

.PHONY: help setup demo check test bench docs lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name what; do printf '%-8s %s\n' "$$name" "$$what"; done

setup: ## virtualenv from the hashed lock, and a Pulumi CLI
	@command -v $(PYTHON) >/dev/null || { echo 'setup: Python 3.11 or newer is needed: apt-get install python3 python3-venv' >&2; exit 1; }
	@$(PYTHON) tools/setup.py

demo: setup ## both sites brought up in the sandbox and proved by the policies; KEEP=1 leaves them up
	@$(VENV)/python tools/demo.py

check: setup ## format, lint, types, unit tests
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/mypy
	$(VENV)/python -m pytest -q -n 2 --dist worksteal -m 'not engine'

test: setup ## everything that guards a merge
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/mypy
	$(VENV)/python -m pytest -q -n 2 --dist worksteal

bench: setup ## measured ratios against a named peer
	$(VENV)/python -m bench

LOCK := $(VENV)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --strip-extras \
	--no-header --no-emit-index-url --no-emit-find-links
docs: setup ## write docs/cli.md and docs/configuration.md anew
	$(VENV)/python -m tools.reference

lock: setup ## write requirements*.txt anew from requirements*.in
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements-dev.in -o requirements-dev.txt
	@! grep -nE '://|--(extra-)?index-url|--find-links|--trusted-host' requirements.txt requirements-dev.txt

clean: ## remove what setup and the tests made
	rm -rf .venv .tools .sandbox .mypy_cache .pytest_cache .ruff_cache
