# Two commands on a bare machine: `make bench` runs the main job on the embedded data, `make test` checks everything.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: bench test smoke benchmark reference clean

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

# How fast the exact mAP of ten thousand policies is, against pycocotools.
benchmark: .venv/installed
	$(BIN)/python -m benchmarks.routing

# The study on photographs (docs/reference.md): BENCH_SHARED names the folder with data and weights.
reference: .venv/installed
	$(BIN)/bench run --preset photographs --name coco-person --resume --classes person \
		--strategies early_exit,prune,quant,resize,prune+quant,early_exit+quant \
		--runtime openvino,onnxruntime,eager \
		--data coco:$(BENCH_SHARED)/data/coco-person \
		--weights $(BENCH_SHARED)/weights/ssdlite320_mobilenet_v3_large_coco.pth
	$(BIN)/python results/publish.py coco-person

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[openvino,onnxruntime,inductor,dev]'
	touch $@

clean:
	rm -rf .venv results/runs
