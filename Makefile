# The words of this project. `make help` lists them.
SHELL := /bin/bash
# The newest Python that can make an environment: some systems ship venv apart.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# Written in Python, but not named so: ruff does not find them by itself.
SCRIPTS := scripts/check-callers scripts/check-docs scripts/check-lock scripts/check-notebooks scripts/check-sleeps scripts/coverage \
	scripts/mutate scripts/sbom scripts/write-crashes scripts/write-docs scripts/write-kills

.DEFAULT_GOAL := help
.PHONY: run stop test check coverage bench soak docs sbom audit format clean help

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: .venv/run ## start the demo daemon, wait for its first round trip, show status and report
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/run-demo

stop: ## stop the daemon of the default home
	@if [ -x $(BIN)/tradebot ]; then PATH="$(CURDIR)/$(BIN):$$PATH" scripts/stop-demo; else echo "nothing runs"; fi

test: .venv/dev ## run the tests
	$(BIN)/python -m pytest -n 3 --dist worksteal

check: .venv/dev ## format, lint, types, import contracts, docs checks
	$(BIN)/ruff format --check . $(SCRIPTS)
	$(BIN)/ruff check . $(SCRIPTS)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/check-docs
	$(BIN)/python scripts/check-lock
	$(BIN)/python scripts/check-callers
	$(BIN)/python scripts/check-sleeps
	$(BIN)/python scripts/check-notebooks

coverage: .venv/dev ## run the tests with coverage: 95 % of all, every branch of orders, risk and journal
	$(BIN)/python scripts/coverage

bench: .venv/bench ## measure speed and size, peers beside ours where they can be installed
	$(BIN)/python -m benchmarks

soak: .venv/dev ## the long searches, and every law on many more examples
	$(BIN)/python -m pytest -m "soak or hypothesis" --hypothesis-profile=deep --durations=10

docs: .venv/dev ## write the generated pages of docs/ anew
	$(BIN)/python scripts/write-docs

sbom: .venv/audit ## write what an install is made of, as CycloneDX, to dist/sbom.json
	@$(BIN)/python scripts/sbom .venv/tools/bin dist/sbom.json

audit: .venv/audit ## look for weak code (bandit) and known flaws of what is locked (pip-audit; needs its service)
	@scripts/audit .venv/tools/bin

format: .venv/dev ## format the code
	$(BIN)/ruff format . $(SCRIPTS)
	$(BIN)/ruff check --fix . $(SCRIPTS)

clean: ## remove the environment and all caches; state of daemons stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "error: Python >= 3.11 with venv is needed" >&2; \
		echo "  mend: install it (on Debian: python3 and python3-venv), or name it: make PYTHON=..." >&2; exit 1; }
	@echo "making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv

# Each stamp is an environment that holds what its lock file names; dev.txt is run.txt and more. Nothing is resolved,
# and nothing is built with what a lock does not hold: what was released since cannot change an install.
.venv/run: requirements/run.txt pyproject.toml scripts/install | .venv/bin/python
	@scripts/install .venv requirements/run.txt
	@$(BIN)/python -m pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev: requirements/dev.txt .venv/run
	@scripts/install .venv requirements/dev.txt
	@touch $@

# What looks at code and locks from outside brings packages that nothing of ours should meet.
.venv/audit: requirements/audit.txt | .venv/bin/python
	@$(PYTHON) -m venv .venv/tools
	@scripts/install .venv/tools requirements/audit.txt
	@touch $@

# Peers want older packages than we do: an environment of their own.
.venv/bench: requirements/peers.txt .venv/dev
	@$(PYTHON) -m venv .venv/peers
	@scripts/install .venv/peers requirements/peers.txt || \
		{ rm -rf .venv/peers; echo "note: the peers cannot be installed here; their rows stay empty"; }
	@touch $@
