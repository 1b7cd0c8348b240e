# On a bare machine: `make bench` runs the main job on the embedded data, `make test` checks everything, `make quick` in
# little more than a minute what most changes break.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: bench test quick lint types smoke benchmark clean reference reference-person reference-chair reference-fifteen \
	reference-seeds reference-phases reference-positions reference-lessons reference-yolos reference-yolos-positions \
	reference-yolos-person reference-probes

bench: .venv/installed
	$(BIN)/bench run --resume

# One worker per core, as memory allows. A file stays on one worker, with the networks it trains once for all its tests.
PYTEST = $(BIN)/pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test: lint types
	$(PYTEST) --durations 10

quick: .venv/installed
	$(PYTEST) -m "not slow"

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/installed
	$(BIN)/mypy

smoke: .venv/installed
	rm -rf results/runs/smoke
	$(BIN)/bench run --preset smoke
	$(BIN)/bench check smoke --against results/gates-smoke.toml

# How fast the exact mAP of ten thousand policies is, against pycocotools.
benchmark: .venv/installed
	$(BIN)/python -m benchmarks.routing

# The studies on photographs (docs/reference.md): BENCH_SHARED names the folder with data and weights.
reference: reference-person reference-chair reference-fifteen reference-seeds reference-phases reference-positions \
	reference-lessons reference-yolos reference-yolos-positions reference-yolos-person reference-probes

STUDY = $(BIN)/bench run --resume --data coco:$(BENCH_SHARED)/data/coco-person \
	--weights $(BENCH_SHARED)/weights/ssdlite320_mobilenet_v3_large_coco.pth

reference-person reference-fifteen: reference-%: .venv/installed
	$(STUDY) --spec results/studies/$*.toml
	$(BIN)/python results/publish.py coco-$*

# The loaded weights miss the foundation check on chairs: every record is stamped.
reference-chair: .venv/installed
	$(STUDY) --spec results/studies/chair.toml --force
	$(BIN)/python results/publish.py coco-chair

reference-seeds: .venv/installed
	for seed in 0 1 2; do \
		$(STUDY) --spec results/studies/headline.toml --name coco-headline-$$seed --seed $$seed || exit 1; done
	$(BIN)/python results/publish.py --spread coco-headline-0 coco-headline-1 coco-headline-2

reference-phases: .venv/installed
	$(BIN)/bench ablate phases --out results/runs/phases
	$(BIN)/python results/publish.py --ablation phases results/runs/phases

reference-positions: .venv/installed
	$(BIN)/bench ablate positions results/runs/coco-person --epochs 6
	$(BIN)/python results/publish.py --ablation positions results/runs/coco-person

# From here to the photographs again on generated data: they need no folder.
reference-lessons: .venv/installed
	$(BIN)/bench ablate lessons --out results/runs/lessons
	$(BIN)/python results/publish.py --ablation lessons results/runs/lessons

reference-yolos: .venv/installed
	$(BIN)/bench run --resume --spec results/studies/yolos.toml
	$(BIN)/python results/publish.py shapes-yolos

reference-yolos-positions: .venv/installed reference-yolos
	$(BIN)/bench ablate positions results/runs/shapes-yolos
	$(BIN)/python results/publish.py --ablation positions results/runs/shapes-yolos positions-yolos

# From a trunk that has seen no boxes, in the hour that two cores have: the foundation check may be out of reach.
reference-yolos-person: .venv/installed
	$(BIN)/bench run --resume --spec results/studies/yolos-person.toml --force \
		--data coco:$(BENCH_SHARED)/data/coco-person --weights $(BENCH_SHARED)/weights/vit_small_patch16_dinov2.safetensors
	$(BIN)/python results/publish.py coco-person-yolos

PROBE = $(BIN)/bench probe --data coco:$(BENCH_SHARED)/data/coco-person --classes person --views 1

reference-probes: .venv/installed reference-yolos
	$(BIN)/bench probe --trained results/runs/shapes-yolos --out results/runs/probe-shapes-yolos
	$(PROBE) --weights $(BENCH_SHARED)/weights/ssdlite320_mobilenet_v3_large_coco.pth --out results/runs/probe-person-ssdlite
	$(PROBE) --model yolos-small --weights $(BENCH_SHARED)/weights/vit_small_patch16_dinov2.safetensors \
		--out results/runs/probe-person-yolos-small
	for name in shapes-yolos person-ssdlite person-yolos-small; do \
		$(BIN)/python results/publish.py --probe probe-$$name results/runs/probe-$$name || exit 1; done

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[openvino,onnxruntime,inductor,dev]'
	touch $@

clean:
	rm -rf .venv results/runs
