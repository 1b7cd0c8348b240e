"""Links in the README and the docs lead to files, and to headings in them; what is named as a file is there."""

import re

import pytest

from tests.support.pages import PAGES, ROOT, anchors, links, name, prose

OURS = re.compile(r"`((?:bench|strategies|models|tests|docs|results|benchmarks)/[\w./+-]*)`")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page):
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_exist(page):
    named = OURS.findall(prose(page))
    assert not [
        path for path in named if not path.startswith(("results/runs", "results/data")) and not (ROOT / path).exists()
    ]


def test_every_page_is_in_the_index():
    index = ROOT / "docs/index.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert {page for page in PAGES if page.parent == index.parent} - {index} <= listed


def test_headings_are_named_as_github_does(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# What `it` is: a [link](x.md), isn't it?\n```sh\n# no heading\n```\n## Two  (2)\n")
    assert anchors(page) == {"what-it-is-a-link-isnt-it", "two--2"}
