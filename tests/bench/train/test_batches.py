"""Augmentation moves boxes exactly with their pixels, and the same seed gives the same batches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.train.batches import Batches, augment
from models.detector import Targets
from tests.support.source import Source

SIZE = 64


def one_square(left: int, top: int, side: int) -> tuple[torch.Tensor, Targets]:
    """A white square on black, and its box."""
    images = torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8)
    images[:, :, top : top + side, left : left + side] = 255
    box = torch.tensor([[[left, top, left + side, top + side]]]) / SIZE
    return images, Targets(box, torch.ones(1, 1, dtype=torch.long), torch.zeros(1, 1, dtype=torch.bool))


@given(seed=st.integers(0, 10_000), left=st.integers(8, 28), top=st.integers(8, 28), side=st.integers(16, 28))
def test_boxes_follow_their_pixels(seed, left, top, side):
    images, targets = one_square(left, top, side)
    pixels, moved = augment(images, targets, torch.Generator().manual_seed(seed), SIZE)
    assert pixels.shape == (1, 3, SIZE, SIZE)
    assert pixels.min() >= -1
    assert pixels.max() <= 1
    if moved.labels[0, 0] == 0:
        return
    brightness = pixels[0].mean(0)
    high = brightness.max()
    if high < 0.3:  # the square is as dark as the grey beyond the image's edge
        return
    rows, columns = torch.nonzero(brightness > 0.6 * high, as_tuple=True)
    seen = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / SIZE
    assert (seen - moved.boxes[0, 0]).abs().max() < 2.5 / SIZE


def test_same_seed_same_batches_and_every_image_once():
    batches = Batches(Source(10), SIZE)
    assert [int(image.float().mean().round()) for image in batches.images] == list(range(10))
    first, again, other = (list(batches.epoch(5, seed)) for seed in (1, 1, 2))
    assert len(first) == 2
    for (images, targets), (same_images, same_targets) in zip(first, again, strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(targets.boxes, same_targets.boxes)
    assert not torch.equal(first[0][0], other[0][0])


@pytest.mark.parametrize(("count", "batch", "steps"), [(10, 4, 2), (3, 8, 1), (8, 4, 2)])
def test_a_ragged_last_batch_is_left_out(count, batch, steps):
    assert len(list(Batches(Source(count), SIZE).epoch(batch, 0))) == steps


@pytest.mark.parametrize(("least", "times"), [(1, 1), (5, 1), (6, 2), (12, 3)])
def test_an_epoch_goes_through_few_images_several_times(least, times):
    batches = Batches(Source(5), SIZE, least=least)
    assert len(batches) == 5 * times
    seen = torch.cat([targets.labels.flatten() for _, targets in batches.epoch(5 * times, seed=3)])
    once = torch.cat([targets.labels.flatten() for _, targets in Batches(Source(5), SIZE).epoch(5, seed=3)])
    assert len(seen) == times * len(once)
    first, *others = [images for images, _ in batches.epoch(5, seed=3)]
    assert len(others) == times - 1
    assert all((first - other).abs().max() > 0 for other in others)  # each time augmented anew
