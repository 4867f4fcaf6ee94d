# Everything a person or CI types. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CORPORA ?= $(wildcard ../shared/corpora)
# What is compiled is kept: every start of ours takes a second longer without it.
unexport PYTHONDONTWRITEBYTECODE
export PYTHON_CODER_CORPORA ?= $(if $(CORPORA),$(abspath $(CORPORA)))

.DEFAULT_GOAL := help
.PHONY: help setup system demo test check format bench conformance matrix docs fuzz soak serve lock clean

help: ## list what can be typed here
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: system $(STAMP) ## the virtual environment, the locked packages and bubblewrap

system:
	@sh tools/ensure-system.sh $(PYTHON)

$(STAMP): requirements.lock pyproject.toml | system
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "python-coder needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11 setup" >&2; exit 3; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing the locked packages into $(VENV), once; this takes a minute or two" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## the main job, end to end, into ./demo_output
	@$(BIN)/python-coder demo

# Half as many again as processors here: many tests wait for a time-out.
test: setup ## all tests
	$(BIN)/python -m pytest -n 3

check: setup ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup ## let ruff format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## measure, with the method printed; some of it: .venv/bin/python -m bench --help
	$(BIN)/python -m bench

conformance: setup ## clients that people use against a live server, as a table; writes docs/clients.md
	@$(BIN)/python -m tests.conformance

matrix: setup ## play every misbehaviour of models and their servers; writes docs/misbehaviours.md
	$(BIN)/python -m bench misbehaviours

docs: setup ## write docs/api.md from the server's description
	$(BIN)/python -m backend.api.manual docs/api.md

fuzz: setup ## many requests made up from the API's description; fails on a fault or what is not described
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-100} FUZZ_START=$${FUZZ_START:-$$$$} $(BIN)/python -m pytest -n 0 tests/api/test_fuzz.py

soak: setup ## thousands of ill-mannered programs, an hour of load on each database; fails when anything is left behind
	$(BIN)/python -m bench.soak $(SOAK)

serve: setup ## the API on http://127.0.0.1:8000
	$(BIN)/python-coder serve

lock: ## resolve requirements.lock and the locks of bench and conformance again (needs uv)
	uv pip compile pyproject.toml --group dev --extra postgres --extra otel --universal --python-version 3.11 --generate-hashes \
	  --no-strip-extras \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet -o requirements.lock
	awk -f tools/name-plainly.awk requirements.lock > requirements.lock.new && mv requirements.lock.new requirements.lock
	uv pip compile bench/peers.in -c requirements.lock --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet -o bench/peers.lock
	for name in openai1 openai2 llm; do \
	  uv pip compile tests/conformance/$$name.in --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet \
	    -o tests/conformance/$$name.lock || exit 1; \
	done

clean: ## remove what the commands above made
	rm -rf $(VENV) .venv-peers .venv-conformance demo_output data .mypy_cache .ruff_cache .pytest_cache
