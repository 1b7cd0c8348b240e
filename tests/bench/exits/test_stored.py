"""The policy of a record sends images where the record says."""

import math

import numpy as np
import pytest

from bench.exits.policy import Policy, static
from bench.exits.stored import load_policy, routing
from bench.records import Record
from models.errors import UserError
from tests.support.made import STORED, always


@pytest.mark.parametrize("exit", [0, 1])
def test_a_static_point_always_takes_its_exit(tmp_path, exit):
    assert load_policy(Record.model_validate({**STORED, **always(exit)}), tmp_path) == static(exit, 2)


def test_a_criterion_without_weights_needs_no_file(tmp_path):
    record = Record.model_validate(STORED)
    assert load_policy(record, tmp_path) == Policy("max_score", (0.62,))
    never = {**STORED["operating_point"], "thresholds": [None]}
    policy = load_policy(Record.model_validate({**STORED, "operating_point": never}), tmp_path)
    assert policy == Policy("max_score", (math.inf,))
    assert policy.route(np.ones((3, 2))).tolist() == [1, 1, 1]


def test_a_criterion_that_is_not_installed_is_named(tmp_path):
    theirs = {**STORED["operating_point"], "criterion": "max_scores"}
    with pytest.raises(UserError, match=r"max_scores.*did you mean 'max_score'"):
        load_policy(Record.model_validate({**STORED, "operating_point": theirs}), tmp_path)


def test_an_exit_table_routes_a_learned_criterion_without_its_weights():
    learned = {**STORED["operating_point"], "criterion": "learned"}
    policy = routing(Record.model_validate({**STORED, "operating_point": learned}))
    assert policy.route(np.array([[0.7, 0.0], [0.5, 0.0]])).tolist() == [0, 1]
