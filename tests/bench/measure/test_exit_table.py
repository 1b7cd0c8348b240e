"""An exit table routes by the scores that it holds, and by no others."""

import numpy as np
import pytest

from bench.exits.policy import Policy, static
from bench.measure.exit_table import ExitTable
from models.errors import UserError

TABLE = ExitTable(
    "val", "h", (1, 2, 3), [[], [], []], {"margin": np.array([[0.9, 0.0, 0], [0.1, 0.8, 0], [0, 0.2, 0]])}
)


def test_each_image_leaves_at_the_first_exit_that_is_sure_enough():
    assert TABLE.route(Policy("margin", (0.5, 0.5))).tolist() == [0, 1, 2]


@pytest.mark.parametrize("exit", [0, 1, 2])
def test_a_static_policy_needs_no_scores(exit):
    assert TABLE.route(static(exit, 3)).tolist() == [exit] * 3


def test_a_criterion_without_scores_is_refused_rather_than_taken_for_nought():
    with pytest.raises(UserError, match=r"val table: the table holds no scores of the criterion 'learned'"):
        TABLE.route(Policy("learned", (0.5, 0.5)))
