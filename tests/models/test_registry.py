"""A registry imports nothing before it is asked, refuses what is ambiguous, and says what a name was meant to be."""

import sys
from importlib.metadata import EntryPoint

import pytest

from models import registry as module
from models.errors import UserError
from models.registry import Registry


@pytest.fixture
def points(monkeypatch):
    """Entry points that are there, as other packages would bring them."""
    found: list[EntryPoint] = []
    monkeypatch.setattr(module, "entry_points", lambda group: [point for point in found if point.group == group])
    return found


def tools() -> Registry:
    ours = {"fractions": ("fractions:Fraction", "ratios"), "here": (len, "counts"), "whole": ("colorsys", "a module")}
    return Registry("tool", "exitbench.tools", "--tool", ours)


def test_nothing_is_imported_before_it_is_asked_for(points):
    sys.modules.pop("colorsys", None)
    found = tools()
    assert list(found) == ["fractions", "here", "whole"]
    assert [entry.summary for entry in found.entries()] == ["ratios", "counts", "a module"]
    assert "colorsys" not in sys.modules
    assert found.get("whole").__name__ == "colorsys"
    assert found.get("here") is len
    assert found.get("fractions")(1, 2) + found.get("fractions")(1, 2) == 1


def test_an_unknown_name_is_answered_with_the_nearest(points):
    with pytest.raises(UserError, match=r"--tool: unknown tool 'fraction' \(did you mean 'fractions'\? known: "):
        tools().get("fraction")


def test_other_packages_bring_theirs(points):
    points.append(EntryPoint("theirs", "math:sqrt", "exitbench.tools"))
    points.append(EntryPoint("elsewhere", "math:sin", "exitbench.others"))
    found = tools()
    assert list(found)[-1] == "theirs"
    assert found.get("theirs")(9) == 3
    assert "elsewhere" not in found


def test_a_name_that_is_taken_is_refused(points):
    points.append(EntryPoint("here", "math:sqrt", "exitbench.tools"))
    with pytest.raises(UserError, match="two packages bring the tool 'here': exitbench and an unnamed package"):
        tools().get("fractions")
    points.clear()
    with pytest.raises(UserError, match="'here': exitbench and this session"):
        tools().add("here", max)


def test_a_package_that_cannot_be_loaded_is_named(points):
    points.append(EntryPoint("theirs", "no_such_module:x", "exitbench.tools"))
    with pytest.raises(UserError, match="no_such_module:x: the tool 'theirs' of an unnamed package cannot be loaded"):
        tools().get("theirs")


def test_after_the_start_nothing_joins(points):
    found = tools()
    found.add("more", max, "the largest")
    assert found.get("more") is max
    assert found.entries()[-1].origin == "this session"
    found.freeze()
    with pytest.raises(UserError, match="'late' comes too late"):
        found.add("late", min)
