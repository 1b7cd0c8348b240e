"""The rule's borders, and what it says."""

import pytest

from bench.experiments.probe.rule import answers, judge, sentences


@pytest.mark.parametrize(
    ("ap50", "answer"),
    [(0.0, "useless"), (0.0499, "useless"), (0.05, "not clear"), (0.20, "not clear"), (0.2001, "feasible")],
)
def test_borders_of_the_first_position(ap50, answer):
    assert judge(ap50, 0.20) == answer


def test_the_second_position_needs_twice_as_much():
    assert answers([0.3, 0.3, 0.9]) == ["feasible", "not clear"]
    assert answers([0.3, 0.41]) == ["feasible", "feasible"]
    assert answers([0.01]) == ["useless"]


def test_sentences_name_positions_numbers_and_the_control():
    first, second, last = sentences(["layer 3", "layer 6", "layer 9"], [0.25, 0.3, 0.5], [0.04, 0.03, 0.02])
    assert "layer 3" in first
    assert "AP50 0.250" in first
    assert "feasible; an untrained trunk reaches 0.040" in first
    assert "not clear" in second
    assert last == "an exit after layer 3 is worth training"
    only, consequence = sentences(["block 6"], [0.01], [])
    assert only.endswith("useless")
    assert "leave block 6 alone" in consequence
