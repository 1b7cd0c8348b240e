"""What is stored comes back as it was, and a file that is missing or broken is named."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.exits.path_costs import CriterionCost, PathCosts
from bench.measure.execution import same
from bench.measure.exit_table import ExitTable
from bench.measure.store import load_path_costs, load_table, save_path_costs, save_table, stored_detectors
from models.detector import Detections
from models.errors import UserError

PATH_COSTS = PathCosts(
    (10, 20),
    (1.5, 2.25),
    {"margin": CriterionCost((0.1,), (0.2,)), "learned": CriterionCost((0.3,), (0.1 + 0.2,))},
    (0.25, 0.0),
)


def made(images: int, exits: int, most: int, seed: int = 0, role: str = "val") -> ExitTable:
    """Random answers: up to `most` detections per image and exit; health may be infinite."""
    rng = np.random.default_rng(seed)

    def answer() -> Detections:
        count = int(rng.integers(0, most + 1))
        parts = rng.random((count, 5), np.float32) * 640
        return Detections(parts[:, :4].copy(), parts[:, 4].copy(), rng.integers(1, 91, count))

    detections = [[answer() for _ in range(images)] for _ in range(exits)]
    scores = {"margin": rng.random((images, exits)), "agreement": np.full((images, exits), -np.inf)}
    health = {"offset": np.where(rng.random((images, exits)) < 0.3, np.inf, 0.5)}
    ids = tuple(rng.permutation(10**6)[:images].tolist())
    return ExitTable(role, f"hash{seed}", ids, detections, scores, health, rng.random((images, exits, 3)))


def assert_same(one: ExitTable, other: ExitTable) -> None:
    assert (one.role, one.split_hash, one.image_ids) == (other.role, other.split_hash, other.image_ids)
    assert one.exits == other.exits
    for mine, theirs in zip(one.detections, other.detections, strict=True):
        assert all(same(a, b) for a, b in zip(mine, theirs, strict=True))
        assert all(a.labels.dtype == b.labels.dtype for a, b in zip(mine, theirs, strict=True))
    for mine, theirs in ((one.scores, other.scores), (one.health, other.health)):
        assert list(mine) == list(theirs)
        for name in mine:
            assert mine[name].dtype == theirs[name].dtype
            np.testing.assert_array_equal(mine[name], theirs[name])


@settings(max_examples=25)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 4), st.integers(0, 10**6))
def test_a_table_comes_back_bit_by_bit(tmp_path_factory, images, exits, most, seed):
    folder = tmp_path_factory.mktemp("store")
    table = made(images, exits, most, seed)
    save_table(table, folder)
    assert_same(load_table(folder, "val"), table)


def test_both_tables_and_the_prices_lie_side_by_side(tmp_path):
    folder = tmp_path / "tables" / "early_exit-b8-12-openvino"
    val, test = made(4, 3, 2, role="val"), made(5, 3, 2, seed=1, role="test")
    for one in (val, test):
        save_table(one, folder)
    save_path_costs(PATH_COSTS, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["prices.json", "test.npz", "val.npz"]
    assert_same(load_table(folder, "val"), val)
    assert_same(load_table(folder, "test"), test)
    assert load_path_costs(folder) == PATH_COSTS
    assert stored_detectors(tmp_path) == [folder]


def test_costs_and_tables_under_their_first_keys_are_read(tmp_path):
    """As runs stored them before the names changed."""
    text = {"flops": [10, 20], "ms": [1.5, 2.25], "mixing": [0.25, 0.0]}
    text["looks"] = {
        "margin": {"staying": [0.1], "leaving": [0.2]},
        "learned": {"staying": [0.3], "leaving": [0.1 + 0.2]},
    }
    (tmp_path / "prices.json").write_text(json.dumps(text))
    assert load_path_costs(tmp_path) == PATH_COSTS
    table = made(4, 3, 2)
    save_table(table, tmp_path)
    with np.load(tmp_path / "val.npz") as file:
        np.savez(tmp_path / "val.npz", **{name.replace("health/", "vital/"): file[name] for name in list(file.files)})
    assert_same(load_table(tmp_path, "val"), table)


def test_what_was_stored_before_is_replaced(tmp_path):
    save_table(made(4, 3, 2), tmp_path)
    save_table(made(2, 2, 1, seed=5), tmp_path)
    assert_same(load_table(tmp_path, "val"), made(2, 2, 1, seed=5))


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match=r"val\.npz: no exit table.*run the benchmark again"):
        load_table(tmp_path, "val")
    with pytest.raises(UserError, match=r"prices\.json: no path costs"):
        load_path_costs(tmp_path)
    with pytest.raises(UserError, match="holds no exit tables"):
        stored_detectors(tmp_path)


def broken(whole: bytes) -> dict[str, bytes]:
    middle = len(whole) // 2

    def garbled(start: int) -> bytes:
        return whole[:start] + bytes(255 - byte for byte in whole[start : start + 40]) + whole[start + 40 :]

    return {
        "empty": b"",
        "no archive": b"not an archive at all",
        "cut short": whole[:middle],
        "garbled at the start": garbled(200),
        "garbled in the middle": garbled(middle),
        "garbled at the end": garbled(len(whole) - 60),
    }


@pytest.mark.parametrize("how", broken(b""))
def test_a_broken_table_is_named(tmp_path, how):
    save_table(made(40, 3, 9), tmp_path)
    path = tmp_path / "val.npz"
    path.write_bytes(broken(path.read_bytes())[how])
    with pytest.raises(UserError, match=r"val\.npz: not an exit table"):
        load_table(tmp_path, "val")


@pytest.mark.parametrize("arrays", [{"split_hash": np.array("h")}, {}])
def test_an_archive_of_something_else_is_no_table(tmp_path, arrays):
    np.savez(tmp_path / "val.npz", **arrays)
    with pytest.raises(UserError, match=r"val\.npz: not an exit table"):
        load_table(tmp_path, "val")


def test_a_single_array_is_no_table(tmp_path):
    np.save(tmp_path / "val.npy", np.zeros(3))
    (tmp_path / "val.npy").rename(tmp_path / "val.npz")
    with pytest.raises(UserError, match=r"val\.npz: not an exit table"):
        load_table(tmp_path, "val")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        '{"flops": [1], "ms": [1], "criterion_costs": [], "switch_cost": []}',
        '{"flops": 1, "ms": [1], "criterion_costs": {}, "switch_cost": []}',
        '{"flops": [1], "ms": [1], "looks": {"m": {"staying": [1]}}, "mixing": []}',
        '{"flops": [1], "ms": [1], "looks": {"m": 3}, "mixing": []}',
    ],
)
def test_broken_prices_are_named(tmp_path, text):
    (tmp_path / "prices.json").write_text(text)
    with pytest.raises(UserError, match=r"prices\.json: not (JSON|path costs)"):
        load_path_costs(tmp_path)
