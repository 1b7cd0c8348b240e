"""A bar on a terminal, one line where there is none, and silence about what was quick."""

from io import StringIO
from itertools import pairwise

import pytest
from rich.console import Console

from bench import progress


class Clock:
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def written(monkeypatch):
    """written(terminal): what bars write from here on."""

    def to(terminal: bool) -> StringIO:
        file = StringIO()
        console = Console(file=file, force_terminal=terminal, width=120, color_system=None, highlight=False)
        monkeypatch.setattr(progress, "console", console)
        return file

    return to


def test_a_log_gets_one_line_with_the_seconds_and_the_last_note(clock, written):
    out = written(terminal=False)
    with progress.bar("training [the] heads", 3) as advance:
        for note in ("loss 3.0", "loss 2.0", ""):
            clock.seconds += 1
            advance(note=note)
    assert out.getvalue() == f"  {'training [the] heads':<28}      3 s  loss 2.0\n"


@pytest.mark.parametrize(("seconds", "lines"), [(1.9, 0), (2.0, 1)])
def test_what_takes_less_than_two_seconds_is_not_told(clock, written, seconds, lines):
    out = written(terminal=False)
    with progress.bar("decoding", 1) as advance:
        clock.seconds += seconds
        advance()
    assert out.getvalue().count("\n") == lines


def test_what_was_broken_off_is_not_said_to_be_done(clock, written):
    out = written(terminal=False)
    with pytest.raises(KeyboardInterrupt), progress.bar("training", 2) as advance:
        clock.seconds += 10
        advance()
        raise KeyboardInterrupt
    assert out.getvalue() == ""


def test_a_long_label_is_cut_so_that_columns_stand_below_each_other(clock, written):
    out = written(terminal=False)
    for label in ("x" * 40, "short"):
        with progress.bar(label, 1):
            clock.seconds += 5
    first, second = out.getvalue().splitlines()
    assert first.startswith("  " + "x" * 28 + " ")
    assert first.index("5 s") == second.index("5 s")


def test_a_terminal_sees_how_far_it_is(clock, written):
    out = written(terminal=True)
    with progress.bar("training", 4) as advance:
        clock.seconds += 1
        advance(3, note="loss 1.5")
    assert "3/4" in out.getvalue()
    assert "loss 1.5" in out.getvalue()


def test_it_is_drawn_by_its_caller_and_at_most_five_times_a_second(clock, written, monkeypatch):
    """A thread that draws would disturb what is timed meanwhile."""
    written(terminal=True)
    drawn, made = [], progress.Progress

    def recorded(*columns, **options):
        one = made(*columns, **options)
        assert not one.live.auto_refresh
        monkeypatch.setattr(one, "refresh", lambda: drawn.append(clock.seconds))
        return one

    monkeypatch.setattr(progress, "Progress", recorded)
    with progress.bar("timing", 100) as advance:
        drawn.clear()
        for _ in range(100):
            clock.seconds += 0.05
            advance()
    apart = [after - before for before, after in pairwise(drawn)]
    assert 15 <= len(drawn) <= 26
    assert min(apart[:-1]) > 0.2
