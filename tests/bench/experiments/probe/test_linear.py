"""The linear probe finds what is linear in its input, finds nothing in noise, and never moves the trunk."""

import pytest
import torch

from bench.accuracy.coco import ground_truth
from bench.accuracy.matching import match
from bench.experiments.probe.control import untrained
from bench.experiments.probe.linear import First, LinearProbe, fit, linear, measure, probed
from bench.train.batches import Batches
from bench.train.fit import Trainer
from models.detector import Targets
from models.matching import labels_of
from models.patches import PatchBoxes, nearest_inside
from models.ssdlite.inspector import after_blocks
from models.ssdlite.network import ssdlite
from models.yolos.network import scratch
from tests.support.small import data

SIDE, IMAGES, CLASSES = 8, 24, 2


def scenes() -> Targets:
    """Two boxes an image, one in either half, a class each."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(IMAGES, 2, 2, generator=generator) * torch.tensor([0.1, 0.4]) + 0.05
    extent = torch.rand(IMAGES, 2, 2, generator=generator) * torch.tensor([0.15, 0.3]) + 0.2
    boxes = torch.cat([corner, corner + extent], dim=-1)
    boxes[:, 1, 0::2] += 0.5
    labels = torch.randint(1, 1 + CLASSES, (IMAGES, 2), generator=generator)
    return Targets(boxes, labels, torch.zeros(IMAGES, 2, dtype=torch.bool))


def told(targets: Targets) -> torch.Tensor:
    """Cells [N, P, 16] that say linearly of which class they are and how far away the sides of their object are."""
    decode = PatchBoxes(SIDE)
    owner = nearest_inside(decode.centres, SIDE, targets)
    mine = (owner >= 0)[..., None]
    kind = torch.nn.functional.one_hot(labels_of(owner, targets), 1 + CLASSES).float()
    box = targets.boxes.gather(1, owner.clamp(min=0)[..., None].expand(-1, -1, 4))
    reach = torch.cat([decode.centres - box[..., :2], box[..., 2:] - decode.centres], dim=-1)
    spread = torch.randn(7, 16, generator=torch.Generator().manual_seed(1))
    return torch.cat([5 * kind, (reach.clamp(min=0.01) * SIDE).log() * mine], dim=-1) @ spread + 3


def reached(cells: torch.Tensor, targets: Targets, steps: int = 120) -> float:
    """AP50 of a probe trained on these cells, in images of 100 px."""
    torch.manual_seed(0)
    probe = LinearProbe(cells.shape[-1], SIDE, 1 + CLASSES)
    optimizer = torch.optim.AdamW(probe.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-2, total_steps=steps + 1)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(probe.loss(probe(cells), targets).values()).backward()
        optimizer.step()
        schedule.step()
    found = [one.scaled(100, 100) for one in probe.eval().detections(cells)]
    rows = [(i, *pair) for i in range(IMAGES) for pair in zip(targets.boxes[i], targets.labels[i], strict=True)]
    boxes = [
        {"id": k, "image_id": i, "category_id": int(label), "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0}
        | {"area": (x2 - x1) * (y2 - y1)}
        for k, (i, box, label) in enumerate(rows, 1)
        for x1, y1, x2, y2 in [(box * 100).tolist()]
    ]
    images = [{"id": i, "width": 100, "height": 100} for i in range(IMAGES)]
    kinds = [{"id": k, "name": str(k)} for k in range(1, 1 + CLASSES)]
    truth = ground_truth({"images": images, "annotations": boxes, "categories": kinds})
    measured = linear([match(truth, range(IMAGES), found)], 100, 0)
    assert measured.map50_interval[0] <= measured.map50 <= measured.map50_interval[1]
    return measured.map50


def test_what_is_linear_is_found():
    assert reached(told(scenes()), scenes()) > 0.95


def test_a_scale_and_a_shift_of_a_channel_change_nothing():
    stretched = told(scenes()) * torch.logspace(-3, 3, 16) + 7 * torch.logspace(-3, 3, 16)
    assert reached(stretched, scenes()) > 0.95


def test_noise_is_useless():
    noise = torch.randn(IMAGES, SIDE * SIDE, 4, generator=torch.Generator().manual_seed(2))
    assert reached(noise, scenes()) < 0.2


@pytest.fixture(scope="module")
def shapes():
    return data(train=8, val=6)


def test_a_fit_moves_the_probes_and_nothing_else(shapes, tmp_path):
    torch.manual_seed(0)
    plain, after = scratch(shapes.classes, 64).eval(), (3, 6)
    trainer = Trainer(Batches(First(shapes.train, 4), 64), "data", tmp_path, batch_size=2, seed=0)
    made = fit(plain, after, trainer, epochs=1, learning_rate=1e-2, augmentations=1)
    start, end = probed(plain, after, 0).state_dict(), made.state_dict()
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    assert {name.split(".")[0] for name in moved} == {"probes"}
    assert {"probes.0.head.weight", "probes.1.norm.running_mean"} <= moved
    assert not hasattr(plain, "probes")
    found = measure(made, after, shapes.val, 100, 0)
    assert len(found) == len(after)
    again = fit(plain, after, trainer, epochs=1, learning_rate=1e-2, augmentations=1).state_dict()
    assert all(torch.equal(again[name], end[name]) for name in end)


def test_a_position_does_not_hear_of_the_others(shapes, tmp_path):
    torch.manual_seed(0)
    plain = scratch(shapes.classes, 64).eval()
    both, alone = (
        fit(
            plain,
            after,
            Trainer(Batches(First(shapes.train, 4), 64), "data", tmp_path, batch_size=2, seed=0),
            epochs=2,
            learning_rate=1e-2,
            augmentations=1,
        )
        for after in ((3, 6), (3,))
    )
    assert torch.allclose(both.probes[0].head.weight, alone.probes[0].head.weight, atol=1e-6)


def test_the_first_images_of_a_source(shapes):
    first = First(shapes.train, 3)
    assert len(first) == 3
    assert len(First(shapes.train, 99)) == len(shapes.train)
    assert (first.image(2) == shapes.train.image(2)).all()
    assert torch.equal(first.targets([1]).boxes, shapes.train.targets([1]).boxes)


def test_an_untrained_trunk_neither_vanishes_nor_explodes():
    torch.manual_seed(0)
    plain = ssdlite(("a",), 96).eval()
    before, state = {name: part.clone() for name, part in plain.state_dict().items()}, torch.get_rng_state()
    fresh = untrained(plain, 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(part, before[name]) for name, part in plain.state_dict().items())
    assert not torch.equal(fresh.stages[0].blocks[3].block[0][0].weight, plain.stages[0].blocks[3].block[0][0].weight)
    again = untrained(plain, 3)
    with torch.no_grad():
        looks = after_blocks(fresh, (6, 12, 16), torch.rand(2, 3, 96, 96) * 2 - 1)
        assert all(1e-2 < float(look.map.std()) < 1e2 for look in looks)
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), again.parameters(), strict=True))
