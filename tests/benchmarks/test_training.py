"""The training benchmark runs, and every part of a step is timed as its own."""

import re

import numpy as np
import pytest

from benchmarks import training

TOY = {"images": 6, "batch": 2, "steps": 1, "threads": 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "options"), [(training.ours, (False,)), (training.ours, (True,)), (training.torchvisions, (0,))]
)
def test_every_part_of_a_training_step_takes_time(tmp_path, build, options):
    training.write_shapes(tmp_path / "shapes", TOY["images"])
    setting = training.Setting(tmp_path / "shapes", None, **TOY)
    if build is training.ours:
        options = (tmp_path / "checkpoints", *options)
    block = build(setting, *options)
    for _ in range(2):  # the second block of a Trainer is a training of its own, not one found again
        seconds = block()
        assert seconds.shape == (len(training.PARTS),)
        assert (seconds > 0).all()


def test_the_watch_leaves_out_the_first_step_and_gives_every_part_its_time(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(training.time, "perf_counter", lambda: clock[0])

    def later(seconds: float) -> None:
        clock[0] += seconds

    def batches():
        for number in range(4):
            later(1)
            yield number

    watch, seen = training.Watch(), []
    for batch in watch.over(batches(), 2):
        seen.append(batch)
        for part, seconds in ((training.FORWARD, 2), (training.LOSS, 3)):
            later(seconds if batch else 100)
            watch.mark(part)
        later(4)
    assert seen == [0, 1, 2]
    assert watch.seconds.tolist() == [2, 4, 6, 8]


def test_ratios_are_against_the_fastest_rival_round_by_round():
    parts = np.array([0.1, 0.2, 0.3, 0.4])
    drift = np.array([1.0, 3.0, 2.0, 1.5])[:, None]  # the machine slows down for everybody
    seconds = {"slow": 8 * drift * parts, "fast": 4 * drift * parts, "ours": 2 * drift * parts}
    slow, fast, own = training.compare(seconds, ["slow", "fast"], images=16)
    assert [row.ratio for row in (slow, fast, own)] == pytest.approx([0.5, 1, 2])
    assert [own.low, own.high] == pytest.approx([2, 2])
    assert own.rate == pytest.approx(np.median(8 / drift))
    assert own.shares == pytest.approx(parts)


@pytest.mark.slow
def test_the_training_benchmark_prints_what_it_found(capsys):
    sizes = [f"--{name}={value}" for name, value in TOY.items()]
    rows = training.main([*sizes, "--rounds=2", "--workers", "0", "1"])
    printed = capsys.readouterr().out
    assert {row.name for row in rows} >= {"torchvision, 0 workers", "torchvision, 1 workers", "ours", "bf16"}
    rivals = [row for row in rows if row.name.startswith("torchvision")]
    fastest = max(rivals, key=lambda row: row.rate)
    assert (fastest.ratio, fastest.low, fastest.high) == (1, 1, 1)
    for row in rows:
        assert row.low <= row.ratio <= row.high
        assert row.shares.sum() == pytest.approx(1)
        assert re.search(rf"^{row.name} .* {row.ratio:.2f} \[{row.low:.2f}, {row.high:.2f}\]", printed, re.MULTILINE)
