# make setup   a virtual environment in .venv with everything, Lava included
# make quick   lint and the tests that are not marked slow, about 3 minutes on two cores
# make test    lint, types, all tests, about 15 minutes on two cores
# make fuzz    thousands of random graphs, integers against Lava, about an hour
# make bench   neurobip and its peers in one run, in .venv-bench; ONLY=lif,training for some of it
# make experiments   what docs/experiments.md and docs/learning.md show, in hours; resumes
# make demo    train, evaluate, check against Lava, write runs/demo/report.html, about 8 minutes

VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.neurobip-setup
BENCH   := .venv-bench
BENCHED := $(BENCH)/.neurobip-setup
SOURCES := neurobip converters datasets tests examples benchmarks
PYTHON  ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
             $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
             >/dev/null 2>&1 && echo $$p && break; done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup quick test lint types demo bench experiments fuzz clean

setup: $(STAMP)

# Done once, and again when what it depends on changes.
$(STAMP): pyproject.toml constraints.txt converters/lava/install.py
	@test -x $(BIN)/python || test -n "$(PYTHON)" || { \
	  echo "neurobip needs Python 3.11, 3.12 or 3.13: none is on the PATH (or give one: make PYTHON=...)" >&2; \
	  exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install -c constraints.txt --no-deps neurobench
	$(BIN)/neurobip install-lava
	touch $@

lint: $(STAMP)
	$(BIN)/ruff check $(wildcard $(SOURCES))

# The folders converters/ and datasets/ are installed inside neurobip; links show mypy that tree.
types: $(STAMP)
	@rm -rf build/types && mkdir -p build/types/neurobip
	@ln -s $(CURDIR)/neurobip/* $(CURDIR)/converters $(CURDIR)/datasets build/types/neurobip/
	cd build/types && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml \
	  --cache-dir $(CURDIR)/.mypy_cache

# All tests of a file run in one process, so that what they share is made once.
quick: lint
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow" -q

test: lint types
	$(BIN)/python -m pytest -n auto --dist loadfile --durations 20

fuzz: $(STAMP)
	NEUROBIP_FUZZ=3000 $(BIN)/python -m pytest tests/converters/lava/test_fuzz.py

# Runs are in runs/, results in docs/results/; what is done is not done again.
experiments: $(STAMP)
	$(BIN)/python benchmarks/experiments.py
	$(BIN)/python benchmarks/rules.py
	$(BIN)/python benchmarks/robustness.py
	$(BIN)/python benchmarks/continual.py
	$(BIN)/python benchmarks/connectivity.py
	$(BIN)/python benchmarks/experiments_figure.py

demo: $(STAMP)
	$(BIN)/neurobip demo

# The peers live in an environment of their own, with the versions of everything else.
$(BENCHED): pyproject.toml constraints.txt converters/lava/install.py
	@test -x $(BENCH)/bin/python || test -n "$(PYTHON)" || { \
	  echo "neurobip needs Python 3.11, 3.12 or 3.13: none is on the PATH (or give one: make PYTHON=...)" >&2; \
	  exit 1; }
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install -c constraints.txt -e .
	$(BENCH)/bin/python -m pip install -c constraints.txt --no-deps $$($(BENCH)/bin/python -c \
	  'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"])')
	$(BENCH)/bin/neurobip install-lava
	touch $@

bench: $(BENCHED)
	$(BENCH)/bin/python benchmarks/run.py --only "$(ONLY)"

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find neurobip converters datasets tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} +
