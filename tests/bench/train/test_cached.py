"""What is kept of frozen parts is what they would have said anew, and belongs to the same targets."""

import torch

from bench.train.batches import Batches
from bench.train.cached import Prepared
from tests.support.source import Source

SEEDS = (3, 4)


def prepared(make, count=8, seeds=SEEDS):
    return Prepared(Batches(Source(count), 64), seeds, 4, 64, make)


def facts(mean, boxes):
    """A picture's mean as it is kept, with its boxes."""
    return round(float(mean.half()), 3), tuple(boxes.flatten().tolist())


def test_an_epoch_holds_every_image_of_one_view_with_its_own_targets():
    batches = Batches(Source(8), 64)
    kept = Prepared(batches, SEEDS, 4, 64, lambda images: (images.mean((1, 2, 3)),))
    for seed in range(4):
        made = batches.epoch(4, SEEDS[seed % 2])
        expected = [facts(image.mean(), box) for x, y in made for image, box in zip(x, y.boxes, strict=True)]
        seen = [facts(*pair) for (x,), y in kept.epoch(4, seed) for pair in zip(x, y.boxes, strict=True)]
        assert len(set(seen)) > 4
        assert sorted(seen) == sorted(expected)


def test_the_same_seed_gives_the_same_order_and_another_seed_another():
    kept = prepared(lambda images: (images.mean((1, 2, 3)), images))
    first, again, other = ([x[0] for x, _ in kept.epoch(4, seed)] for seed in (0, 0, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_maps_come_back_as_convolutions_like_them():
    kept = prepared(lambda images: (images, images[:, 0]))
    (maps, plain), targets = next(kept.epoch(4, 0))
    assert maps.dtype == plain.dtype == torch.float32
    assert maps.is_contiguous(memory_format=torch.channels_last)
    assert len(maps) == len(plain) == len(targets.labels) == 4
