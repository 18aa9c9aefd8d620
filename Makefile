# Everything happens in .venv, which these targets make; nothing is needed before them but Python 3.11+, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check faults soak fuzz clean

demo: $(VENV)/.installed  ## Compare five families at four levels on synthetic logs (5 to 8 minutes on 2 cores)
	$(BIN)/sweeper run search_spaces/demo.yaml

test: $(VENV)/.installed-dev  ## Run the tests, on up to 4 cores
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.installed-dev  ## Lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What befalls a study depends on the seed alone; STUDY plays one study of it again.
SEED ?= 1
INJECTIONS ?= 200

faults: $(VENV)/.installed-dev  ## Inject some 200 faults into small studies (hours); again to continue; SEED=1 STUDY=7 for one
	$(BIN)/python -m tests.faults.long_run --seed $(SEED) --injections $(INJECTIONS) $(if $(STUDY),--study $(STUDY))

soak: $(VENV)/.installed  ## Run 5,000 trials that train nothing through everything else, and see whether the driver grows
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.soak

fuzz: $(VENV)/.installed-dev  ## Give every loader 10,000 inputs and two of them many more, led by coverage (atheris, Linux)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'atheris>=3.0'
	SWEEPER_FUZZ=10000 $(BIN)/python -m pytest tests/fuzz
	$(BIN)/python tests/fuzz/atheris_yaml.py -runs=1000000 -max_len=400 $$(mktemp -d) search_spaces
	$(BIN)/python tests/fuzz/atheris_outbox.py -runs=100000

clean:  ## Remove the environment and what the tools cached; runs/ is kept
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("sweeper needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "on Debian and Ubuntu: install the package python3-venv"; exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.installed
