# Needs Python >= 3.10, make, and nothing else; no root. PYTHON and VENV may be set from outside.
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= bundled,fast,ocr,report,dev
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed-$(EXTRAS)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench stress clean

help:
	@echo "make setup   install everything into $(VENV), ffmpeg included"
	@echo "make demo    setup, then the whole pipeline on the embedded corpus"
	@echo "make test    setup, then the tests"
	@echo "make check   setup, then format, lint, types and import contracts"
	@echo "make format  rewrite the code in the project's format"
	@echo "make bench   setup, then the benchmarks (slow)"
	@echo "make stress  setup, then 50 runs that are killed, a full disk, damaged files (half an hour)"

setup: $(STAMP)

# Installed again when what is asked for changes: seconds when nothing did.
$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v < (3, 14) else "Python %d.%d will not do: set PYTHON to 3.10 ... 3.13" % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=23.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$(EXTRAS)]"
	@rm -f $(VENV)/.installed-*
	@touch "$@"

demo: setup
	$(BIN)/luigi --module pipeline RunAll

test: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m benchmarks.run

stress: setup
	$(BIN)/python -m tests.stress.run --kills 50

clean:
	rm -rf build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
