# Everything here works on a machine with make and Python 3.11 or newer; the rest goes into .venv.

export PIP_DISABLE_PIP_VERSION_CHECK := 1

VENV := .venv
BIN := $(VENV)/bin
PEERS := poller dlt tap target
INSTALLED := $(VENV)/.installed
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate $(UPGRADE)

.PHONY: help run test check soak lint bench bench-peers bench-docs mutants image lock install clean
.DEFAULT_GOAL := help

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name words; do \
		printf '  make %-11s %s\n' "$$name" "$$words"; done

run: $(INSTALLED) ## Run the poller; without a token and a configuration, the demo
	@if [ -n "$$SPACE_INVOICES_TOKEN$$POLLER_CONFIG" ] || [ -e config.toml ] || [ -e /etc/poller/config.toml ]; then \
		exec $(BIN)/poller run; \
	fi; \
	echo "No SPACE_INVOICES_TOKEN and no configuration: this is the demo, on a simulated account." >&2; \
	exec $(BIN)/poller demo

test: $(INSTALLED) ## Run all tests (ARGS="-k word" runs some)
	@$(BIN)/python -m pytest -n auto $(ARGS)

lint: $(INSTALLED) ## Check format, style and types
	@$(BIN)/ruff format --check --quiet . || { echo "Format with: $(BIN)/ruff format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary

check: lint ## What a change has to pass: lint, then all tests
	@$(MAKE) --no-print-directory test

soak: export KILLS := $(or $(KILLS),1000)
soak: export CRASHES := $(or $(CRASHES),10000)
soak: export FAULT_STRIDE := 1
soak: export MACHINE_EXAMPLES := $(or $(MACHINE_EXAMPLES),5000)
soak: export MACHINE_STEPS := $(or $(MACHINE_STEPS),500)
soak: $(INSTALLED) ## Kill it, crash it and drive it for hours (KILLS= CRASHES= MACHINE_EXAMPLES= say how much)
	@$(BIN)/python -m pytest -n auto -v tests/test_kill_loop.py tests/test_crashes.py tests/test_nth_fault.py tests/test_machine.py $(ARGS)

bench: $(INSTALLED) ## Measure speed and memory
	@$(BIN)/python bench/run.py $(ARGS)

bench-peers: $(INSTALLED) $(PEERS:%=.venv-peers/%/.installed) ## Measure beside dlt and a Singer tap (ARGS="--records 5000" is soon done)
	@$(BIN)/python bench/beside.py $(ARGS)

bench-docs: ## Measure both at length, and write the tables and curves of docs/performance.md
	@$(MAKE) --no-print-directory bench ARGS="--long --docs $(ARGS)"
	@$(MAKE) --no-print-directory bench-peers ARGS=--docs

mutants: $(INSTALLED) ## Change the code in two thousand places; its tests have to notice (ARGS="poller.diff*" some)
	@rm -rf mutants
	@MUTANTS=1 $(BIN)/python -m pytest -q tests/mutation
	@$(BIN)/mutmut run $(ARGS)
	@$(BIN)/python tests/mutation/score.py

image: $(INSTALLED) ## Build the image and run it, without Docker (as root, with buildah and mmdebstrap; three minutes)
	@deploy/try-image.sh

lock: $(INSTALLED) ## Write the locks anew from pyproject.toml (UPGRADE=--upgrade takes the newest versions)
	@$(BIN)/python -m pip install -qq uv
	@$(COMPILE) pyproject.toml --output-file requirements.lock
	@printf 'hatchling>=1.27\neditables>=0.5\n' | $(COMPILE) pyproject.toml - --group dev --constraint requirements.lock \
		--output-file requirements-dev.lock

install: $(INSTALLED) ## Make .venv; the other targets do so by themselves

clean: ## Remove .venv and all caches
	@rm -rf $(VENV) .venv-peers mutants .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist tests/loopback/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv-peers/poller/.installed: pyproject.toml requirements.lock
	@echo "Installing into .venv-peers/poller ..." >&2
	@$(PYTHON) -m venv .venv-peers/poller
	@.venv-peers/poller/bin/python -m pip install -qq --require-hashes -r requirements.lock
	@.venv-peers/poller/bin/python -m pip install -qq --no-deps -e .
	@touch $@

.venv-peers/%/.installed: bench/peers/requirements-%.txt
	@echo "Installing into .venv-peers/$* ..." >&2
	@$(PYTHON) -m venv .venv-peers/$*
	@.venv-peers/$*/bin/python -m pip install -qq -r $<
	@touch $@

$(INSTALLED): pyproject.toml requirements-dev.lock
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/it" >&2; exit 1; }
	@echo "Installing into $(VENV) ..." >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation -e .
	@touch $@
