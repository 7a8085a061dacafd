# The commands of the README and of continuous integration. Everything is installed into .venv, with the exact versions of
# constraints.txt. Where pip would fetch the CUDA build of torch and none is wanted, name the index of the CPU builds:
#     make install PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PIP_ARGS ?=
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install check test test-slow demo docs format clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(if $(PYTHON),,$(error lacunar needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3))
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable '.[dev]'
	touch $@

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: $(INSTALLED)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -q -n 2 -m slow

demo: $(INSTALLED)
	$(BIN)/lacunar demo

docs: $(INSTALLED)
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_map.py

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
