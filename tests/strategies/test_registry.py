"""What a name stands for: a strategy, one of its variants, a composition; and one clear line for every mistake."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import UserError
from models.registry import OURS
from strategies import registry
from strategies.base import Candidate
from strategies.early_exit import EarlyExit
from strategies.prune import Prune
from strategies.quant import Quant
from tests.support.plugins import bring, plug
from tests.support.toys import OneStep, Scenes, candidate

VARIANTS = {
    "early_exit": {
        "epochs": 8,
        "learning_rate": 0.01,
        "late": {"after": [10, 12], "epochs": 2},
        "low-rate": {"learning_rate": 0.001},
    }
}
LABELS = st.from_regex(registry.LABEL, fullmatch=True)


@dataclass(frozen=True)
class Step:
    """A made-up strategy: one candidate for each name it is given, which says so in its variant and its note."""

    named: tuple[str, ...] = ("one",)

    def apply(self, start, *, fit, score, train, val, seed):
        return [replace(start, strategy="step", variant=name, note=f"made {name}") for name in self.named]


@pytest.fixture
def steps(monkeypatch):
    """Strategies `first` and `second`, both `Step`."""
    bring(monkeypatch, registry.STRATEGIES, first=Step, second=Step)


def variants(name: str, options: dict) -> list[tuple[str, str]]:
    """Strategy and variant of every candidate that the name makes."""
    made = registry.build(name, options).apply(
        Candidate("baseline", "tuned", None), fit=None, score=None, train=None, val=None, seed=0
    )
    return [(one.strategy, one.variant) for one in made]


def only(name: str, options: dict):
    """The one strategy behind a name."""
    (part,) = registry.parts(name, options)
    return part.strategy


def test_a_strategy_has_its_own_options_and_none_of_its_variants():
    assert only("early_exit", VARIANTS) == EarlyExit(epochs=8, learning_rate=0.01)
    assert only("prune", VARIANTS) == Prune()


def test_a_variants_options_go_before_the_strategys():
    assert only("early_exit.late", VARIANTS) == EarlyExit(epochs=2, learning_rate=0.01, after=(10, 12))
    assert only("early_exit.low-rate", VARIANTS) == EarlyExit(epochs=8, learning_rate=0.001)
    assert only("quant.few", {"quant": {"few": {"images": 7}}}) == Quant(images=7)
    assert VARIANTS["early_exit"]["epochs"] == 8


def test_a_variant_that_is_not_asked_for_may_be_anything():
    assert only("quant", {"quant": {"images": 7, "odd": {"imags": 3}}}) == Quant(images=7)


@pytest.mark.usefixtures("steps")
def test_candidates_of_a_variant_carry_its_label_in_front_and_the_strategys_name():
    options = {"first": {"named": ["a", "b"], "late": {"named": ["c", ""]}}}
    assert variants("first", options) == [("step", "a"), ("step", "b")]
    assert variants("first.late", options) == [("step", "late-c"), ("step", "late")]


@pytest.mark.usefixtures("steps")
@settings(max_examples=30)
@given(LABELS, LABELS)
def test_labels_stay_with_their_part_of_a_composition(one, other):
    options = {"first": {one: {"named": ["a", "b"]}}, "second": {other: {}}}
    assert variants(f"first.{one}+second", options) == [
        ("first+second", f"{one}-a-one"),
        ("first+second", f"{one}-b-one"),
    ]
    assert variants(f"first+second.{other}", options) == [("first+second", f"one-{other}-one")]
    assert variants(f"first.{one}+second.{other}", options)[0] == ("first+second", f"{one}-a-{other}-one")


def test_a_variant_of_a_real_strategy_does_what_it_was_told():
    train = Scenes(count=5)
    (made,) = registry.build("quant.few", {"quant": {"images": 5, "few": {"images": 2}}}).apply(
        candidate(size=64), fit=OneStep(), score=lambda one: 0.5, train=train, val=Scenes(), seed=3
    )
    assert (made.strategy, made.variant, len(made.calibration)) == ("quant", "few-int8", 2)


def test_composition_multiplies_candidates_and_joins_names():
    options = {"prune": {"epochs": 1, "learning_rate": 1e-3, "ratios": [0.25, 0.5]}}
    made = registry.build("prune+quant", options).apply(
        candidate(), fit=OneStep(), score=lambda one: 0.5, train=Scenes(), val=Scenes(), seed=3
    )
    assert [(one.strategy, one.variant, one.precision) for one in made] == [
        ("prune+quant", "25pct-int8", "int8"),
        ("prune+quant", "50pct-int8", "int8"),
    ]
    assert all("channels removed" in one.note and "; post-training int8" in one.note for one in made)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("erly_exit", {}, "did you mean 'early_exit'"),
        ("prune+qant", {}, "did you mean 'quant'"),
        ("prune", {"prune": {"ratio": 1}}, "did you mean 'ratios'"),
        ("prune", {"prune": {"epochs": "many", "learning_rate": 1}}, "epochs"),
        ("prune", {"prune": {"importance": "size"}}, "importance"),
        ("prune", {"prune": {"ratios": {"a": 0.5}}}, "strategy prune: ratios"),
        ("early_exit.lat", VARIANTS, "strategy early_exit: unknown variant 'lat'.*did you mean 'late'"),
        ("quant+early_exit.lat", VARIANTS, "did you mean 'late'"),
        ("early_exit.epochs", VARIANTS, "unknown variant 'epochs'"),
        ("prune.late", VARIANTS, r"no variant 'late' \(put its options under \[strategy\.prune\.late\]"),
        ("prune.late", {"prune": {"late": {"ratio": 1}}}, r"strategy prune\.late: .*did you mean 'ratios'"),
        ("prune.late", {"prune": {"ratio": 1, "late": {}}}, "did you mean 'ratios'"),
        ("prune.late", {"prune": {"late": {"steps": "x"}}}, r"strategy prune\.late: steps"),
        ("prune.late", {"prune": {"late": {"deep": {"steps": 2}}}}, "unknown option 'deep'"),
        ("prune.", {"prune": {"": {}}}, "'' cannot name a variant"),
        ("prune.a.b", {"prune": {"a.b": {}}}, r"'a\.b' cannot name a variant"),
        ("prune.a b", {"prune": {"a b": {}}}, "'a b' cannot name a variant"),
        ("prune.²", {"prune": {"²": {}}}, "cannot name a variant"),
    ],
)
def test_wrong_names_and_options_are_one_clear_line(name, options, message):
    with pytest.raises(UserError, match=message):
        registry.build(name, options)


def test_third_parties_join_through_entry_points(monkeypatch):
    plug(monkeypatch, registry.STRATEGIES, mine="strategies.quant:Quant")
    assert list(registry.STRATEGIES)[-1] == "mine"
    assert only("mine", {"mine": {"images": 7}}) == Quant(images=7)
    assert [part.strategy for part in registry.parts("prune+mine", {})] == [Prune(), Quant()]


def test_a_third_party_cannot_take_the_name_of_one_of_ours(monkeypatch):
    with pytest.raises(UserError, match="two packages bring the strategy 'prune': exitbench and"):
        plug(monkeypatch, registry.STRATEGIES, prune="strategies.quant:Quant")


def test_every_strategy_of_ours_is_there_and_said_in_one_line():
    assert all(hasattr(kind, "apply") for kind in registry.STRATEGIES.all().values())
    assert all(0 < len(entry.summary) < 80 for entry in registry.STRATEGIES.entries() if entry.origin == OURS)


def test_an_option_is_known_by_its_older_name_too_also_in_a_variant():
    asked = {"every": 0, "patches": False}
    for key in ("lessons", "auxiliary_losses"):
        assert only("baseline", {"baseline": {key: asked}}).auxiliary_losses == asked
    of_variant = only("baseline.long", {"baseline": {"long": {"lessons": asked}, "lessons": {}}})
    assert of_variant.auxiliary_losses == asked
    with pytest.raises(UserError, match=r"auxiliary_losses is given twice .*leave out its older name"):
        registry.build("baseline", {"baseline": {"auxiliary_losses": asked, "lessons": asked}})


def test_a_strategy_without_options_to_read_is_one_clear_line(monkeypatch):
    class Plain:
        def apply(self, start, *, fit, score, train, val, seed):
            return [start]

    bring(monkeypatch, registry.STRATEGIES, plain=Plain)
    with pytest.raises(UserError, match="strategy plain: Plain is no dataclass"):
        registry.build("plain", {})


@dataclass(frozen=True)
class Exits:
    """A made-up strategy that gives a detector exits, and amounts to `short` where everybody leaves at an inner one."""

    def apply(self, start, *, fit, score, train, val, seed):
        return [Candidate("exits", "x", start.detector, stopped_name="short")]


def stopped(name: str) -> list[str]:
    start = Candidate("baseline", "tuned", None)
    made = registry.build(name, {}).apply(start, fit=None, score=None, train=None, val=None, seed=0)
    return [one.stopped_name for one in made]


def test_every_part_of_a_composition_says_what_it_amounts_to_when_stopped(monkeypatch):
    """`first` copies what it is given, name and all, as `quant` does; `other` says nothing of the kind."""

    class Other(Step):
        def apply(self, start, *, fit, score, train, val, seed):
            return [Candidate("other", "y", start.detector)]

    bring(monkeypatch, registry.STRATEGIES, step=Step, exits=Exits, other=Other)
    assert stopped("exits") == ["short"]
    assert stopped("exits+step") == ["short+step"]
    assert stopped("step+exits+step") == ["step+short+step"]
    assert stopped("exits+other") == ["short+other"]
    assert stopped("other+exits") == ["other+short"]
