"""The table fits 100 columns and says what its numbers mean."""

import pytest

from bench.judge.frontier import frontier_probability
from bench.records import Latency
from bench.report.batches_table import batches_table
from bench.report.exits_table import exits_table
from bench.report.page import Table
from bench.report.records_table import caption, narrow_table, speed_limit, wide_table
from bench.stats import percentile_interval
from models.errors import UserError
from tests.support.printed import printed


def column(table: Table, header: str) -> list[str]:
    """What stands under a header, from top to bottom."""
    index = table.headers.index(header)
    return [row.cells[index] for row in table.rows]


def row(lines: list[str], heading: str, name: str) -> list[str]:
    """The cells of a record under the heading of its strategy."""
    start = next(i for i, line in enumerate(lines) if line.strip() == heading)
    return next(line for line in lines[start:] if f" {name} " in line).split()


def test_a_row_holds_the_records_numbers(run):
    quant = row(printed(narrow_table(run)), "quant", "-")
    low, high = run[-1].map_interval
    assert quant[:5] == ["100", "-", "0.431", f"[{low:.3f},", f"{high:.3f}]"]
    assert quant[5:9] == ["0.690", "446", "2.9", "1.98"]
    assert quant[10] == f"{3.05 / 1.98:.2f}x"
    assert quant[-1] == "100"
    assert row(printed(narrow_table(run)), "early_exit", "tol2")[-1] == "43/57"


def test_how_probably_a_row_is_on_the_frontier_is_said(run):
    table, expected = wide_table(run), frontier_probability(run)
    shown = dict(zip(column(table, "name"), column(table, "F %"), strict=True))
    assert shown == {name: f"{100 * share:.0f}" for name, share in expected.items()}
    assert expected["quant"] == 1
    assert min(expected.values()) < 0.05


def test_a_name_never_wraps_and_what_has_no_room_is_said(make):
    name = "multi_exit_yolos+quant-tokens-l3-6-9-keep70-50-35-reinforced-tol5"
    long = make(name, 0.41, 312.5, (1 / 6,) * 6)
    lines = printed(narrow_table([make("baseline", 0.44, 400.0), long]))
    assert max(map(len, lines)) <= 100
    assert "…" not in "".join(lines)
    assert any(line.strip() == "multi_exit_yolos+quant" for line in lines)
    assert any("tokens-l3-6-9-keep70-50-35-reinforced-tol5" in line for line in lines)
    assert "312.50" in "".join(lines)
    left_out = next(line for line in lines if "no room here for" in line).partition(": ")[2].split(", ")
    assert left_out
    assert not [header for header in left_out if header in lines[0]]


def test_a_name_longer_than_the_terminal_folds_and_is_whole(make):
    name = f"early_exit-{'very-' * 25}long"
    lines = printed(narrow_table([make("baseline", 0.44, 4.0), make(name, 0.41, 3.0)]))
    assert max(map(len, lines)) <= 100
    start = lines[0].index("variant")
    first = [line[start:].split(" ")[0] for line in lines[1:]]
    assert "".join(part for part in first if part != "-" and set(part) <= set("very-long")) == "very-" * 25 + "long"


def test_the_caption_says_where_the_numbers_come_from(run):
    text = "\n".join(printed(narrow_table(run)))
    for fact in (
        "600 test images, split 3f2a91bc04de",
        "runtime openvino, threads 1, AMD EPYC",
        "from the uint8 image in memory to its detections, batch 1",
        "MFLOPs: mean per image, one multiply-add counts as one",
    ):
        assert fact in text
    assert "FORCED" not in text


def test_a_forced_run_is_stamped(run):
    forced = [r.model_copy(update={"forced": True}) for r in run]
    assert "FORCED: the baseline failed the foundation check" in "\n".join(printed(narrow_table(forced)))


def test_large_detectors_are_shown_in_gflops(make):
    large = make("baseline", 0.4, 90.0, flops_mean=35.9e9, flops_per_exit=[35_900_000_000])
    lines = printed(narrow_table([large]))
    assert "GFLOPs" in "\n".join(lines)
    assert "35.90" in row(lines, "baseline", "-")


def test_without_a_baseline_on_its_runtime_nothing_is_a_speed_up(run, make):
    lines = printed(narrow_table([*run, make("quant-eager", 0.4, 9.0, runtime="eager")]))
    assert row(lines, "quant on eager", "-")[-2:] == ["-", "100"]
    assert "vs eager" not in "\n".join(lines)


def test_several_runtimes_are_sections_that_fit(three_runtimes):
    lines = printed(narrow_table(three_runtimes))
    assert max(map(len, lines)) <= 100
    heads = [line.split(" on ")[1] for line in lines if " on " in line and line.startswith("    ")]
    assert list(dict.fromkeys(heads)) == ["openvino", "onnxruntime", "eager"]
    assert not any(f"-{runtime} " in line for line in lines for runtime in ("openvino", "onnxruntime", "eager"))
    eager = [row(lines, f"quant on {runtime}", "int8") for runtime in dict.fromkeys(heads)]
    assert [(cells[-3], cells[-2]) for cells in eager] == [
        ("1.32x", f"{20 / (0.76 * 3):.2f}x"),
        ("1.32x", f"{20 / (0.76 * 4):.2f}x"),
        ("1.32x", "1.32x"),
    ]


def test_the_frontier_is_that_of_the_runtime(three_runtimes):
    shown = []
    for runtime in ("openvino", "onnxruntime", "eager"):
        shown += column(wide_table([r for r in three_runtimes if r.runtime == runtime]), "F %")
    assert column(wide_table(three_runtimes), "F %") == shown
    assert "F %: probability of being on the frontier of mAP and ms of its runtime" in "\n".join(
        caption(three_runtimes)
    )


