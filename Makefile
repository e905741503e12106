# Kiln's commands. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Test processes; two suit two cores.
TEST_PROCESSES ?= 2

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# uv installs several times faster where it is there; pip does it everywhere else.
INSTALL = install() { if command -v uv >/dev/null 2>&1; \
	then VIRTUAL_ENV=$(VENV) uv pip install --quiet --require-hashes --only-binary :all: -r "$$1"; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$$1"; \
	fi; }; install
RUN = $(VENV)/.run-installed
DEV = $(VENV)/.dev-installed

.PHONY: help up rust test lint format psql migrate rotate-keys bench bench-broker chaos lock clean

help:  ## List the commands.
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-22s %s\n", $$1, $$2}'

up: $(RUN)  ## Install, start PostgreSQL, web, workers and Flower, print a curl line that works; Ctrl-C stops it all.
	@exec $(BIN)/python -m app.local up

# Debian 12 has a new Rust in its security updates, beside the old one, whose library for WASI nobody could use any more.
rust: $(RUN)  ## Install Rust from Debian's or Ubuntu's packages (as root, or with sudo), for functions written in it.
	@command -v apt-get >/dev/null || { echo "There is no apt-get here; with rustup: rustup target add wasm32-wasip1"; exit 1; }
	@as_root() { if [ "$$(id -u)" = 0 ]; then "$$@"; else sudo "$$@"; fi; }; \
		as_root apt-get -qq update || echo "  ..   not all lists of packages could be renewed"; \
		if apt-cache show rustc-web >/dev/null 2>&1; then compiler="rustc-web cargo-web rust-web-src"; \
		else compiler="rustc cargo libstd-rust-dev-wasm32"; fi; \
		as_root apt-get -qq install --yes --no-install-recommends --no-remove $$compiler \
			librust-serde-dev librust-serde-derive-dev librust-serde-json-dev >/dev/null
	@$(BIN)/python -c 'import sys; from app.toolchains.rust.installation import missing; sys.exit(missing())'

test: $(DEV)  ## Run every test.
	@$(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist loadgroup

lint: $(DEV)  ## Check style, types and the direction of imports.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(DEV)  ## Format the code.
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

psql: $(RUN)  ## Open psql on the running database.
	@exec $(BIN)/python -m app.local psql

migrate: $(RUN)  ## Bring the database to the newest schema.
	@$(BIN)/python -m alembic -c migrations/alembic.ini upgrade head

rotate-keys: $(RUN)  ## Wrap the keys of all environments by the first of KILN_MASTER_KEY, while everything goes on.
	@$(BIN)/python -m app.environments.rotate

bench: $(DEV)  ## Measure; the figures in docs/benchmarks.md come from here.
	@$(BIN)/python -m bench.latency
	@$(BIN)/python -m bench.executions
	@$(BIN)/python -m bench.runtime
	@$(BIN)/python -m bench.compiling
	@$(BIN)/python -m bench.jail
	@$(BIN)/python -m bench.first
	@$(BIN)/python -m bench.fuel
	@$(BIN)/python -m bench.access
	@$(BIN)/python -m bench.life
	@$(BIN)/python -m bench.limits
	@$(BIN)/python -m bench.start

bench-broker: $(DEV)  ## Measure the broker beside Redis, RabbitMQ and other queues on PostgreSQL (forty minutes).
	@$(INSTALL) bench/broker/requirements.txt
	@$(BIN)/python -m bench.broker

chaos: $(DEV)  ## Run the tests of the guarantees in their long form, within an hour; writes docs/guarantees.md.
	@$(BIN)/python -m pytest -q tests/chaos --chaos long

lock: $(DEV)  ## Pin the requirements anew, with hashes.
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --upgrade \
		requirements.in -o requirements.txt
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --upgrade \
		requirements-dev.in -o requirements-dev.txt
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --upgrade \
		bench/broker/requirements.in -o bench/broker/requirements.txt

clean:  ## Remove what was installed; the data in KILN_HOME stays.
	@rm -rf $(VENV) app/toolchains/*/node_modules app/toolchains/javascript/quickjs

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON); name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Kiln needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "  ..   making $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(RUN): requirements.txt $(wildcard app/toolchains/*/package-lock.json) | $(BIN)/python
	@echo "  ..   installing the requirements"
	@$(INSTALL) requirements.txt
	@$(BIN)/python -m app.toolchains.install
	@touch $@

$(DEV): requirements-dev.txt $(RUN)
	@echo "  ..   installing what the tests need"
	@$(INSTALL) requirements-dev.txt
	@touch $@
