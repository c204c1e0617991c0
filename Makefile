# `make demo` and `make test` are all a newcomer needs; each makes the virtual environment it runs in.
PYTHON ?= python3
VENV ?= .venv
PYTEST_WORKERS ?= 2
SITE ?= site
PUBLISHED ?= .venv-published
PART ?=
MENDED ?=

BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt
PYTEST = $(BIN)/python -m pytest -n $(PYTEST_WORKERS) -q

export OMP_NUM_THREADS ?= 1
export MPLBACKEND ?= Agg

.PHONY: help install demo test test-slow test-thorough test-published published coverage lint format types docs bench bench-quality wheel clean

help:
	@echo "make demo    search a small CNN's space on real MNIST images, end to end"
	@echo "make test    the test suite (make test-slow: the long ones; make test-thorough: all variants)"
	@echo "make test-published  published models of other packages, annotated (PART=1/3: every third)"
	@echo "make published       the same, and write docs/published.md"
	@echo "make lint    ruff and mypy"
	@echo "make docs    build the documentation into site/"
	@echo "make bench   run every benchmark and write docs/benchmarks.md"
	@echo "make bench-quality  run the searches that are missing (hours) and write docs/quality.md"

$(VENV)/.demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[data]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev,bench]'
	touch $@ $(VENV)/.demo

install: $(VENV)/.dev

demo: $(VENV)/.demo
	$(BIN)/python examples/mnist/demo.py

test: $(VENV)/.dev
	$(PYTEST)

test-slow: $(VENV)/.dev
	$(PYTEST) --slow -m "slow and not thorough"

test-thorough: $(VENV)/.dev
	$(PYTEST) --slow --thorough -m thorough

# Packages as they are published, pinned, with no more of their dependencies than they import: some would replace torch.
$(PUBLISHED)/.installed: pyproject.toml constraints.txt tests/published/requirements.txt
	test -x $(PUBLISHED)/bin/python || $(PYTHON) -m venv $(PUBLISHED)
	$(PUBLISHED)/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt -e . hypothesis pytest pytest-xdist
	$(PUBLISHED)/bin/python -m pip --disable-pip-version-check install -q --no-deps -r tests/published/requirements.txt
	touch $@

test-published: $(PUBLISHED)/.installed
	PART=$(PART) MENDED=$(MENDED) $(PUBLISHED)/bin/python -m pytest -n $(PYTEST_WORKERS) -q tests/published

published: $(PUBLISHED)/.installed
	$(PUBLISHED)/bin/python tests/published/page.py

coverage: $(VENV)/.dev
	$(PYTEST) --cov=symnas --cov=grammar --cov=spaces --cov=algorithms --cov-report=term-missing:skip-covered

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/typecheck

types: $(VENV)/.dev
	$(BIN)/python .ci/typecheck

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir $(SITE)

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/collect.py

bench-quality: $(VENV)/.dev
	$(BIN)/python -m benchmarks.quality.run
	$(BIN)/python -m benchmarks.quality.run --ablations
	$(BIN)/python -m benchmarks.quality.turns
	$(BIN)/python -m benchmarks.quality.page

wheel: $(VENV)/.dev
	rm -rf build dist
	$(BIN)/python -m build --wheel --outdir dist .

clean:
	rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis
