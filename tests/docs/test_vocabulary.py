"""One word, one thing: the words that were given up do not come back in the pages (code and file names keep theirs)."""

import re

import pytest

from tests.support.pages import PAGES, name, prose

GIVEN_UP = (
    "lessons?",
    "rivals?",
    "leavers",
    "vitals",
    "prices",
    "foundation gates?",
    "regression gates?",
    "in company",
)
CODE = re.compile(r"`[^`]*`|\]\([^)]*\)|<!-- begin .*?<!-- end [^>]+ -->", re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name)
def test_words_that_were_given_up_do_not_come_back(page):
    text = CODE.sub("", prose(page))
    assert not re.findall(rf"\b(?:{'|'.join(GIVEN_UP)})\b", text, re.IGNORECASE)


def test_the_glossary_explains_the_words_that_pages_use():
    (glossary,) = (page for page in PAGES if page.name == "glossary.md")
    explained = {
        word.strip() for row in re.findall(r"^\| ([^|]+) \|", glossary.read_text(), re.M) for word in row.split(",")
    }
    assert {
        "detector", "exit", "strategy", "operating point", "criterion", "policy", "gate", "alternative", "verdict",
        "foundation check", "regression check", "auxiliary losses", "exit profile", "path costs", "exit health",
        "seeds", "oracle", "random exits", "gate efficiency", "Amdahl's bound", "AUROC", "D-ECE",
    } <= explained  # fmt: skip
