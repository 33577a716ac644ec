# make run    the environment, the installation, this machine's sockets by process
# make test   everything: lint, types, unit, kernel and Zabbix tests (as root it installs
#             what they need with apt)
# make test-all  the same, with each version and agent, and with all rounds of what is done in
#             rounds (tests/support/rounds.py)
# make test-crowded  the tests, beside all that they must not notice (as root)
# make soak   an hour of all that runs for long, and what came of it in docs/images/soak.png (as root)
# make rounds  only what is done in rounds, for a night
# make fuzz   look for what the fuzzer finds, for an hour (FUZZ_SECONDS), in FUZZ=TARGET... alone
# make mutants  change the code, and look which changes no unit test notices, for hours
# make quick  lint and unit tests, in some minutes
# make lint   ruff and mypy
# make privileges   find out anew what docs/privileges.md says of each privilege (as root)
# make bpf    compile the BPF objects again (Debian's clang, llvm, libbpf-dev)
# make selinux    compile the SELinux module again (Debian's checkpolicy, semodule-utils)
# make templates    make zabbix_templates/, docs/metrics.md and docs/alarms.md anew from their generator
# make pictures    take the pictures of docs/dashboards.md anew, of real Zabbix servers (as root)
# make manual    make the man page and the completions anew
# make packages  .deb, .rpm and .tar.gz for x86-64 and aarch64, into dist/
# make bench  measure, side by side; see tests/bench

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find src conf zabbix_templates -type f -not -name '*.pyc') pyproject.toml README.md LICENSE

FUZZ_SECONDS ?= 3600

.PHONY: run test test-all test-crowded soak rounds fuzz mutants quick lint bpf selinux templates pictures privileges manual \
    packages requirements bench format clean

run: $(VENV)/.installed
	$(BIN)/zabbix-sockets show processes

test-all: export TEST_ROUNDS = full
test test-all:
	$(MAKE) --no-print-directory --jobs=2 $(VENV)/.dev requirements
	tests/all.sh $(BIN)/python

test-crowded: $(VENV)/.dev requirements
	-tests/fetch.sh $(BIN)/python
	tests/crowded.sh tests/all.sh $(BIN)/python

soak: $(VENV)/.pictures requirements
	TEST_ROUNDS=soak tests/isolated.sh $(BIN)/python -m pytest tests/zabbix/soak
	PYTHONPATH=tests/support $(BIN)/python -m tests.zabbix.soak.plot .cache/soak.json docs/images/soak.png

rounds: $(VENV)/.dev requirements
	TEST_ROUNDS=soak tests/isolated.sh $(BIN)/python -m pytest -m rounds tests/kernel tests/zabbix

mutants: $(VENV)/.mutants
	$(BIN)/mutmut run
	$(BIN)/mutmut results

fuzz: $(VENV)/.dev
	PYTHONPATH=tests/support $(BIN)/python -m tests.fuzz.run --seconds $(FUZZ_SECONDS) $(FUZZ)

# Fetching these mostly waits for the network, so `make test` does it beside the installation into the
# environment. It begins once there is a venv: making that may call apt, too, and two apts can't run at
# once.
requirements: | $(VENV)/bin/python
	tests/requirements.sh

quick: $(VENV)/.dev lint
	tests/isolated.sh $(BIN)/python -m pytest -q tests/unit

lint: $(VENV)/.dev
	tests/lint.sh $(BIN)/python

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bpf:
	src/zabbix_sockets/readers/bpf/build.sh

selinux:
	conf/selinux/build.sh

privileges: $(VENV)/.dev
	$(BIN)/python tests/support/privileges.py

templates: $(VENV)/.dev
	$(BIN)/python -m zabbix_templates.generator

manual: $(VENV)/.dev
	$(BIN)/python packaging/manual.py

# pip of the environment fetches the wheels that the packages bring along.
packages: | $(VENV)/bin/python
	tests/requirements.sh packages
	$(BIN)/python packaging/build.py dist

pictures: $(VENV)/.pictures requirements
	PYTHONPATH=tests/support $(BIN)/python -m tests.zabbix.pictures

bench: $(VENV)/.pictures
	$(BIN)/python tests/bench/run.py $(BENCH)

# The package is installed as a user's is, never as an editable copy: tests run against it.
# pip installs a folder anew each time.
$(VENV)/.installed: $(SOURCES) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check .
	touch $@

# A pip of today finds the tools in half the time of Debian's. Most of them is never imported, and has
# no byte code made for it.
$(VENV)/.dev: $(SOURCES) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile '.[dev,map]'
	$(BIN)/python -m compileall -q $(VENV)/lib/python3*/site-packages/zabbix_sockets
	touch $(VENV)/.installed $@

# What draws, and what changes the code, no test needs.
$(VENV)/.pictures $(VENV)/.mutants: $(VENV)/.%: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[dev,map,$*]'
	touch $@

$(VENV)/bin/python:
	tests/requirements.sh venv $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip uninstall --quiet --yes setuptools # some of which each Python would import

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build dist
