# `make demo` and `make test` need only Python 3.11-3.14 and make: each makes its own .venv and installs what it needs.
PYTHON ?= python3
PROGRAMS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
VENV := .venv
BIN := $(VENV)/$(PROGRAMS)
INSTALLED := $(VENV)/.installed
PIP := -m pip install --quiet --disable-pip-version-check
TEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal
NOT_SLOW := -m 'not slow'
COVERED := --cov --cov-report=term:skip-covered --cov-fail-under=90
# On Linux pip's default build of torch brings gigabytes of CUDA. Where there is no NVIDIA driver, the build for
# processors is taken; `make demo TORCH_INDEX=` takes the default.
TORCH_INDEX ?= $(shell [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null && echo https://download.pytorch.org/whl/cpu)
export TORCH_INDEX
# $(call install_torch,PYTHON,REQUIREMENT) does nothing if TORCH_INDEX is empty.
install_torch = $(if $(TORCH_INDEX),$(1) $(PIP) --no-deps --retries 0 --timeout 30 --index-url $(TORCH_INDEX) $(2) \
	|| echo "torch was not installed from $(TORCH_INDEX). pip takes its default build.")
pinned_torch = $$(grep '^torch==' $(1))
# Index of nightly builds for `make latest`, such as https://pypi.anaconda.org/scientific-python-nightly-wheels/simple
NIGHTLY ?=
OF_TORCH := torch filelock mpmath networkx setuptools sympy
export OMP_WAIT_POLICY := PASSIVE

.PHONY: demo test test-all random-order processors minimum latest wheel extras reproducible hashes audit docs lint check-python clean

demo: $(INSTALLED)
	$(BIN)/deepjive demo

test: lint
	$(TEST) $(NOT_SLOW) $(COVERED) --durations=10

# All tests, also those marked as slow.
test-all: lint
	$(TEST) $(COVERED) --durations=30

# Runs all tests in WHOLE orders, then up to the 20th order the tests that took less than a second; stops at a failure.
WHOLE ?= 2
random-order: $(INSTALLED)
	for seed in $$(seq 20); do echo "order $$seed"; limit=$$([ $$seed -gt $(WHOLE) ] && echo 1); \
		TEST_ORDER=$$seed TEST_SECONDS=$$limit $(TEST) $(NOT_SLOW) || exit 1; done

# Runs the tests that compute as on other processors, and names each test whose outcome differs.
processors: $(INSTALLED)
	$(BIN)/python -m tests.stress.processors

# Runs the tests with the oldest versions that pyproject.toml allows. They call newer ones in older ways.
minimum: check-python
	$(PYTHON) -m venv --clear .venv-minimum
	$(call install_torch,.venv-minimum/$(PROGRAMS)/python,$(call pinned_torch,constraints-minimum.txt))
	.venv-minimum/$(PROGRAMS)/python $(PIP) --constraint constraints-minimum.txt --editable '.[minimum]'
	OMP_NUM_THREADS=1 .venv-minimum/$(PROGRAMS)/pytest -n 2 -m 'not slow' -W ignore::DeprecationWarning \
		--ignore tests/docs --ignore tests/report/test_browser.py

# Runs the tests with the newest versions there are, also those before a release.
latest: check-python
	$(PYTHON) -m venv --clear .venv-latest
	$(call install_torch,.venv-latest/$(PROGRAMS)/python,--pre torch)
	.venv-latest/$(PROGRAMS)/python $(PIP) --pre $(NIGHTLY:%=--extra-index-url %) --editable '.[test]'
	OMP_NUM_THREADS=1 .venv-latest/$(PROGRAMS)/pytest -n 2 -m 'not slow' \
		--deselect tests/docs/test_pages.py::test_everything_that_is_installed_for_tests_and_site_is_pinned

# Builds dist/, checks it, and tries the wheel in an empty environment; `make extras` also tries each extra alone.
wheel: .venv-release/.installed
	.venv-release/$(PROGRAMS)/python -m tests.release.wheel

extras: .venv-release/.installed
	.venv-release/$(PROGRAMS)/python -m tests.release.wheel --extras

# Installs twice, from files whose hashes are checked, and compares the weights of models that both fit.
reproducible: .venv-release/.installed
	.venv-release/$(PROGRAMS)/python -m tests.release.reproducible

# Writes the hashes of the files that constraints.txt installs, for all systems and Pythons; needs a network. torch is
# left out, because its build depends on the machine.
hashes: .venv-release/.installed
	echo 'torch; sys_platform == "never"' > .venv-release/without-torch.txt
	.venv-release/$(PROGRAMS)/uv pip compile --quiet --no-header --no-annotate --universal --python-version 3.11.5 \
		--generate-hashes --extra arrays --extra imaging --extra omics --extra tables --constraint constraints.txt \
		--override .venv-release/without-torch.txt $(OF_TORCH:%=--no-emit-package %) pyproject.toml \
		--output-file requirements-hashed.txt

# Prints the licence of every dependency, and the known vulnerabilities. The latter need a network; without, they fail.
audit: $(INSTALLED) .venv-release/.installed
	$(BIN)/python -m tests.release.licences
	.venv-release/$(PROGRAMS)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

# Runs every page, builds the site into docs/_build/html without a warning, and checks its links; needs no network.
docs: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -q -E -W --keep-going -n -b html docs docs/_build/html
	$(BIN)/python docs/_tools/links.py docs/_build/html

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(INSTALLED): pyproject.toml constraints.txt | check-python
	$(PYTHON) -m venv $(VENV)
	$(call install_torch,$(BIN)/python,$(call pinned_torch,constraints.txt))
	$(BIN)/python $(PIP) --constraint constraints.txt --editable '.[test]'
	touch $@

.venv-release/.installed: pyproject.toml constraints.txt | check-python
	$(PYTHON) -m venv .venv-release
	.venv-release/$(PROGRAMS)/python $(PIP) --constraint constraints.txt build twine pip-audit uv
	touch $@

check-python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 15) else f"deepjive needs Python 3.11 to 3.14, but {sys.executable} is {v[0]}.{v[1]}; say which with: make PYTHON=python3.12 ...")'

clean:
	rm -rf $(VENV) .venv-minimum .venv-latest .venv-release dist
