# Every target is what CI calls. VENV=/a/folder puts the environment elsewhere; WORKERS=0 runs the
# tests one after another.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell cat constraints.txt pyproject.toml | cksum | cut -d' ' -f1)
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder
ARGS ?=

# What is imported is compiled then and kept, a tenth of all that is installed: compiling the rest
# would take longer than anything else here.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup train control policy test quick check site fix clean

help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## Make the environment (3.5 GB, about two minutes)

$(READY): constraints.txt pyproject.toml
	@echo "making the environment in $(VENV) (3.5 GB, about two minutes) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "error: medenv's pins are for Python 3.11; name one with PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-compile -r constraints.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.ready-* && touch $@

train: setup ## From nothing to a trained policy and its report (experiment=cpu)
	@$(BIN)/python recipes/train.py experiment=cpu $(ARGS)

control: setup ## The same run with rewards that carry no information
	@$(BIN)/python recipes/train.py experiment=cpu scoring=random run=cpu-random $(ARGS)

policy: setup ## Rebuild the tiny policy's warm start from nothing
	@$(BIN)/python recipes/sft.py experiment=tiny_policy $(ARGS)

test: setup check ## Every check and every test
	@$(PYTEST) $(ARGS)

quick: setup ## The tests that need neither verl nor minutes
	@$(PYTEST) -m "not verl" $(ARGS)

check: setup ## Style, types, layers, spelling
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/codespell

site: setup ## The documentation as a site: outputs/site/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q $(ARGS)

fix: setup ## Mend what the tools can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## Remove runs and caches, keep the environment
	rm -rf outputs multirun .mypy_cache .ruff_cache .pytest_cache .hypothesis
