"""How far gates get towards their bound: the right gate, its numbers, and what is said where there is none."""

import pytest

from bench.records import Record
from bench.report.bound import towards_bound
from bench.report.notes import notes


@pytest.fixture(scope="session")
def gate(make):
    """gate(point, map, ms, early=..., first=..., **changes): a gate of early_exit-b8, of whose images a share leaves
    early, with the time of always leaving at the first exit; the baseline takes 4 ms."""

    def made(point: str, ap: float, ms: float, early: float = 0.6, first: float = 2.0, **changes) -> Record:
        name = f"early_exit-{changes.get('variant', 'b8')}-{point}"
        one = make(name, ap, ms, (early, 1 - early))
        exits = [exit.model_dump() | {"latency_ms": t} for exit, t in zip(one.per_exit, (first, 4.4), strict=True)]
        own = {
            "variant": "b8",
            "per_exit": exits,
            "speed_up": {"value": 4 / ms, "low": 3.9 / ms, "high": 4.1 / ms},
            "operating_point": one.operating_point.model_dump() | {"name": point},
        }
        return Record.model_validate(one.model_dump() | own | changes)

    return made


@pytest.fixture(scope="session")
def baseline(make) -> Record:
    return make("baseline", 0.400, 4.0)


def test_the_fastest_gate_within_each_loss_is_told_with_its_share_of_the_bound(baseline, gate):
    records = [
        baseline,
        gate("tol1", 0.399, 3.8, early=0.2),
        gate("tol3", 0.388, 3.2, early=0.4),
        gate("tol5", 0.380, 2.5, early=0.7),
        gate("tol9", 0.379, 2.2, early=0.9),
    ]
    head = "early_exit-b8, fastest gate at most"
    assert towards_bound(records) == [
        f"{head} 5 % under the baseline's mAP: tol5, 70 % leave early, mAP 0.380, 1.60x [1.56, 1.64], "
        "60 % of the way to its bound, 2.00x",
        f"{head} 3 % under the baseline's mAP: tol3, 40 % leave early, mAP 0.388, 1.25x [1.22, 1.28], "
        "25 % of the way to its bound, 2.00x",
    ]
    assert set(towards_bound(records)) <= set(notes(records))


def test_one_gate_for_both_losses_is_told_once_with_its_controls(baseline, gate):
    drawn = {"mean": 0.37, "low": 0.36, "high": 0.38}
    (line,) = towards_bound([baseline, gate("tol1", 0.395, 2.5, random_exits=drawn, oracle=0.42)])
    assert "at most 5 % and 3 % under" in line
    assert "mAP 0.395 (0.370 at random, 0.420 by the oracle), 1.60x" in line


def test_none_is_close_enough_or_none_is_faster(baseline, gate):
    under = "fastest gate at most 5 % and 3 % under the baseline's mAP"
    assert towards_bound([baseline, gate("tol5", 0.3, 2.5)]) == [f"early_exit-b8, {under}: none"]
    (slow,) = towards_bound([baseline, gate("tol1", 0.4, 4.2)])
    assert slow.endswith("none of the way to its bound, 2.00x")
    (hopeless,) = towards_bound([baseline, gate("tol1", 0.4, 4.2, first=4.1)])
    assert hopeless.endswith("and everybody's leaving at once is no faster than the baseline, 0.98x")
    (untimed,) = towards_bound([baseline, gate("tol1", 0.4, 2.5, first=None)])
    assert untimed.endswith("1.60x [1.56, 1.64]")


def test_every_detector_is_told_and_only_gates_are_asked(baseline, gate, make):
    full = gate("full", 0.4, 1.0, operating_point=baseline.operating_point.model_dump() | {"criterion": None})
    truncated = gate("exit1", 0.4, 1.0, early=1.0, strategy="truncate", variant="b8")
    other = gate("tol1", 0.4, 3.0, variant="b12")
    records = [baseline, full, gate("tol1", 0.4, 2.5), truncated, other]
    assert [line.partition(",")[0] for line in towards_bound(records)] == ["early_exit-b8", "early_exit-b12"]
    assert all(": tol1," in line for line in towards_bound(records))
    assert towards_bound([baseline, full, make("prune-30", 0.4, 2.0)]) == []
    assert towards_bound([gate("tol1", 0.4, 2.5)]) == [], "no baseline to be under"
