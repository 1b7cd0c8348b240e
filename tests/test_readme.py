"""The README's tables and the studies' own pages are what the committed records say, to the letter."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STUDIES = sorted(path.parent.name for path in (ROOT / "results/reference").glob("*/records"))


@pytest.fixture(scope="module")
def publish():
    found = importlib.util.spec_from_file_location("publish", ROOT / "results/publish.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", STUDIES)
def test_the_table_is_generated_from_the_records(name, publish):
    assert publish.block(name) in (ROOT / "README.md").read_text()
    assert publish.page(name) == (ROOT / "results/reference" / name / "README.md").read_text()


def test_there_is_a_reference_study():
    assert STUDIES