def test_vs_eager_is_for_several_runtimes(three_runtimes):
    alone = [r for r in three_runtimes if r.runtime == "eager"]
    assert "vs eager" in "\n".join(printed(narrow_table(three_runtimes)))
    assert "vs eager" not in "\n".join(printed(narrow_table(alone)))


def test_the_caption_says_what_each_runtime_measured(run, make):
    other = make("baseline-eager", 0.44, 20.0, runtime="eager", noise={"value": 1.2, "low": 1.1, "high": 1.3})
    chain = {"value": 1.5, "low": 1.4, "high": 1.6}
    exits = make("early_exit-tol1-eager", 0.43, 19.0, (0.2, 0.8), runtime="eager", chain_overhead=chain)
    noise, cost = (getattr(run[1], name) for name in ("noise", "chain_overhead"))
    lines = caption([*run, other, exits])
    ours = f"{noise.value:.3f} [{noise.low:.3f}, {noise.high:.3f}]"
    assert f"is {ours} on openvino, 1.200 [1.100, 1.300] on eager" in "\n".join(lines)
    assert sum(line.startswith("early_exit fp32 as a chain") for line in lines) == 1
    here = f"{cost.value:.3f} [{cost.low:.3f}, {cost.high:.3f}], no gate faster than {3.05 / 2.76:.2f}x on openvino"
    there = f"1.500 [1.400, 1.600], no gate faster than {20 / 19:.2f}x on eager"
    assert any(line.endswith(f": {here}, {there}") for line in lines)
    assert not any(" on openvino" in line for line in caption(run))


def test_no_gate_is_faster_than_always_leaving_at_the_first_exit(make):
    baseline, gate = make("baseline", 0.44, 3.0), make("early_exit-tol1", 0.43, 2.5, (0.2, 0.8))
    first, last = ({**gate.per_exit[exit].model_dump(), "latency_ms": ms} for exit, ms in ((0, 1.2), (1, 3.3)))
    timed = make("early_exit-tol1", 0.43, 2.5, (0.2, 0.8), per_exit=[first, last])
    assert speed_limit(timed, [baseline, timed]) == pytest.approx(2.5)
    assert any(line.endswith(", no gate faster than 2.50x") for line in caption([baseline, timed]))
    assert speed_limit(timed, [timed]) is None, "nothing to compare with"
    untimed = make("early_exit-tol1", 0.43, 2.5, (0.2, 0.8), per_exit=[first | {"latency_ms": None}, last])
    assert speed_limit(untimed, [baseline, untimed]) is None
    assert not any("no gate" in line for line in caption([baseline, untimed]))


def test_p99_is_shown_where_enough_samples_were_timed(run):
    assert [line for line in caption(run) if "p99" in line] == ["p99: 50 samples, 368 are needed to know it"]
    samples = [1 + i / 1000 for i in range(1000)]
    low, high = percentile_interval(samples, 99)
    times = {"mean": 1.5, "p50": 1.5, "p90": 1.9, "p99": 1.99, "p99_interval": (low, high), "p50_interval": (1.4, 1.6)}
    times |= {"mean_interval": (1.4, 1.6), "samples": samples, "images": list(range(1000))}
    known = run[0].latency_ms.model_dump() | times
    often = run[0].model_copy(update={"latency_ms": Latency.model_validate(known)})
    assert f"p99 of the fp32 baseline: 1.99 ms [{low:.2f}, {high:.2f}]" in caption([often, *run[1:]])
    assert low < 1.99 < high


def test_times_that_cannot_be_known_or_were_not_steady_are_said(run):
    few = run[0].latency_ms.model_copy(update={"samples": run[0].latency_ms.samples[:35], "steady": False})
    lines = caption([run[0].model_copy(update={"latency_ms": few}), *run[1:]])
    assert "p90: 35 samples, 36 are needed to know it" in lines
    assert "some were still getting faster when timing began: openvino" in lines
    assert not any(line.startswith(("p90:", "some were still")) for line in caption(run))


def test_other_test_splits_are_refused(run):
    with pytest.raises(UserError, match="test split"):
        narrow_table([run[0], run[1].model_copy(update={"split_hash": "0" * 64})])


def test_static_exits_once_per_detector(run):
    lines = printed(exits_table(run))
    assert sum("early_exit fp32" in line for line in lines) == 1
    assert sum("early_exit+quant int8" in line for line in lines) == 1
    assert not any("truncate" in line for line in lines)
    assert not any("baseline" in line for line in lines)
    first = run[1].per_exit[0]
    assert next(line for line in lines if "early_exit fp32 openvino" in line).split()[3:7] == [
        "1",
        f"{first.map:.3f}",
        f"{first.map50:.3f}",
        "223",
    ]


def test_single_exit_records_have_no_table_of_exits(run):
    assert exits_table([run[0], run[-1]]) is None


def test_batches_are_a_table_of_their_own(run):
    silent = [one.model_copy(update={"throughput": None}) for one in run]
    assert batches_table(silent) is None
    assert "images/s" not in wide_table(silent).headers
    lines = printed(batches_table([*run[:1], *silent[1:]]))
    assert "8 images at once" in lines[0]
    assert sum(run[0].name in line for line in lines) == 1
    assert not any(run[1].name in line for line in lines)
    assert f"{run[0].throughput.images_per_second:.0f}" in "\n".join(lines)
    assert "1.10x [1.00, 1.20]" in "\n".join(lines)
    assert column(wide_table([*run[:1], *silent[1:]]), "images/s")[1:] == ["-"] * len(silent[1:])
