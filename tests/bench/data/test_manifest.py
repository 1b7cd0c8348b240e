"""The manifest survives JSON and names what differs in a dataset that was rebuilt elsewhere."""

import json

import pytest

from bench.data.manifest import check_manifest, manifest
from bench.data.shapes import shapes
from models.errors import UserError


@pytest.fixture(scope="module")
def small():
    return shapes(0, 4, 2, 3, size=64)


def test_roundtrip_through_json(small):
    stored = json.loads(json.dumps(manifest(small)))
    assert stored["splits"][2] == {"role": "test", "ids": [0, 1, 2], "hash": small.test.hash}
    check_manifest(shapes(0, 4, 2, 3, size=64), stored)


def test_missing_and_extra_ids_are_named(small):
    stored = manifest(small)
    with pytest.raises(UserError, match=r"the train split is not .*: 1 extra ids \(4\)"):
        check_manifest(shapes(0, 5, 2, 3, size=64), stored)
    with pytest.raises(UserError, match=r"the test split is not .*: 2 missing ids \(1, 2\)"):
        check_manifest(shapes(0, 4, 2, 1, size=64), stored)


def test_changed_content_under_the_same_ids(small):
    with pytest.raises(UserError, match=r"train split .* same ids, but boxes, labels or images have changed"):
        check_manifest(shapes(1, 4, 2, 3, size=64), manifest(small))


def test_other_order(small):
    stored = manifest(small)
    stored["splits"][1] = {"role": "val", "ids": [1, 0], "hash": "other"}
    with pytest.raises(UserError, match=r"val split .* the same ids in another order"):
        check_manifest(small, stored)


def test_other_classes(small):
    with pytest.raises(UserError, match=r"the manifest has \['person'\]"):
        check_manifest(small, manifest(small) | {"classes": ["person"]})


@pytest.mark.parametrize("broken", [{}, {"classes": [], "splits": []}, {"classes": [], "splits": [3]}, []])
def test_no_manifest_at_all(small, broken):
    with pytest.raises(UserError, match="not a manifest"):
        check_manifest(small, broken)
