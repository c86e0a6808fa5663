# `make help` lists the targets. Everything runs in the project's own .venv, installed from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
MASTERY := $(BIN)/mastery
CHAOS_FAULTS ?= 30
# Tests mostly wait for servers. Each test process has its own; three keep two cores busy.
TEST_PROCESSES ?= 3
PORT := 9092

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit chaos format check audit bench asyncapi kafka lock image-locks clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

setup: .venv/installed  ## install everything in .venv; the other targets call it

.venv/installed: requirements.lock setup.cfg pyproject.toml
	@# Characters in a path that venv (:), setuptools ($$ and braces) or a script's first line cannot handle.
	@case "$$(pwd)" in *[\$$\{\}:\"\`\\]*) \
		printf "%s\n" "The path $$(pwd) has one of \$$ { } : \" \` \\ in it: Python's own tools cannot work there. Move the folder." >&2; exit 1;; esac
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; set it with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@# --clear: packages that are no longer in the lock file would stay
	$(PYTHON) -m venv --clear .venv
	@# The lock is complete, so nothing is resolved: later releases and the version of pip cannot matter. Python compiles a module
	@# when it is first imported; to compile them all takes half of the installation, and most are never imported.
	$(BIN)/python -m pip install --quiet --no-deps --no-compile --require-hashes -r requirements.lock
	@# setuptools warns about folders named like the packages: they are the packages
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	@touch $@

demo: setup  ## the whole engine with events of a simulated classroom, and a summary; Ctrl-C stops it
	$(MASTERY) demo

test: setup  ## all tests, with coverage, in TEST_PROCESSES=3
	$(BIN)/python -m pytest --cov --cov-report=term --numprocesses=$(TEST_PROCESSES) --dist=worksteal

chaos: setup  ## long run of the chaos tests: CHAOS_FAULTS=30 in each test, CHAOS_SEED=n repeats one
	CHAOS_FAULTS=$(CHAOS_FAULTS) $(BIN)/python -m pytest tests/chaos --timeout=3600 -o faulthandler_timeout=3660

unit: setup  ## the tests that need no server: a quarter of a minute
	$(BIN)/python -m pytest --quiet tests/unit

format: setup  ## format the code, and fix what lint can fix by itself
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

check: setup  ## lint, types, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: setup  ## vulnerable dependencies, insecure code, secrets in the repository
	$(BIN)/python .ci/audit.py || [ $$? -eq 3 ]  # 3: not complete, as its last line says

bench: setup  ## the performance table, against baselines in the same run
	$(BIN)/python -m benchmarks

asyncapi: setup  ## regenerate docs/asyncapi.json from the code
	$(BIN)/python -m consumers.asyncapi > docs/asyncapi.json

kafka: setup  ## a real Apache Kafka on PORT=9092, for `mastery up`; needs Java 17 and Maven; Ctrl-C stops it
	$(BIN)/python -m tests.apache_kafka $(PORT)

lock: setup  ## update requirements.lock from setup.cfg
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --all-extras --no-header --upgrade setup.cfg -o requirements.lock
	@$(MAKE) --no-print-directory image-locks

# Subsets of requirements.lock, never other versions: what the image runs, and what builds the package for it.
IMAGE_LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate -c requirements.lock
image-locks: setup  ## write the lock files of the container image from requirements.lock
	$(IMAGE_LOCK) --extra training setup.cfg -o deploy/container/runtime.lock
	echo setuptools | $(IMAGE_LOCK) - -o deploy/container/build.lock

clean:  ## remove the virtual environment and the caches, not the data
	rm -rf .venv build *.egg-info .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .kafka/jars
