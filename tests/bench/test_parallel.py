"""Results come in order, from several threads, and what has not begun is never done after an interruption."""

import threading
import time

import pytest

from bench.parallel import cores, each


def test_results_come_in_order_from_several_threads():
    seen = set()

    def slow_first(number):
        seen.add(threading.get_ident())
        time.sleep(0.02 if number == 0 else 0.001)
        return number * 2

    assert list(each("doubling", slow_first, range(20), 3)) == [2 * number for number in range(20)]
    assert 1 < len(seen) <= 3


def test_an_interruption_does_not_wait_for_the_rest():
    begun = []

    def interrupted(number):
        begun.append(number)
        time.sleep(0.01)
        if number == 1:
            raise KeyboardInterrupt
        return number

    with pytest.raises(KeyboardInterrupt):
        list(each("counting", interrupted, range(1000), 2))
    assert len(begun) < 100


def test_there_is_a_core():
    assert cores() >= 1
