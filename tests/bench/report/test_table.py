"""The table fits 100 columns and says what its numbers mean."""

import io

import pytest
from rich.console import Console

from bench.report.table import exits_table, print_report, table
from models.errors import UserError


def rendered(thing, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(thing)
    return console.file.getvalue().splitlines()


def row(lines: list[str], name: str) -> list[str]:
    return next(line for line in lines if f" {name} " in line).split()


def test_a_row_holds_the_records_numbers(run):
    quant = row(rendered(table(run)), "quant")
    low, high = run[-1].map_interval
    assert quant[:5] == ["*", "quant", "0.431", f"[{low:.3f},", f"{high:.3f}]"]
    assert quant[5:9] == ["0.690", "446", "2.9", "1.98"]
    assert quant[10:] == [f"{3.05 / 1.98:.2f}x", "100"]
    assert row(rendered(table(run)), "early_exit-tol2")[-1] == "43/57"


def test_the_frontier_is_marked(run):
    marked = {line.split()[1] for line in rendered(table(run)) if line.startswith(" * ")}
    assert marked == {
        "baseline",
        "early_exit-tol1",
        "early_exit+quant-tol2",
        "early_exit+quant-tol5",
        "quant",
    }


def test_long_names_and_many_exits_fold_and_nothing_is_cut(make):
    name = "multi_exit_yolos+quant-agreement-with-the-previous-exit-tol0.5"
    long = make(name, 0.41, 312.5, (1 / 12,) * 12)
    lines = rendered(table([make("baseline", 0.44, 400.0), long]))
    assert max(map(len, lines)) <= 100
    assert "…" not in "".join(lines)
    start, end = lines[1].index("name"), next(line for line in lines if "0.410" in line).index("0.410")
    assert name in "".join(line[start:end].strip() for line in lines)
    assert "312.50" in "".join(lines)


def test_the_caption_says_where_the_numbers_come_from(run):
    text = "\n".join(rendered(table(run)))
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
    assert "FORCED: the baseline missed its foundation gate" in "\n".join(rendered(table(forced)))


def test_large_detectors_are_shown_in_gflops(make):
    large = make("baseline", 0.4, 90.0, flops_mean=35.9e9, flops_per_exit=[35_900_000_000])
    lines = rendered(table([large]))
    assert "GFLOPs" in "\n".join(lines)
    assert "35.90" in row(lines, "baseline")


def test_without_a_baseline_on_its_runtime_nothing_is_a_speed_up(run, make):
    lines = rendered(table([*run, make("quant-eager", 0.4, 9.0, runtime="eager")]))
    there = next(i for i, line in enumerate(lines) if "quant-eager" in line)
    assert "(" not in lines[there]
    assert " - " in lines[there]
    assert any("quant (openvino)" in line for line in lines)


def test_other_test_splits_are_refused(run):
    with pytest.raises(UserError, match="test split"):
        table([run[0], run[1].model_copy(update={"split_hash": "0" * 64})])


def test_static_exits_once_per_detector(run):
    lines = rendered(exits_table(run))
    assert sum("early_exit fp32" in line for line in lines) == 1
    assert sum("early_exit+quant int8" in line for line in lines) == 1
    assert not any("truncate" in line for line in lines)
    assert not any("baseline" in line for line in lines)
    first = run[1].per_exit[0]
    assert row(lines, "early_exit fp32 openvino")[3:7] == [
        "1",
        f"{first.map:.3f}",
        f"{first.map50:.3f}",
        "223",
    ]


def test_single_exit_records_have_no_table_of_exits(run):
    assert exits_table([run[0], run[-1]]) is None


def test_the_report_ends_with_the_verdict(run):
    console = Console(file=io.StringIO(), width=100, color_system=None)
    print_report(run, console)
    text = console.file.getvalue()
    assert "Every image at one exit" in text
    assert "\nWORTH IT: at 1.62 ms, faster than any other, early_exit+quant-tol2 has mAP 0.415" in text
    assert text.rstrip().endswith("At the mAP of early_exit+quant-tol2 the others take 1.22 times as long.")
