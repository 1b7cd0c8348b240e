"""What the baseline is, loaded or from scratch."""

from strategies.baseline import Baseline
from tests.support.toys import apply


def test_a_loaded_baseline_is_returned_untouched_and_tuned():
    made, calls = apply(Baseline(epochs=1, learning_rate=1e-3, start="weights"))
    assert [one.variant for one in made] == ["loaded", "tuned"]
    assert made[0].detector is not made[1].detector
    assert len(calls) == 1


def test_a_baseline_from_scratch_is_one_candidate_and_inherits_nothing():
    made, calls = apply(Baseline(epochs=1, learning_rate=1e-3, start="scratch"))
    assert [one.variant for one in made] == ["trained"]
    assert calls[0]["inherited"] == set()
