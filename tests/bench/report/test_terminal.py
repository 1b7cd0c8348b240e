"""The report holds what there is to know, and ends with the verdict and what stands behind it."""

import io

from rich.console import Console

from bench.judge.verdict import verdict
from bench.report import print_report


def printed(records) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    print_report(records, console)
    return console.file.getvalue()


def unwrapped(text: str) -> str:
    return " ".join(text.split())


def test_it_ends_with_the_verdict_its_interval_and_the_speed_at_equal_map(run):
    text, found = printed(run), verdict(run)
    assert "Every image at one exit" in text
    assert "\nWORTH IT: at 1.62 ms, faster than any other, early_exit+quant-tol2 has mAP 0.415" in text
    end = unwrapped(text[text.index("\nWORTH IT") :])
    assert end.startswith(f"{found.sentence} {found.at_equal_map}")
    assert f"95 % interval {found.low:.3f} to {found.high:.3f}" in end


def test_the_controls_of_the_gate_that_speaks_come_last(run):
    drawn = {"random_exits": {"mean": 0.39, "low": 0.38, "high": 0.4}, "oracle": 0.44, "gate_efficiency": 0.5}
    speaks = verdict(run).early
    told = [type(r).model_validate({**r.model_dump(), **drawn}) if r.name == speaks else r for r in run]
    end = unwrapped(printed(told)).partition("WORTH IT: ")[2]
    assert "exits at random 0.390 [0.380, 0.400], by the oracle 0.440: gate efficiency 0.50" in end
    assert end.endswith("x the baseline.")


def test_alarms_are_said_with_who_raises_them(run):
    assert "ALARM" not in printed(run)
    worried = [run[0], *(r.model_copy(update={"alarms": ("exit 1 is odd",)}) for r in run[1:3]), *run[3:]]
    assert f"ALARM exit 1 is odd ({run[1].name}, {run[2].name})" in unwrapped(printed(worried))
