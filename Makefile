# `make setup` once, then `make test`. Every target says what it does: `make help`.
PYTHON ?= python3
VENV := .venv/bin
# Cached bytecode: importing pulumi_aws costs seconds without it.
unexport PYTHONDONTWRITEBYTECODE
export PULUMI_SKIP_UPDATE_CHECK := true
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.tools/bin:$(PATH)

.PHONY: help setup demo check test bench campaign kills undo-kills faults mutants docs example-rpms tools-debian lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name what; do printf '%-13s %s\n' "$$name" "$$what"; done

setup: ## virtualenv from the hashed lock, and a Pulumi CLI
	@command -v $(PYTHON) >/dev/null || { echo 'setup: Python 3.11 or newer is needed: apt-get install python3 python3-venv' >&2; exit 1; }
	@$(PYTHON) tools/setup.py

demo: setup ## both sites in the sandbox, a release deployed to both, a region lost and survived; KEEP=1 leaves it up
	@$(VENV)/python -m tools.demo

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

campaign: setup ## every case of a kind, for as long as it takes: `make campaign kills`, undo-kills, faults or mutants; goes on where it was
	$(VENV)/python -m tests.campaigns $(filter-out $@,$(MAKECMDGOALS))

# Names of campaigns, which make takes for goals.
kills undo-kills faults mutants:
	@:

tools-debian: setup ## dnf, rpm and cloud-init, unpacked into .tools, for tests that hold ours against them
	@$(VENV)/python tools/debian.py

example-rpms: tools-debian ## build the example application's packages anew, and compare with the committed ones
	@$(VENV)/python tools/example_rpms.py

LOCK := $(VENV)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --strip-extras \
	--no-header --no-emit-index-url --no-emit-find-links
docs: setup ## write anew the pages of docs/ that the code knows
	$(VENV)/python -m tools.reference

lock: setup ## write requirements*.txt anew from requirements*.in
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements-dev.in -o requirements-dev.txt
	@! grep -nE '://|--(extra-)?index-url|--find-links|--trusted-host' requirements.txt requirements-dev.txt

clean: ## remove what setup and the tests made
	rm -rf .venv .tools .sandbox .mypy_cache .pytest_cache .ruff_cache
