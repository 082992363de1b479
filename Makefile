# Everything a person does with this repository. `make` alone explains.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# grafana-client brings urllib3-future, which replaces urllib3 for the whole environment unless told not to,
# and only its source distribution listens.
export URLLIB3_NO_OVERRIDE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test check bench mutants fmt generate lock clean

help: ## Show this page
	@echo "rating-engine: bill API usage straight from Prometheus, exact to the request."
	@echo
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1|\2/' | column -t -s '|'
	@echo
	@echo "Each target builds $(VENV) when it is missing. PYTHON=$(PYTHON) chooses the interpreter (3.11 or newer)."

$(VENV)/.installed: requirements.lock pyproject.toml exporters/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "[venv] installing the pinned packages into $(VENV) (about a minute, once)"
	@$(PYTHON) -m venv $(VENV) || { echo "python venv is missing; on Debian: apt-get install python3-venv"; exit 2; }
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e ./exporters -e .
	@touch $@

demo: $(VENV)/.installed ## Real traffic, real Prometheus, real invoices; stays up until Ctrl-C (ONCE=1: run through and exit)
	@$(BIN)/rating demo --install $(if $(ONCE),--once,)

test: $(VENV)/.installed ## Run the tests (installs and starts Prometheus, PostgreSQL, brokers ... where it can)
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.installed ## ruff, mypy --strict, import contracts, generated files fresh
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/rating rules check
	@$(BIN)/rating dashboards check
	@$(BIN)/rating schema --check

bench: $(VENV)/.installed ## Measure: ratios within one run, printed as a table
	@$(BIN)/python -m tests.bench $(ARGS)

mutants: $(VENV)/.installed ## Plant defects in the metering, one at a time, and show which promise notices each
	@$(BIN)/python -m tests.promises.metering.mutants

fmt: $(VENV)/.installed ## Format and sort imports
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

generate: $(VENV)/.installed ## Rewrite the committed generated files (rules, boards, schema)
	@$(BIN)/rating rules write
	@$(BIN)/rating dashboards write
	@$(BIN)/rating schema --write

lock: $(VENV)/.installed ## Resolve requirements.lock anew (pins and hashes, no addresses)
	@$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install --quiet uv
	@{ echo "# Pins and hashes, no addresses. Made by: make lock"; echo "--no-binary urllib3-future"; \
	  $(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-annotate --no-emit-index-url --extra dev pyproject.toml; } > requirements.lock

clean: ## Remove .venv, caches and demo state
	@rm -rf $(VENV) .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
