# make run    the environment, the installation, this machine's sockets by process
# make test   everything: lint, types, unit, kernel and Zabbix tests (as root it installs
#             what they need with apt)
# make test-all  the same, with all rounds of what is done in rounds (tests/support/rounds.py)
# make test-crowded  the tests, beside all that they must not notice (as root)
# make soak   only what is done in rounds, for a night
# make quick  lint and unit tests, in seconds
# make lint   ruff and mypy
# make privileges   find out anew what docs/privileges.md says of each privilege (as root)
# make bpf    compile the BPF objects again (Debian's clang, llvm, libbpf-dev)
# make templates    make zabbix_templates/ and docs/metrics.md anew from their generator
# make pictures    take the pictures of docs/dashboards.md anew, of real Zabbix servers (as root)
# make bench  measure, side by side; see tests/bench

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find src conf zabbix_templates -type f -not -name '*.pyc') pyproject.toml README.md LICENSE

.PHONY: run test test-all test-crowded soak quick lint bpf templates pictures privileges bench format clean

run: $(VENV)/.installed
	$(BIN)/zabbix-sockets show processes

test-all: export TEST_ROUNDS = full
test test-all: $(VENV)/.dev
	tests/requirements.sh
	$(MAKE) --no-print-directory lint
	tests/all.sh $(BIN)/python

test-crowded: $(VENV)/.dev
	tests/requirements.sh
	tests/crowded.sh tests/all.sh $(BIN)/python

soak: $(VENV)/.dev
	tests/requirements.sh
	TEST_ROUNDS=soak tests/isolated.sh $(BIN)/python -m pytest -m rounds tests/kernel tests/zabbix

quick: $(VENV)/.dev lint
	$(BIN)/python -m pytest -q tests/unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bpf:
	src/zabbix_sockets/readers/bpf/build.sh

privileges: $(VENV)/.dev
	$(BIN)/python tests/support/privileges.py

templates: $(VENV)/.dev
	$(BIN)/python -m zabbix_templates.generator

pictures: $(VENV)/.dev
	tests/requirements.sh
	$(BIN)/python -m tests.zabbix.pictures

bench: $(VENV)/.dev
	$(BIN)/python tests/bench/run.py $(BENCH)

# The package is installed as a user's is, never as an editable copy: tests run against it.
$(VENV)/.installed: $(SOURCES) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps .
	$(BIN)/python -m pip install --quiet --disable-pip-version-check .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[dev,provision]'
	touch $@

$(VENV)/bin/python:
	tests/requirements.sh venv $(PYTHON)
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build dist
