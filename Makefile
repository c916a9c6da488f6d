# Two commands do everything on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help quickstart test soak lint check format clean setup constraints wheel

help:
	@echo "make quickstart   set up, then run a real weak-to-strong experiment (about three minutes on two cores)"
	@echo "make test         set up, then pass the tests"
	@echo "make soak         the tests that take minutes each: benches rehearsed, gangs killed again and again"
	@echo "make check        format, lint, types, floors, tests"
	@echo "make constraints  find and pin the newest versions that install together"
	@echo "make clean        remove what these made (the store stays; it is your work)"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "w2s needs Python 3.11 or newer; try make PYTHON=python3.12"; exit 3; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

quickstart: setup
	$(BIN)/w2s fetch quickstart
	$(BIN)/w2s run recipes/quickstart.yaml

# a worker a core, whole files each, one Ray cluster at a time (tests/workers.py); eight workers are memory enough
test: setup
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# one at a time: some of them judge who is silent for seconds
soak: setup
	$(BIN)/python -m pytest -m soak

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: setup
	$(BIN)/python -m build --wheel

# the versions that were tested: everything the dev install brings, torch as the plain release
constraints:
	rm -rf build/constraints && $(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip install --quiet torch==2.13.0
	build/constraints/bin/python -m pip install --quiet -e '.[dev]'
	build/constraints/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
