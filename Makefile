# Each target is one script of ci/, the same by hand and in CI. PYTHON chooses the interpreter:
#     make test PYTHON=python3.13
PYTHON ?= python3
export PYTHON
# More for the script itself, for instance: make test ARGS="-k queue"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test lint wheel bench conformance frameworks nightly loom clean

help: ## this list
	@echo "tress: make TARGET [PYTHON=python3.13] [ARGS=...]"
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 4,16 | sed 's/^/    /'

run: ## set up, build, and run the tour: real programs on plain Python and on tress
	@ci/run-tour $(ARGS)

test: ## set up, build, and run every test, Rust and Python
	@ci/test $(ARGS)

lint: ## formatting, lints, types, stubs
	@ci/lint $(ARGS)

wheel: ## build the wheel into dist/ and prove it in a fresh environment
	@ci/wheel $(ARGS)

bench: ## measure tress beside the standard library
	@ci/bench $(ARGS)

conformance: ## CPython's own test-suites against tress
	@ci/conformance -- $(ARGS)

frameworks: ## programs on aiohttp, FastAPI, asyncpg and the like, on both sides
	@ci/frameworks $(ARGS)

nightly: ## faults a hundred times; conformance on every Python, each test on both sides
	@ci/nightly $(ARGS)

loom: ## the models of the core's hand-overs, over all interleavings
	@ci/loom $(ARGS)

clean: ## remove what was built: environments, target/, dist/, the extension modules
	rm -rf .venv .venv-3.* .venv-frameworks .venv*.lock target dist
	find python -name '_native.*.so' -delete
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
