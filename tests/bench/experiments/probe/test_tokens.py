"""Tokens: which are of objects, how well planted ones are told apart, and what is drawn of them."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from bench.experiments.probe import tokens
from bench.experiments.probe.features import BACKGROUND, NEITHER, OBJECT, PER_IMAGE, PositionFeatures, kinds, sampled
from bench.experiments.probe.tokens import cloud, principal, separation, unseen_scores
from models.detector import Targets
from models.errors import UserError


def planted(lift: float, images: int = 30, channels: int = 20, each: int = 6, seed: int = 5) -> PositionFeatures:
    """Unit normals, of which those of objects are `lift` away along the diagonal; places say nothing."""
    rng = np.random.default_rng(seed)
    kind = np.tile(np.repeat([OBJECT, BACKGROUND], each), images)
    image = np.repeat(np.arange(images), 2 * each)
    values = rng.normal(size=(len(kind), channels)).astype(np.float32)
    values[kind == OBJECT] += lift / channels**0.5
    place = rng.random((len(kind), 2)).astype(np.float32)
    return PositionFeatures(torch.zeros(images, 4, 4), channels, values, kind, image, place)


def test_tokens_that_differ_are_told_apart():
    found = separation(planted(20), 200, 0)
    assert found.auc == 1
    assert found.interval == (1, 1)
    assert found.place < 0.6


def test_noise_is_not():
    found = [separation(planted(0, seed=seed), 100, 0).auc for seed in range(6)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)  # of one such table the deviation is 0.036


def test_two_normals_have_the_area_that_theory_says():
    found = separation(planted(1.5, images=100, channels=2), 300, 0)
    assert found.auc == pytest.approx(0.856, abs=0.02)  # Phi(1.5 / sqrt(2))


def test_the_area_is_that_of_the_unseen_scores():
    seen = planted(1)
    scores = unseen_scores(seen.tokens, seen.kind, seen.image)
    assert separation(seen, 100, 0).auc == pytest.approx(roc_auc_score(seen.kind, scores))


def test_a_scale_of_a_channel_changes_nothing():
    seen = planted(1)
    stretched = seen.tokens * np.float32(10) ** np.arange(-4, 16, dtype=np.float32)
    scores = unseen_scores(stretched, seen.kind, seen.image)
    assert roc_auc_score(seen.kind, scores) == pytest.approx(separation(seen, 100, 0).auc, abs=1e-3)


def test_objects_at_one_side_are_found_by_place_alone():
    seen = planted(0)
    seen.place[seen.kind == OBJECT] *= 0.5
    assert separation(seen, 100, 0).place > 0.8


def test_too_few_images_say_nothing():
    assert separation(planted(5, images=4), 100, 0) is None
    assert cloud(planted(5, images=1, each=2), 0) is None


def test_principal_components_hold_the_variance():
    rng = np.random.default_rng(0)
    line = rng.normal(size=(50, 1)) @ np.ones((1, 5)) * [1, 10, 100, 1, 1]
    found, shares = principal(line, 2)
    assert found.shape == (50, 2)
    assert shares == pytest.approx((1, 0), abs=1e-9)


def test_a_cloud_keeps_kinds_beside_their_points(monkeypatch):
    monkeypatch.setattr(tokens, "DRAWN", 60)
    drawn = cloud(planted(20), 0)
    assert drawn.pca.shape == drawn.tsne.shape == (60, 2)
    for plane in (drawn.pca, drawn.tsne):
        away = [np.linalg.norm(plane - plane[drawn.kind == kind].mean(0), axis=1) for kind in (OBJECT, BACKGROUND)]
        assert np.mean((away[0] < away[1]) == (drawn.kind == OBJECT)) > 0.95


def test_cells_are_of_what_their_centre_is_in():
    box = torch.tensor([[[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.2, 0.2], [0.0, 0.0, 0.0, 0.0]]])
    targets = Targets(box, torch.tensor([[1, 1, 2, 0]]), torch.tensor([[False, True, True, False]]))
    found = kinds(targets, 4).view(4, 4)
    assert (found[:2, :2] == OBJECT).all()  # of which one is in a crowd too
    assert (found[2:, 2:] == NEITHER).all()
    assert (found[:2, 2:] == BACKGROUND).all()


def test_as_many_of_either_kind_are_drawn_from_each_image():
    box = torch.tensor([[[0.0, 0.0, 0.25, 0.5]], [[0.0, 0.0, 1.0, 0.75]], [[0.0, 0.0, 1.0, 1.0]]])
    targets = Targets(box, torch.ones(3, 1, dtype=torch.long), torch.zeros(3, 1, dtype=torch.bool))
    numbered = torch.arange(64.0).view(1, 1, 8, 8).expand(3, 2, 8, 8)
    rows = sampled(numbered, targets, [7, 8, 9], 0)
    assert [len(kind) for _, kind, _, _ in rows] == [2 * 8, 2 * PER_IMAGE, 0]
    for (cells, kind, image, place), number, shown in zip(rows, (7, 8, 9), kinds(targets, 8), strict=True):
        at = cells[:, 0].astype(int)
        assert (shown.numpy()[at] == kind).all()
        assert len(set(at)) == len(at)
        assert (image == number).all()
        assert np.allclose(place, np.stack([at % 8 + 0.5, at // 8 + 0.5], axis=1) / 8)


def test_without_scikit_learn_there_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(tokens.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'exitbench\[probe\]'"):
        tokens.check()
