"""The table of criteria: the best first, every inner exit, nothing for a plain detector."""

from bench.report.criteria import criteria_table
from tests.support.printed import printed


def auroc(criterion: str, exit: int, value: float | None) -> dict:
    bounds = None if value is None else (value - 0.02, value + 0.02)
    return {"criterion": criterion, "exit": exit, "as_good": 0.4 + 0.1 * exit, "value": value, "interval": bounds}


KNOWN = [auroc("margin", 0, 0.6), auroc("learned", 0, 0.8), auroc("margin", 1, None), auroc("learned", 1, 0.7)]


def lines(records) -> list[str]:
    return printed(criteria_table(records))


def test_every_inner_exit_has_a_column_and_the_best_criterion_comes_first(make):
    found = lines([make("baseline", 0.4, 3.0), make("early_exit-tol1", 0.4, 2.0, (0.3, 0.3, 0.4), criteria=KNOWN)])
    head = next(line for line in found if line.lstrip().startswith("criterion"))
    assert "exit 1 (40 % as good)" in head
    assert "exit 2 (50 % as good)" in head
    rows = [line.split() for line in found if line.lstrip().startswith(("learned", "margin"))]
    assert rows == [
        ["learned", "0.800", "[0.780,", "0.820]", "0.700", "[0.680,", "0.720]"],
        ["margin", "0.600", "[0.580,", "0.620]", "-"],
    ]
    assert max(map(len, found)) <= 100


def test_a_plain_detector_has_none(make):
    assert criteria_table([make("baseline", 0.4, 3.0)]) is None
