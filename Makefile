# Needs make and Python 3.11 or newer, nothing else: uv comes from PyPI into .uv/ where there is none.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := .venv/bin
export DO_NOT_TRACK := 1
export RUNTIME__DLTHUB_TELEMETRY := false

.PHONY: help install sync dev test test-ui test-postgres test-targets test-export targets-environment torture docs check format sources snapshot bench audit

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

.uv/bin/uv:
	@echo "Fetching uv into .uv/ ..."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install -qq --disable-pip-version-check uv

# The stamp keeps a second `make sync` from asking uv again when nothing changed.
.venv/.installed: pyproject.toml uv.lock | $(filter .uv/bin/uv,$(UV))
	@echo "Installing from uv.lock into .venv/ ..."
	@$(UV) sync --frozen --quiet $(addprefix --extra ,$(EXTRAS)) $(if $(NO_DEV),--no-dev)
	@touch $@

install: .venv/.installed ## install everything from the lock (EXTRAS=postgres, NO_DEV=1)

sync: install ## one daily sync: all lists, models, checks, publish
	@$(RUN)/rivo sync

dev: install ## the Dagster UI with its daemon on http://127.0.0.1:3000
	@$(RUN)/rivo dev

# Three workers on two cores, since many tests wait for kills and retries; a fourth would only add its imports.
SUITE := --numprocesses 3 --dist loadfile --no-loadscope-reorder
# Compiled modules are kept even where the environment says otherwise: to compile Dagster, dlt and the tests again
# costs each process about 20 seconds.
test test-ui test-postgres test-targets test-export: export PYTHONDONTWRITEBYTECODE :=

test: install ## the whole test suite (ALL=1: those of test-ui and test-postgres with it)
	@$(UV) sync --frozen --quiet --group docs --group compiled $(if $(ALL),--extra postgres)
	@$(RUN)/python -m pytest $(SUITE) $(if $(ALL),--override-ini 'norecursedirs=.* targets')

test-ui: install ## the browser tests of the Dagster UI; they need Chromium
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
		echo "The browser tests need Chromium, and there is none on this machine."; \
		echo "Debian, Ubuntu: apt-get install chromium.  Fedora: dnf install chromium.  macOS: brew install chromium."; exit 1; }
	@$(RUN)/python -m pytest tests/ui

test-postgres: install ## the tests of Dagster's storage in Postgres; they need its server programs
	@$(UV) run --frozen --quiet --extra postgres python -m pytest tests/postgres

# An environment of its own, because DuckDB's extensions as packages are for one release of DuckDB.
TEST_TARGETS := .venv-targets/bin/python -m pytest $(SUITE)

targets-environment: install
	@UV_PROJECT_ENVIRONMENT=.venv-targets $(UV) sync --frozen --quiet --extra targets --extra s3 --extra postgres --group targets --group compiled
	@$(UV) pip install --quiet --python .venv-targets/bin/python --requirement tests/targets/requirements.txt

# dbt and Spark have pins of their own. The stamp keeps uv from being asked again.
.venv-dbt/.installed: tests/targets/export/requirements.txt | $(filter .uv/bin/uv,$(UV))
	@echo "Installing dbt and Spark into .venv-dbt/ ..."
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-dbt
	@$(UV) pip install --quiet --python .venv-dbt/bin/python --requirement tests/targets/export/requirements.txt
	@touch $@

test-targets: targets-environment .venv-dbt/.installed ## the tests of targets and of test-export; they need Java and the server programs of Postgres
	@$(TEST_TARGETS) tests/targets

test-export: targets-environment .venv-dbt/.installed ## the exported dbt project on DuckDB, PostgreSQL, Spark (FULL=1: its tests on Spark too; REWRITE=1 writes docs/engines.md)
	@$(TEST_TARGETS) tests/targets/export

torture: install ## kills, faults, readers, full disks, wrong clocks, for minutes (SEED=7, KILLS=100, KINDS="kill disk")
	@$(RUN)/python -m tests.torture --seed $(or $(SEED),7) --kills $(or $(KILLS),100) $(KINDS)

docs: install ## the documentation as a site, without network, in build/site (its page of tables is of the warehouse)
	@$(UV) run --frozen --quiet --group docs python -m sphinx -q -W --keep-going -c docs/site -d build/doctrees . build/site
	@$(RUN)/rivo models docs --output build/site/models.html
	@echo "Open build/site/index.html."

check: install ## format, lint, types
	@$(RUN)/ruff format --check .
	@$(RUN)/ruff check .
	@$(RUN)/mypy

format: install ## put the code into shape
	@$(RUN)/ruff format .
	@$(RUN)/ruff check --fix .

sources: install ## write the raw tables' property file
	@$(RUN)/python -m pipelines.warehouse.sources_yml > dbt_like_sql/models/staging/_rivo_raw__sources.yml

snapshot: install sources ## rewrite the snapshot files that tests compare: asset graph, raw tables' properties
	@$(RUN)/python -m tests.assets.test_definitions

bench: install ## benchmarks, printing ratios
	@$(RUN)/python -m benchmarks

audit: install ## look the locked dependencies up in a list of known vulnerabilities
	@UV=$(UV) .ci/audit
