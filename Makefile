# Two commands on a fresh machine: `make demo` and `make test`. No compiler is used.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHEEL_INPUTS := pyproject.toml README.md LICENSE $(shell find vultus -type f -not -name '*.pyc' -not -name '* *')

.PHONY: help demo test check dev bench clean

help:
	@echo "make demo   install vultus into .venv and recognise the sample people"
	@echo "make test   install what the tests need and run all of them"
	@echo "make check  style, types, import contract"
	@echo "make dev    install an editable copy with the tools of a developer"
	@echo "make bench  run the benchmarks and print their table"
	@echo "make clean  remove what these commands made"

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "vultus needs Python 3.11 or newer; name one: make PYTHON=python3.12 demo" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "no virtual environment could be made; on Debian: apt install python3-venv" >&2; \
	    rm -rf $(VENV); exit 1; }
	@touch $@

# The wheel is built and installed as a user would get it, so the tests run against that.
$(VENV)/.installed: $(VENV)/.made $(WHEEL_INPUTS)
	@echo "installing vultus into $(VENV) …"
	@rm -rf $(VENV)/dist
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(VENV)/dist .
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps $(VENV)/dist/*.whl
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(VENV)/dist/*.whl
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/vultus demo --out out/demo

$(VENV)/.tested: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(ls $(VENV)/dist/*.whl)[test,heic]"
	@PYTHON=$(BIN)/python scripts/test_clients $(VENV)/clients
	@touch $@

test: $(VENV)/.tested
	@$(BIN)/pytest --numprocesses auto --dist loadfile $(TESTS)

check: $(VENV)/.tested
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(ls $(VENV)/dist/*.whl)[dev]"
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check

dev: $(VENV)/.made
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,heic,convert]"

bench: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps face_recognition==1.3.0
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps facenet-pytorch==2.6.0
	@$(BIN)/python benchmarks/run_all.py

clean:
	@rm -rf $(VENV) out dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
