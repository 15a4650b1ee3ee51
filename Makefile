# `make demo` and `make test` need only Python 3.11-3.13 and make: each makes its own .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export OMP_WAIT_POLICY := PASSIVE

.PHONY: demo test processors docs lint clean

demo: $(INSTALLED)
	$(BIN)/deepjive demo

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --cov --cov-report=term:skip-covered --cov-fail-under=90 --durations=10

# Runs the tests that compute as on other processors, and names each test whose outcome differs.
processors: $(INSTALLED)
	$(BIN)/python -m tests.stress.processors

# Runs every page, builds the site into docs/_build/html without a warning, and checks its links; needs no network.
docs: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -q -E -W --keep-going -n -b html docs docs/_build/html
	$(BIN)/python docs/_tools/links.py docs/_build/html

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"deepjive needs Python 3.11 to 3.13, but {sys.executable} is {v[0]}.{v[1]}; say which with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV)
