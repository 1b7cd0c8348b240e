"""Weights of torchvision's SSDLite: rows that are known stay exactly, the others begin fresh, all else is untouched."""

import re

import pytest
import torch
from safetensors.torch import save_file

from bench.train.fit import weights_hash
from models.class_rows import COCO_NAMES
from models.errors import UserError
from models.families import build, check, fresh
from models.ssdlite.network import assemble, ssdlite
from models.ssdlite.weights import ANCHORS_PER_CELL, outputs_of, stock

NAMED = [k for k, name in enumerate(COCO_NAMES) if name != "N/A"]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    model = stock().eval()
    for block in model.head.classification_head.module_list:  # as initialised, all biases are 0
        torch.nn.init.normal_(block[1].bias)
    return model


@pytest.fixture(scope="module")
def path(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "stock.pth"
    torch.save(network.state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def images():
    return torch.rand(1, 3, 160, 160) * 2 - 1


def own_state(outputs: int) -> dict:
    torch.manual_seed(2)
    return stock(outputs).state_dict()


def rest(detector) -> dict:
    """All weights but those of the last layers of the class head."""
    layer = re.compile(r"classification_head\.module_list\.\d\.1\.")
    return {name: part for name, part in detector.state_dict().items() if not layer.search(name)}


@torch.inference_mode()
def test_known_rows_answer_exactly_as_torchvisions_and_boxes_are_the_same(network, path, images):
    whole = assemble(network, COCO_NAMES[1:], 160, made_for=320).eval()
    ((full, boxes),) = whole(images)
    detector = ssdlite(("chair", "bolt", "Person", "traffic_light"), 160, path).eval()
    ((found, mine),) = detector(images)
    rows = [0, *(COCO_NAMES.index(name) for name in ("chair", "person", "traffic light"))]
    assert torch.allclose(found[..., [0, 1, 3, 4]], full[..., rows], atol=1e-6)
    assert torch.allclose(found[..., 2], full[..., NAMED].mean(-1), atol=1e-5)
    assert torch.equal(mine, boxes)


def test_rows_are_copied_to_the_bit_and_all_else_is_untouched(network, path):
    detector = ssdlite(("bolt", "dog"), 160, path)
    blocks = detector.stages[0].head.head.classification_head.module_list
    for block, theirs in zip(blocks, network.head.classification_head.module_list, strict=True):
        for part in ("weight", "bias"):
            mine = getattr(block[1], part).unflatten(0, (ANCHORS_PER_CELL, 3))
            stock_rows = getattr(theirs[1], part).unflatten(0, (ANCHORS_PER_CELL, 91))
            assert torch.equal(mine[:, [0, 2]], stock_rows[:, [0, 18]])
    before, after = rest(assemble(network, COCO_NAMES[1:], 160)), rest(detector)
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], part) for name, part in before.items())


def test_as_many_outputs_as_classes_are_taken_in_order(tmp_path, images):
    state = own_state(3)
    torch.save(state, tmp_path / "own.pth")
    detector = ssdlite(("bolt", "person"), 320, str(tmp_path / "own.pth"))
    theirs = stock(3)
    theirs.load_state_dict(state)
    assert weights_hash(detector) == weights_hash(assemble(theirs, ("bolt", "person"), 320))
    assert fresh("ssdlite", str(tmp_path / "own.pth"), ("bolt", "person")) == ()


def test_another_number_of_outputs_keeps_the_background_alone(tmp_path):
    torch.save(own_state(5), tmp_path / "own.pth")
    detector = ssdlite(("bolt", "dog"), 96, str(tmp_path / "own.pth"))
    theirs = own_state(5)["head.classification_head.module_list.2.1.bias"].unflatten(0, (ANCHORS_PER_CELL, 5))
    mine = detector.stages[0].head.head.classification_head.module_list[2][1].bias.unflatten(0, (ANCHORS_PER_CELL, 3))
    assert torch.equal(mine[:, 0], theirs[:, 0])
    assert torch.allclose(mine[:, 1], theirs[:, 1:].mean(1))
    assert fresh("ssdlite", str(tmp_path / "own.pth"), ("bolt", "dog")) == ("bolt", "dog")


@pytest.mark.parametrize("how", ["bare.safetensors", "half.safetensors", "model.pth", "module.pth", "lightning.pt"])
def test_every_wrapping_gives_the_same_detector(tmp_path, how):
    state, path = own_state(3), tmp_path / how
    if how == "bare.safetensors":
        save_file(state, path)
    elif how == "half.safetensors":
        save_file({name: part.half() if part.is_floating_point() else part for name, part in state.items()}, path)
    elif how == "model.pth":
        torch.save({"model": state, "epoch": 3}, path)
    elif how == "module.pth":
        torch.save({"model_state_dict": {f"module.{name}": part for name, part in state.items()}}, path)
    else:
        torch.save({"state_dict": {f"model.{name}": part for name, part in state.items()}}, path)
    check("ssdlite", 96, str(path))
    detector, theirs = build("ssdlite", ("a", "b"), 96, str(path)), stock(3)
    theirs.load_state_dict(state)
    expected = assemble(theirs, ("a", "b"), 96).state_dict()
    close = {"atol": 1e-3} if how.startswith("half") else {"atol": 0}
    assert all(torch.allclose(part, expected[name], **close) for name, part in detector.state_dict().items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda state: {"x": torch.zeros(1)},
            "not the weights of torchvision's ssdlite320_mobilenet.*: it has no",
        ),
        (lambda state: {**state, "x": torch.zeros(1)}, "Unexpected key"),
        (lambda state: dict(list(state.items())[1:]), "Missing key"),
        (lambda state: {**state, "head.classification_head.module_list.0.1.bias": torch.zeros(7)}, "7 entries"),
        (lambda state: {**state, "head.classification_head.module_list.0.1.bias": torch.zeros(6)}, "6 entries"),
        (lambda state: {**state, "head.classification_head.module_list.1.1.bias": torch.zeros(6)}, "size mismatch"),
        (lambda state: {"stages.0.temperature": torch.ones(())}, "a checkpoint of a run.*--resume"),
    ],
)
def test_another_network_is_one_clear_line_before_any_data(tmp_path, change, said):
    torch.save(change(own_state(3)), tmp_path / "w.pth")
    with pytest.raises(UserError, match=said) as raised:
        check("ssdlite", 96, str(tmp_path / "w.pth"))
    assert "\n" not in str(raised.value)


def test_how_many_outputs_there_are_is_read_off_the_class_head():
    assert [outputs_of(own_state(count), "here") for count in (2, 21, 91)] == [2, 21, 91]


def test_a_failed_download_is_one_clear_line_and_what_it_knows_needs_none(monkeypatch):
    def offline(*args, **options):
        raise OSError("Name or service not known")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(UserError, match=r"download failed: Name or service.*--weights FILE"):
        ssdlite(("person",), 320, "torchvision")
    assert fresh("ssdlite", "torchvision", ("person", "bolt")) == ("bolt",)
