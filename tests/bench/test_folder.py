"""A run's folder is found by name or path, and is claimed by one spec."""

import json

import pytest
from pydantic import BaseModel, Field

from bench.folder import claim, find
from bench.spec import RunSpec
from models.errors import UserError


class Spec(BaseModel):
    seed: int = 0
    widths: dict[str, object] = Field({}, validation_alias="breadths")


def test_a_run_is_found_by_path_or_by_name(tmp_path):
    (tmp_path / "mine").mkdir()
    assert find(tmp_path / "mine", "elsewhere") == tmp_path / "mine"
    assert find("mine", tmp_path) == tmp_path / "mine"
    assert find("yours", tmp_path) == tmp_path / "yours"


def test_a_folder_with_nothing_in_it_is_as_good_as_none(tmp_path):
    claim(tmp_path / "run", Spec(seed=0), resume=False)
    (tmp_path / "run" / "splits.json").write_text("{}")
    claim(tmp_path / "run", Spec(seed=1), resume=False)
    assert Spec.model_validate_json((tmp_path / "run" / "spec.json").read_text()).seed == 1
    assert not (tmp_path / "run" / "splits.json").exists()


@pytest.mark.parametrize("part", ["checkpoints", "records"])
def test_a_folder_with_work_in_it_is_kept(tmp_path, part):
    claim(tmp_path, Spec(seed=0), resume=False)
    (tmp_path / part).mkdir()
    with pytest.raises(UserError, match="exists already"):
        claim(tmp_path, Spec(seed=0), resume=False)
    with pytest.raises(UserError, match="other settings"):
        claim(tmp_path, Spec(seed=1), resume=True)
    claim(tmp_path, Spec(seed=0), resume=True)
    (tmp_path / "spec.json").write_text("{")
    with pytest.raises(UserError, match=r"spec\.json: not JSON.*another --name"):
        claim(tmp_path, Spec(seed=0), resume=True)


def test_a_spec_under_older_names_or_with_tuples_is_the_same_spec(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "spec.json").write_text('{"breadths": {"head": [16, 24]}}')
    claim(tmp_path, Spec(breadths={"head": (16, 24)}), resume=True)
    assert '"widths"' in (tmp_path / "spec.json").read_text()


def test_a_run_started_under_older_keys_can_be_resumed(tmp_path):
    (tmp_path / "records").mkdir()
    options = {"prune": {"rate": 0.5, "late": {"decay": 0.9}}}
    older = RunSpec(name="x", threads=2, strategy=options).model_dump(mode="json")
    older |= {"batch": older.pop("batch_size"), "strategy": options}
    (tmp_path / "spec.json").write_text(json.dumps(older))
    renamed = {"prune": {"learning_rate": 0.5, "late": {"layer_decay": 0.9}}}
    with pytest.raises(UserError, match="other settings"):
        claim(tmp_path, RunSpec(name="x", threads=2, strategy=renamed, batch_size=17), resume=True)
    claim(tmp_path, RunSpec(name="x", threads=2, strategy=renamed), resume=True)
    assert json.loads((tmp_path / "spec.json").read_text())["strategy"] == renamed
