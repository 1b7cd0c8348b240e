"""The tests lie as the packages do: tests/a/b/test_c.py is about a/b/c.py, or about the package a/b/c."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
ACROSS = {  # about no single module
    "bench/data/test_own_images.py": "a folder of one's own, with classes that the weights lack, to a verdict",
    "bench/data/readers/test_layouts.py": "every layout alike, whoever reads it",
    "bench/runtimes/test_other_family.py": "a family of another kind, from training to the exit table",
    "bench/test_start.py": "what a run starts from, from its weights to the options of its baseline",
    "models/test_checkpoints.py": "that what was trained once loads again, whatever the family",
    "docs/test_commands.py": "that every command the pages show exists",
    "docs/test_examples.py": "that what the pages show can be read",
    "docs/test_links.py": "that links lead somewhere",
    "docs/test_vocabulary.py": "that the pages speak one language",
    "test_install.py": "what is installed is all that a stranger needs",
    "test_intervals.py": "whether the intervals of several modules hold the truth as often as they say",
    "test_mirror.py": "this",
    "test_photographs.py": "the baseline on real photographs, from the data to its mAP",
    "test_readme.py": "what the README promises",
    "test_second_family.py": "the main job on YOLOS, and that the harness names no family",
}
FOUND = sorted(path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py"))


def subject(test: str) -> Path:
    """The module, or the package of that name, that a test file is about."""
    path = ROOT / test
    module = path.with_name(path.name.removeprefix("test_"))
    return module if module.exists() else module.with_suffix("") / "__init__.py"


@pytest.mark.parametrize("test", [test for test in FOUND if test not in ACROSS])
def test_a_test_file_lies_where_its_module_does(test):
    assert subject(test).exists(), f"{test} is about no module of its name: move it, or say in ACROSS what it is about"


def test_what_is_about_no_module_is_there_and_has_none():
    assert all((TESTS / one).exists() for one in ACROSS)
    assert not [test for test in FOUND if test in ACROSS and subject(test).exists()]
