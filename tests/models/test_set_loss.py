"""Set prediction: the assignment against brute force, GIoU against torchvision, the loss against transformers'."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import generalized_box_iou
from transformers import YolosConfig
from transformers.loss.loss_for_object_detection import ForObjectDetectionLoss

from models.detector import Targets
from models.matching import BACKGROUND, IGNORED
from models.set_loss import CLASS, GIOU, L1, SetLoss, UnitBoxes, centred, corners, hungarian, pairwise_giou, select


def boxes(count: int, seed: int) -> torch.Tensor:
    """x1 y1 x2 y2 [count, 4] in the unit square."""
    generator = torch.Generator().manual_seed(seed)
    middle = torch.rand(count, 2, generator=generator) * 0.6 + 0.2
    half = torch.rand(count, 2, generator=generator) * 0.15 + 0.03
    return torch.cat([middle - half, middle + half], dim=1)


def answer(queries: int, classes: int, seed: int):
    generator = torch.Generator().manual_seed(seed + 1000)
    return torch.randn(1, queries, 1 + classes, generator=generator), centred(boxes(queries, seed + 1))[None]


def targets(count: int, classes: int, seed: int, crowd: int = 0) -> Targets:
    labels = torch.arange(count) % classes + 1
    return Targets(boxes(count, seed)[None], labels[None], (torch.arange(count) >= count - crowd)[None])


def total(raw, truth: Targets, owner) -> float:
    """What an assignment {query: object} costs, written out."""
    probability = raw[0][0].softmax(-1)
    cost = 0.0
    for query, index in owner.items():
        box, goal = raw[1][0, query], truth.boxes[0, index]
        cost -= CLASS * float(probability[query, truth.labels[0, index]])
        cost += L1 * float((box - centred(goal)).abs().sum())
        cost -= GIOU * float(generalized_box_iou(corners(box)[None], goal[None]))
    return cost


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_no_assignment_is_cheaper(seed, count):
    raw, truth = answer(5, 3, seed), targets(count, 3, seed)
    owner = hungarian(raw, truth)[0]
    assert sorted(owner[owner >= 0].tolist()) == list(range(count))
    found = total(raw, truth, {query: int(index) for query, index in enumerate(owner) if index >= 0})
    best = min(
        total(raw, truth, dict(zip(chosen, range(count), strict=True))) for chosen in permutations(range(5), count)
    )
    assert found == pytest.approx(best, abs=1e-5)


def test_giou_is_torchvisions():
    mine, others = boxes(7, 0), boxes(4, 1)
    found, covered = pairwise_giou(mine[None], others[None])
    assert torch.allclose(found[0], generalized_box_iou(mine, others), atol=1e-6)
    inside, _ = pairwise_giou(mine[None, :1], mine[None, :1])
    assert inside.item() == pytest.approx(1.0)
    assert ((covered >= 0) & (covered <= 1)).all()


def test_queries_in_a_crowd_are_not_blamed():
    truth = Targets(torch.tensor([[[0.0, 0.0, 0.5, 0.5]]]), torch.ones(1, 1, dtype=torch.long), torch.ones(1, 1) > 0)
    code = torch.tensor([[[0.2, 0.2, 0.2, 0.2], [0.8, 0.8, 0.2, 0.2]]])
    assert hungarian((torch.zeros(1, 2, 2), code), truth)[0].tolist() == [IGNORED, BACKGROUND]


def test_without_objects_everything_is_background():
    raw = answer(4, 2, 0)
    nothing = Targets(torch.zeros(1, 0, 4), torch.zeros(1, 0, dtype=torch.long), torch.zeros(1, 0, dtype=torch.bool))
    assert (hungarian(raw, nothing) == BACKGROUND).all()
    (losses,) = SetLoss()([raw], nothing)
    assert losses["l1"] == losses["giou"] == 0
    assert losses["class"] > 0


@pytest.mark.parametrize("seed", [0, 1])
def test_the_loss_is_transformers(seed):
    """Theirs has "no object" last and labels from 0, and divides classes by the sum of the weights: 4 + 0.1 * 5."""
    raw, truth = answer(9, 3, seed), targets(4, 3, seed)
    config = YolosConfig(num_labels=3, auxiliary_loss=False)
    logits = torch.cat([raw[0][..., 1:], raw[0][..., :1]], dim=-1)
    labels = [{"class_labels": truth.labels[0] - 1, "boxes": centred(truth.boxes[0])}]
    _, theirs, _ = ForObjectDetectionLoss(logits, labels, torch.device("cpu"), raw[1], config)
    (ours,) = SetLoss(no_object=config.eos_coefficient)([raw], truth)
    assert ours["class"].item() == pytest.approx(theirs["loss_ce"].item() * 4.5 / 4, rel=1e-4)
    assert ours["l1"].item() == pytest.approx(L1 * theirs["loss_bbox"].item(), rel=1e-4)
    assert ours["giou"].item() == pytest.approx(GIOU * theirs["loss_giou"].item(), rel=1e-4)


def test_a_student_that_says_what_its_teacher_says_has_nothing_to_learn():
    raw, other = answer(6, 2, 0), answer(6, 2, 7)
    loss = SetLoss()
    assert sum(loss.distil(raw, raw).values()).item() == pytest.approx(0, abs=1e-5)
    assert all(part > 0 for part in loss.distil(raw, other).values())


def test_only_the_better_of_two_like_answers_stays():
    probabilities = torch.tensor([[0.1, 0.2, 0.1, 1.0], [0.9, 0.8, 0.1, 0.0], [0.0, 0.0, 0.8, 0.0]])
    code = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.5, 0.5, 0.39, 0.4], [0.5, 0.5, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1]])
    found = select(probabilities, code, UnitBoxes())
    assert found.labels.tolist() == [1, 2]
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])
    assert np.allclose(found.boxes, UnitBoxes()(code[[0, 2]]).numpy())
