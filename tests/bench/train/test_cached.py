"""What is kept of frozen parts is what they would have said anew, and belongs to the same targets."""

import numpy as np
import pytest
import torch

from bench.train.batches import Batches
from bench.train.cached import Prepared, joined
from models.detector import Targets
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


@pytest.mark.parametrize(("count", "batch", "sizes"), [(8, 4, [4, 4]), (7, 3, [3, 3]), (5, 8, [5])])
def test_a_ragged_last_batch_is_left_out_and_a_batch_is_never_larger_than_what_there_is(count, batch, sizes):
    kept = Prepared(Batches(Source(count), 64), (3,), count, 64, lambda images: (images.mean((1, 2, 3)),))
    assert [len(targets.labels) for _, targets in kept.epoch(batch, 0)] == sizes


def test_what_is_kept_is_rounded_to_half_precision_and_carries_no_gradient():
    weight = torch.full((), 1 / 3, requires_grad=True)
    kept = prepared(lambda images: (images.mean((1, 2, 3)) * 0 + weight,))
    (found,), _ = next(kept.epoch(4, 0))
    assert found.tolist() == [float(np.float16(1 / 3))] * 4
    assert not found.requires_grad


def test_targets_of_batches_are_padded_to_the_fullest_image():
    one = Targets(torch.ones(1, 1, 4), torch.ones(1, 1, dtype=torch.long), torch.ones(1, 1, dtype=torch.bool))
    three = Targets(torch.ones(2, 3, 4), torch.full((2, 3), 2), torch.zeros(2, 3, dtype=torch.bool))
    both = joined([one, three])
    assert both.labels.tolist() == [[1, 0, 0], [2, 2, 2], [2, 2, 2]], "label 0 is no object"
    assert both.boxes[0].sum() == 4
    assert both.boxes.shape == (3, 3, 4)
    assert both.crowd.tolist() == [[True, False, False], [False] * 3, [False] * 3]
