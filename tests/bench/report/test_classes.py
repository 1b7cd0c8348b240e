"""Class by class: the right gate speaks, every number is its class's, and the terminal's table fits 100 columns."""

import pytest

from bench.judge.verdict import verdict
from bench.records import ExitAccuracy, Record
from bench.report.classes import classes_page, classes_table, speaker
from bench.report.exit_profile import MOST_GROUPS
from bench.report.formats import markdown
from tests.support.printed import printed

NAMES = ("person", "chair", "dining table")


def values(ap: float, names=NAMES) -> dict[str, float]:
    """AP by class: 0.01 less from class to class."""
    return {name: round(ap - 0.01 * k, 3) for k, name in enumerate(names)}


@pytest.fixture(scope="session")
def several(make):
    """several(name, map, ms, share, names=..., **changes): a record of several classes, with those of its exits, and
    if it is a gate its exit profile: of class k 100 + k images, of which the first exit answers as many as of all."""

    def made(name: str, ap: float, ms: float, share=(1.0,), names=NAMES, **changes) -> Record:
        one = make(name, ap, ms, share, **changes)
        exits = [
            ExitAccuracy(
                **exit.model_dump(exclude={"ap_per_class", "ap50_per_class"}),
                ap_per_class=values(0.3 + 0.05 * exit.exit, names),
                ap50_per_class=values(0.4 + 0.05 * exit.exit, names),
            )
            for exit in one.per_exit
        ]
        kinds = [
            {"factor": "class", "group": name, "images": 100 + k, "exit_share": share} for k, name in enumerate(names)
        ] * (len(share) > 1)
        classes = {"ap_per_class": values(ap, names), "ap50_per_class": values(1.5 * ap, names)}
        return Record.model_validate(one.model_dump() | classes | {"per_exit": exits, "exit_profile": kinds} | changes)

    return made


@pytest.fixture(scope="session")
def some(several) -> list[Record]:
    return [
        several("baseline", 0.44, 3.0),
        several("early_exit-tol1", 0.43, 2.8, (0.2, 0.8)),
        several("early_exit-tol5", 0.41, 2.2, (0.6, 0.4)),
        several("quant", 0.43, 2.0),
    ]


def rendered(records) -> list[str]:
    return printed(classes_table(records))


def row(lines: list[str], name: str) -> list[str]:
    return next(line for line in lines if line.strip().startswith(name)).split()


def test_the_gate_that_the_verdict_names_speaks(some):
    assert speaker(some).name == verdict(some).early


def test_without_a_verdict_the_five_percent_gate_speaks_and_without_that_any(some, several):
    gates = some[1:3]
    assert verdict(gates).early is None
    assert speaker(gates).name == "early_exit-tol5"
    assert speaker(gates[:1]).name == "early_exit-tol1"
    slow = several("early_exit-tol1-eager", 0.41, 20.0, (0.6, 0.4), runtime="eager")
    assert speaker([slow, *gates[:1]]).name == "early_exit-tol1", "on the fastest runtime"


def test_nobody_speaks_for_a_single_class_or_without_a_gate(some, several):
    alone = [several("baseline", 0.4, 3.0, names=("a",)), several("early_exit-tol5", 0.4, 2.0, (0.5, 0.5), ("a",))]
    for records in (alone, [some[0], some[-1]]):
        assert speaker(records) is classes_table(records) is classes_page(records) is None


def test_every_number_is_that_of_its_class(some):
    gate = speaker(some)
    shares = "/".join(f"{100 * share:.0f}" for share in gate.exit_share)
    lines = rendered(some)
    assert "Class by class, early_exit-tol" in lines[0]
    ap = f"{gate.ap_per_class['chair']:.2f}/{gate.ap50_per_class['chair']:.2f}"
    assert row(lines, "chair") == ["chair", "0.43/0.65", "0.29/0.39", "0.34/0.44", ap, "101", shares]
    text = markdown(classes_page(some))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(NAMES)
    assert len({line.count("|") for line in rows}) == 1
    cells = [cell.strip() for cell in rows[-1].strip("|").split("|")]
    assert cells[:7] == ["dining table", "0.420", "0.640", "0.280", "0.380", "0.330", "0.430"]
    ap, ap50 = gate.ap_per_class["dining table"], gate.ap50_per_class["dining table"]
    assert cells[7:] == [f"{ap:.3f}", f"{ap50:.3f}", "102", shares]


def test_what_was_not_measured_is_a_dash(some):
    older = [
        record.model_copy(
            update={
                "per_exit": tuple(
                    one.model_copy(update={"ap_per_class": None, "ap50_per_class": None}) for one in record.per_exit
                ),
                "exit_profile": (),
                "ap_per_class": record.ap_per_class | {"chair": None},
            }
        )
        for record in some
    ]
    found = row(rendered(older), "chair")
    assert [found[k] for k in (2, 3, 5, 6)] == ["-/-", "-/-", "-", "-"]
    assert [found[k].partition("/")[0] for k in (1, 4)] == ["-", "-"]
    assert "| chair | - |" in markdown(classes_page(older))


def test_of_many_classes_those_that_most_images_hold_are_shown_in_their_order(several):
    names = tuple(f"american football field {k}" for k in range(MOST_GROUPS + 5))
    records = [several("baseline", 0.44, 3.0, names=names), several("early_exit-tol5", 0.4, 2.2, (0.5, 0.5), names)]
    lines = rendered(records)
    assert f"{MOST_GROUPS} of {MOST_GROUPS + 5} classes" in lines[0]
    shown = [int(line.split()[3]) for line in lines if line.strip().startswith("american")]
    assert shown == list(range(5, MOST_GROUPS + 5))
    assert len(markdown(classes_page(records)).splitlines()) == 2 + len(names) + 4


@pytest.mark.parametrize("exits", [2, 3, 4, 5, 12])
def test_it_fits_100_columns_and_nothing_is_cut(several, exits):
    share = (1 / exits,) * exits
    long = "early_exit+quant+distil+resize-b7-8-9-10-12-int8-256px-tol5"
    lines = rendered([several("baseline", 0.44, 3.0), several(long, 0.4, 2.2, share, precision="int8")])
    assert max(map(len, lines)) <= 100
    assert "…" not in "".join(lines)
    assert ("AP / AP50" in "".join(lines)) == (exits <= 4)
    if exits <= 4:
        known = [f"{0.3 + 0.05 * k:.2f}/{0.4 + 0.05 * k:.2f}" for k in range(exits)]
        assert row(lines, "person")[2 : 2 + exits] == known
    else:
        assert "".join(lines).count("/") == 2 * len(NAMES) * (exits - 1), "every exit's AP and share, folded"
