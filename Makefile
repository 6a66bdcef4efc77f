# make run · make test · make lint · make bench. Everything they need, they install.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
STAMP := $(VENV)/.stamp
# uv does not read pip's variable; without this it would miss a local torch wheel.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
APT := bubblewrap tmux git chromium graphviz
RUN ?=

.PHONY: help run test lint fuzz screenshots bench bench-search setup system clean
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

run: setup  ## set everything up and evolve train.py here (RUN="--max 20" adds options)
	@$(BIN)/autoresearch run $(RUN)

test: setup  ## the whole test suite
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder  # else the longest file comes last, alone

fuzz: setup  ## engines killed hundreds of times (RUN="--kills 300 --seed 7 --minutes 30")
	@$(BIN)/python -m tests.fuzz $(RUN)

lint: setup  ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

screenshots: setup  ## the pictures of the docs, from the recorded run
	@$(BIN)/python -m tests.tui.screenshots

bench: setup  ## the figures of docs/bench.md
	@$(BIN)/python -m bench

bench-search: setup  ## our search against greedy, random search and TPE (hours; it goes on where it was)
	@$(BIN)/python -m bench.search --write $(RUN)

setup: system $(STAMP)

$(STAMP): pyproject.toml Makefile
	@echo "Setting up $(VENV) (once, a minute or two) ..."
	@if command -v uv >/dev/null; then \
	  uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
	  uv pip install --quiet --compile-bytecode --python $(BIN)/python "$(TORCH)" && \
	  uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[train,gpu,tpe,plot]' --group dev; \
	else \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install -qq --upgrade 'pip>=25.1' && \
	  $(BIN)/python -m pip install -qq "$(TORCH)" && \
	  $(BIN)/python -m pip install -qq -e '.[train,gpu,tpe,plot]' --group dev; \
	fi
	@touch $(STAMP)

# bubblewrap is the sandbox, tmux a help for overnight runs, chromium opens reports in the tests; installed only for root on a Debian-like machine.
system:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  missing=$$(for p in $(APT); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	  if [ -n "$$missing" ]; then echo "Installing:" $$missing; \
	    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing; } >/dev/null 2>&1 \
	    || echo "Could not install:" $$missing "- 'autoresearch doctor' says what that means."; fi; fi

clean:  ## remove the virtual environment and caches, never a run
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
