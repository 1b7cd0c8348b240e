"""Examples in the docs are what they seem: specs that a run would take, checks, options that strategies have, code."""

import ast
import inspect
import re
import sys
from dataclasses import fields

import pytest
import yaml

from bench import api
from bench.judge.regression import load_checks
from bench.spec import RunSpec
from strategies import registry
from tests.support.pages import ROOT, blocks

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KINDS = ("strategies", "runtimes", "families", "criteria", "readers", "experiments", "formats")
GROUPS = {f"exitbench.{kind}" for kind in KINDS}
TOML = [pytest.param(text, id=where) for where, text in blocks("toml")]
PYTHON = [pytest.param(text, id=where) for where, text in blocks("python")]


@pytest.mark.parametrize("text", TOML)
def test_toml_is_a_spec_or_data_or_checks_or_entry_points(text, tmp_path):
    table = tomllib.loads(text)
    if "project" in table:
        assert set(table["project"]["entry-points"]) <= GROUPS
    elif table.keys() <= {"floor", "drop"}:
        (tmp_path / "checks.toml").write_text(text)
        assert load_checks(tmp_path / "checks.toml")
    elif "annotations" in table.get("data", {}):
        assert set(table["data"]) == {"name", "images", "annotations", "classes", "max_images_per_class"}
    else:
        spec = RunSpec.model_validate({"name": "x", **table})
        for strategy in {*spec.strategies, *spec.strategy}:
            registry.build(strategy, spec.strategy)


@pytest.mark.parametrize("text", PYTHON)
def test_python_uses_what_the_door_has(text):
    tree = ast.parse(text)
    assert tree.body
    known = {"bench": {"run", "load_run"}, "run": {*dir(api.Run), *(one.name for one in fields(api.Run))}}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.attr in known.get(node.value.id, {node.attr})
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = {"bench": api, "run": api.Run}.get(getattr(node.func.value, "id", ""))
            if owner:
                given = {keyword.arg for keyword in node.keywords}
                assert given <= set(inspect.signature(getattr(owner, node.func.attr)).parameters)


def test_examples_show_the_door():
    assert sum("bench.run(" in text or "bench.load_run(" in text for _, text in blocks("python")) >= 3


@pytest.mark.parametrize("strategy", ["early_exit", "multi_exit_yolos"])
def test_documented_options_are_those_of_the_strategy(strategy):
    page = (ROOT / "docs/strategies.md").read_text()
    section = page.split(f"## Options of `{strategy}`")[1].split("\n## ")[0].split("\n\n")[1]
    named = {option for row in section.splitlines()[2:] for option in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {one.name for one in fields(registry.parts(strategy, {})[0].strategy)}


def test_the_recipe_for_continuous_integration_is_a_workflow():
    (text,) = [text for _, text in blocks("yaml")]
    job = yaml.safe_load(text)["jobs"]["smoke"]
    run = "\n".join(step.get("run", "") for step in job["steps"])
    assert run.index("pipx install") < run.index("bench run --preset smoke") < run.index("bench check smoke --against")
    assert all(("run" in step) != ("uses" in step) for step in job["steps"])


def test_the_citation_holds_what_the_format_asks_for():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cited["cff-version"] == "1.2.0"
    assert cited["message"]
    assert cited["authors"]
    assert all("name" in author or "family-names" in author for author in cited["authors"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", cited["date-released"])
    assert (cited["title"], cited["license"]) == (project["name"], project["license"])


def test_the_changelog_knows_the_version():
    versions = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] in versions
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] in versions
