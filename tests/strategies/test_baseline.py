"""What the baseline is and by which schedule it is trained, by what it starts from."""

import pytest
from torch import nn

from models.errors import UserError
from strategies import registry
from strategies.baseline import Baseline
from tests.support.toys import apply

TABLES = {
    "epochs": 1,
    "learning_rate": 1e-5,
    "new_classes": {"epochs": 20, "learning_rate": 1e-3},
    "from_scratch": {"epochs": 60},
}


def built(start: str, **options) -> Baseline:
    (part,) = registry.parts("baseline", {"baseline": {**options, "start": start}})
    return part.strategy


def test_a_loaded_baseline_is_returned_untouched_and_tuned():
    made, calls = apply(Baseline(epochs=1, learning_rate=1e-3, start="weights"))
    assert [one.variant for one in made] == ["loaded", "tuned"]
    assert made[0].detector is not made[1].detector
    assert len(calls) == 1


@pytest.mark.parametrize("start", ["scratch", "trunk"])
def test_a_baseline_whose_heads_are_all_new_is_one_candidate_and_inherits_nothing(start):
    made, calls = apply(Baseline(epochs=1, learning_rate=1e-3, start=start))
    assert [one.variant for one in made] == ["trained"]
    assert calls[0]["inherited"] == set()


def test_a_baseline_with_new_classes_is_one_candidate_whose_batch_norm_rests():
    made, calls = apply(Baseline(epochs=1, learning_rate=1e-3, start="new classes"))
    assert [one.variant for one in made] == ["trained"]
    assert {part for part in made[0].detector.modules() if isinstance(part, nn.BatchNorm2d)} <= calls[0]["inherited"]


@pytest.mark.parametrize(
    ("start", "epochs", "learning_rate"),
    [("weights", 1, 1e-5), ("trunk", 1, 1e-5), ("new classes", 20, 1e-3), ("scratch", 60, 1e-5)],
)
def test_every_start_has_the_schedule_of_its_table(start, epochs, learning_rate):
    made, (call,) = apply(built(start, **TABLES))
    assert (call["epochs"], call["learning_rate"]) == (epochs, learning_rate)
    assert made[-1].note.startswith(f"trained {epochs} epochs ")


@pytest.mark.parametrize("start", ["weights", "trunk", "new classes", "scratch"])
def test_without_tables_the_plain_options_count(start):
    _, (call,) = apply(built(start, epochs=3, learning_rate=0.5))
    assert (call["epochs"], call["learning_rate"]) == (3, 0.5)


def test_what_cannot_detect_all_classes_has_to_be_trained():
    assert [one.variant for one in apply(built("weights", epochs=0))[0]] == ["loaded"]
    for start in ("scratch", "trunk", "new classes"):
        with pytest.raises(UserError, match="has to be trained"):
            apply(built(start, epochs=0))
    with pytest.raises(UserError, match="has to be trained"):
        apply(built("new classes", epochs=3, new_classes={"epochs": 0}))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"epoch": 3}, r"strategy baseline\.new_classes: unknown option 'epoch' \(did you mean 'epochs'"),
        ({"auxiliary_losses": {}}, "unknown option 'auxiliary_losses'"),
        ({"epochs": "many"}, r"strategy baseline\.new_classes: epochs"),
        (3, "new_classes"),
    ],
)
def test_mistakes_in_a_table_are_one_clear_line_whatever_the_start(table, said):
    with pytest.raises(UserError, match=said) as raised:
        built("weights", new_classes=table)
    assert "\n" not in str(raised.value)


def test_numbers_in_a_table_are_of_their_options_type():
    assert built("weights", new_classes={"epochs": "3", "learning_rate": 1}).new_classes == {
        "epochs": 3,
        "learning_rate": 1.0,
    }
