# Two commands on a bare machine: `make bench` runs the main job on the embedded data, `make test` checks everything.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: bench test smoke reference clean

bench: .venv/installed
	$(BIN)/bench run --resume

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest

smoke: .venv/installed
	rm -rf results/runs/smoke
	$(BIN)/bench run --preset smoke
	$(BIN)/bench gate smoke --against results/gates-smoke.toml

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[openvino,dev]'
	touch $@

clean:
	rm -rf .venv results/runs
