# %% [markdown]
# # A tour in Python
#
# Open a run that was measured before, read its answer, and then measure a small one. This file is a notebook in the
# percent format: VS Code and Jupyter (with jupytext) open it as one, and `python docs/tour.py` runs it from top to
# bottom, in the repository's root.

# %%
import tempfile

import bench

run = bench.load_run("results/reference/coco-person")
print(run)

# %% [markdown]
# Were early exits worth it? A sentence, and the numbers behind it.

# %%
print(run.verdict.sentence)
print(f"mAP {run.verdict.difference:+.4f}, 95 % interval [{run.verdict.low:+.4f}, {run.verdict.high:+.4f}]")

# %% [markdown]
# Every operating point is a record. Here they are as a pandas table: for each strategy, the fastest way to at least
# 95 % of the best mAP.

# %%
table = run.to_pandas()
accurate = table[table["map"] >= 0.95 * table["map"].max()]
fastest = accurate.loc[accurate.groupby("strategy")["latency_ms.mean"].idxmin()]
print(fastest[["name", "map", "latency_ms.mean", "speed_up.value"]].round(3).to_string(index=False))

# %% [markdown]
# The picture: mAP against time and against FLOPs, with the frontier.

# %%
out = tempfile.mkdtemp()
figure = run.pareto(f"{out}/pareto.png")
print(f"drawn: {out}/pareto.png")

# %% [markdown]
# A run of one's own, so small that its numbers mean nothing. For real ones leave out `options`, and give your images
# with `data="coco:DIR"`.

# %%
mine = bench.run(
    strategies=["early_exit"],
    preset="smoke",
    runtime="eager",
    threads=1,
    out=out,
    options={
        "data.sizes": [12, 6, 8],
        "model.size": 64,
        "measure.images": 6,
        "measure.repeats": 1,
        "measure.warmup": 1,
        "measure.resamples": 100,
        "strategy.baseline.epochs": 1,
    },
)
print(mine.verdict.sentence)

# %% [markdown]
# A run keeps what every exit said of every image. Any other policy can be asked for later, without the model.

# %%
for sweep in mine.sweep(budget="250MFLOPs", tolerance=[0.02, 0.1], criteria=["max_score"]):
    for point in sweep.points:
        print(f"{point.name:16} mAP {point.map:.3f}, {point.ms:.2f} ms, exits {[round(s, 2) for s in point.share]}")
