PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed
PEERS_PIP := $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-browser faults lint peers audit clean

# The constraints hold for the build's own environment too.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(PIP) --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	mkdir -p demo
	$(BIN)/python examples/demo_clip.py demo/portrait.mp4
	$(BIN)/emoscan video demo/portrait.mp4 --out demo/portrait.parquet --overwrite

test: $(STAMP)
	$(BIN)/python -m pytest --cov --cov-report=term --cov-fail-under=85 $(PYTEST_ARGS)

# Pages in a Chromium that is installed already; without one they are skipped.
test-browser: $(STAMP)
	$(BIN)/python -m pytest tests/browser $(PYTEST_ARGS)

# Every fault as often as docs/faults.md says, which is written anew: about half an hour.
faults: $(STAMP)
	EMOSCAN_FAULTS=all $(BIN)/python -m pytest tests/faults --timeout 3600 \
		-p tests.faults.report --faults-report docs/faults.md $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# What emoscan is measured against in `python -m benchmarks.speed`, in a venv of its own.
$(PEERS_STAMP): benchmarks/peers-requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS_PIP) --requirement benchmarks/peers-requirements.txt
	touch $(PEERS_STAMP)

peers: $(PEERS_STAMP)

# Known holes in the pinned versions, as far as the service that knows them can be asked.
audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.venv-audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --progress-spinner off

clean:
	rm -rf $(VENV) $(PEERS) .venv-audit demo build dist .coverage .mypy_cache .pytest_cache .ruff_cache
