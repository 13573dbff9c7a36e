# The commands of this repository.
#   make demo      a lab from the template in demo-lab/, and six experiments on this machine
#   make test      in minutes, before every push: lint, types, import rules, the tests that aren't
#                  marked slow, and a smoke of each family that is
#   make ci        in half an hour, what CI calls: the same with all tests
#   make nightly   every fault at every call, 500 runs with several, 500 careless nights, every cheat
#                  unprotected too, 200 honest models, coding agents as another user too, and the
#                  suite without each of its safeguards

PYTHON ?= python3
VENV   := .venv
BIN    := $(abspath $(VENV))/bin
LAB    := demo-lab
export PATH := $(BIN):$(PATH)
# A trial has the machine for itself; the demo's data lie beside its lab, and not in the home folder.
export AUTORESEARCH_CACHE ?= $(abspath $(LAB))-cache

.PHONY: demo test ci nightly lint types imports clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[train,dev]'
	touch $@

demo: $(VENV)/installed
	mkdir -p $(LAB)
	cd $(LAB) && { test -e autoresearch.toml || autoresearch init demo; }
	cd $(LAB) && autoresearch prepare
	cd $(LAB) && autoresearch run --tag demo --researcher knobs --max 6 --allow-unsandboxed
	cd $(LAB) && autoresearch report --tag demo --plot progress.png

test: lint types imports
	$(BIN)/python -m pytest -n 2 -m "not slow"

ci: lint types imports
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

imports: $(VENV)/installed
	$(BIN)/lint-imports

# A sweep of all calls takes hours: no test is too long.
nightly: $(VENV)/installed
	FAULTS=all $(BIN)/python -m pytest -n 2 -o faulthandler_timeout=0 \
		tests/ratchet/test_faults.py tests/ratchet/test_state_machine.py \
		tests/harness/test_cheats.py tests/harness/test_honest.py
	AGENTS=all $(BIN)/python -m pytest tests/researchers/test_agents.py
	$(BIN)/python -m tests.mutants

clean:
	rm -rf $(VENV) $(LAB) $(LAB)-cache dist
