"""SSDLite taken apart must compute what torchvision's computes, with stock weights and added exits."""

import numpy as np
import pytest
import torch
from torchvision.models.detection.image_list import ImageList

from bench.train.fit import factor_of
from models.pixels import resize
from models.resolution import resolution_chain
from models.ssdlite.exits import add_exits
from models.ssdlite.network import anchor_grid, assemble, level_sides, resized, ssdlite, trunk_rates
from models.ssdlite.weights import stock


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    model = stock(outputs=6).eval()
    for module in model.modules():  # as initialised, all scores are all but tied, and ties have no order
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return model


@torch.inference_mode()
def test_same_detections_as_torchvision(model, picture):
    picture = resize(picture, 320)  # to whole levels here, to fractions there
    (answer,) = model([torch.from_numpy(picture).permute(2, 0, 1).float() / 255])
    theirs = {name: part.numpy() for name, part in answer.items()}
    detector = assemble(model, tuple("abcde"), 320).eval()
    (raw,) = detector(detector.to_input(picture))
    ours = detector.detections(detector.probabilities(raw)[0], raw[1][0]).scaled(320, 320)
    assert len(ours) == len(theirs["scores"]) > 0
    assert np.allclose(ours.scores, theirs["scores"], atol=1e-6)
    for label in range(1, 6):  # box by box: nearly tied scores may change places
        mine, other = ours.labels == label, theirs["labels"] == label
        apart = np.abs(ours.boxes[mine][:, None] - theirs["boxes"][other]).max(-1)
        same = apart.argmin(1)
        assert np.array_equal(np.sort(same), np.arange(other.sum()))
        assert apart.min(1).max() < 1e-2
        assert np.allclose(ours.scores[mine], theirs["scores"][other][same], atol=1e-6)


@pytest.mark.parametrize("size", [96, 160, 320])
def test_anchors_equal_torchvisions(model, size):
    features = list(model.backbone(torch.zeros(1, 3, size, size)).values())
    assert [tuple(level.shape[-2:]) for level in features] == [(side, side) for side in level_sides(size)]
    images = ImageList(torch.zeros(1, 3, size, size), [(size, size)])
    theirs = model.anchor_generator(images, features)[0] / size
    assert torch.allclose(anchor_grid(size, size), theirs, atol=1e-6)


@pytest.mark.parametrize("size", [224, 256, 288, 384])
def test_anchors_of_another_size_stay_where_they_were_in_pixels(size):
    small, whole = anchor_grid(size, 320) * size, anchor_grid(320, 320) * 320
    at = {len(small): 0, len(whole): 0}
    for here, there in zip(level_sides(size), level_sides(320), strict=True):
        mine = small[at[len(small)] :][: 6 * here**2].reshape(here, here, 6, 4)
        theirs = whole[at[len(whole)] :][: 6 * there**2].reshape(there, there, 6, 4)
        both = min(here, there)
        assert torch.allclose(mine[:both, :both], theirs[:both, :both], atol=1e-3)
        at = {len(small): at[len(small)] + 6 * here**2, len(whole): at[len(whole)] + 6 * there**2}


def test_resizing_twice_is_resizing_once():
    once = resized(ssdlite(("a",), 160), 96)
    assert torch.equal(resized(resized(ssdlite(("a",), 160), 128), 96).decoders[0].centre, once.decoders[0].centre)


@pytest.mark.parametrize("make", [lambda one: one, lambda one: add_exits(one, (8, 12), (16, 16))])
def test_lower_blocks_learn_less_and_heads_as_ever(make):
    detector = make(ssdlite(("a",), 96))
    rates = trunk_rates(detector, 0.5, 0.9)
    assert list(rates.values()) == pytest.approx([0.5 * 0.9**above for above in range(len(rates))])
    names = [name for name, _ in detector.named_parameters()]
    of_trunk = [name for name in names if ".blocks." in name]
    assert all(any(name.startswith(f"{start}.") for name in names) for start in rates)
    assert factor_of(of_trunk[-1], rates) == 0.5
    assert all(factor_of(name, rates) == 1 for name in names if name not in of_trunk)
    assert all(factor_of(name, trunk_rates(detector, 0.0, 1.0)) == 0 for name in of_trunk)


def test_each_resolution_has_a_trunk_of_its_own():
    rates = trunk_rates(resolution_chain(ssdlite(("a",), 96), (64,)), 0.5, 0.9)
    assert sorted(rates.values()) == pytest.approx(sorted([0.5 * 0.9**above for above in range(len(rates) // 2)] * 2))


def test_images_are_resized_as_torch_does_up_to_rounding(picture):
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(picture).permute(2, 0, 1)[None].float(), size=(96, 96), mode="bilinear", align_corners=False
    )
    ours = torch.from_numpy(resize(picture, 96)).permute(2, 0, 1)[None].float()
    assert (ours - theirs).abs().max() < 1.0
    assert (ours - theirs).abs().mean() < 0.3


def test_stock_weights_load_strictly_and_detect(shared):
    from PIL import Image

    detector = ssdlite(("person",), 320, str(shared / "weights/ssdlite320_mobilenet_v3_large_coco.pth")).eval()
    picture = np.array(Image.open(shared / "data/coco-person/images/000000489339.jpg").convert("RGB"))
    with torch.inference_mode():
        (raw,) = detector(detector.to_input(picture))
    assert detector.detections(detector.probabilities(raw)[0], raw[1][0]).scores[0] > 0.5
