"""Weights of YOLOS by folder and file, against transformers' own answers: known rows stay, the others begin fresh."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from transformers import YolosConfig, YolosForObjectDetection

from models.class_rows import COCO_NAMES
from models.errors import UserError
from models.families import build, check, fresh
from models.yolos import network
from models.yolos.network import Size, untrained
from models.yolos.weights import MEAN, STD, grid_of, own, stock

NAMES = ("N/A", "dog", "traffic light", "N/A", "cup")


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch):
    """Tiny is tiny here, so that files are small."""
    monkeypatch.setitem(network.SIZES, "tiny", Size(32, 2, 48, 4))


def yolos(labels: int, mid: bool = True, names: tuple[str, ...] | None = None) -> YolosForObjectDetection:
    """transformers' YOLOS of tiny size, all of its weights random: positions and queries too."""
    torch.manual_seed(0)
    config = YolosConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=48,
        num_detection_tokens=9,
        image_size=[64, 64],
        num_labels=labels,
        use_mid_position_embeddings=mid,
    )
    if names:
        config.id2label = dict(enumerate(names))
    model = YolosForObjectDetection(config).eval()
    for name, part in model.named_parameters():
        if "position" in name or "token" in name or name.endswith("layers.2.bias"):
            torch.nn.init.normal_(part, std=0.5)
    return model


def theirs(model: YolosForObjectDetection, pixels: torch.Tensor):
    """transformers' answer to pixels in [0, 1]."""
    mean, std = (torch.tensor(part)[:, None, None] for part in (MEAN, STD))
    with torch.no_grad():
        found = model((pixels - mean) / std)
    return found.logits, found.pred_boxes


def ours(detector, pixels: torch.Tensor):
    with torch.no_grad():
        (raw,) = detector.eval()(pixels * 2 - 1)
    return raw


@pytest.fixture(scope="module")
def pixels():
    return torch.rand(2, 3, 96, 96)


def test_a_folder_keeps_the_rows_it_knows_and_starts_the_others_from_their_mean(tmp_path, pixels):
    model = yolos(5, names=NAMES)
    model.save_pretrained(tmp_path)
    classes = ("Traffic_Light", "bolt", "dog")
    assert fresh("yolos-tiny", str(tmp_path), classes) == ("bolt",)
    logits, boxes = ours(stock(classes, 96, str(tmp_path)), pixels)
    expected, theirs_boxes = theirs(model, pixels)
    assert torch.allclose(logits[..., [0, 1, 3]], expected[..., [5, 2, 1]], atol=1e-4)
    assert torch.allclose(logits[..., 2], expected[..., [1, 2, 4]].mean(-1), atol=1e-4)
    assert torch.allclose(boxes, theirs_boxes, atol=1e-5)


def test_a_folder_without_names_is_known_by_its_numbers(tmp_path):
    yolos(2).save_pretrained(tmp_path)
    assert fresh("yolos-tiny", str(tmp_path), ("bolt", "nut")) == ()
    assert fresh("yolos-tiny", str(tmp_path), ("bolt",)) == ("bolt",)


@pytest.mark.parametrize("mid", [True, False], ids=["mid positions", "no mid positions"])
@pytest.mark.parametrize(
    ("labels", "classes", "rows"),
    [(91, ("dog", "traffic-light"), (18, 10)), (2, ("bolt", "nut"), (0, 1))],
    ids=["coco", "in order"],
)
@pytest.mark.parametrize("how", ["bare.safetensors", "model.pth", "module.pt"])
def test_a_file_answers_as_transformers_does(tmp_path, pixels, mid, labels, classes, rows, how):
    model, path = yolos(labels, mid), tmp_path / how
    state = model.state_dict()
    if how == "bare.safetensors":
        save_file(state, path)
    elif how == "model.pth":
        torch.save({"model": state, "epoch": 1}, path)
    else:
        torch.save({"state_dict": {f"module.{name}": part for name, part in state.items()}}, path)
    check("yolos-tiny", 96, str(path))
    assert fresh("yolos-tiny", str(path), classes) == ()
    logits, boxes = ours(build("yolos-tiny", classes, 96, str(path)), pixels)
    expected, theirs_boxes = theirs(model, pixels)
    assert torch.allclose(logits, expected[..., [labels, *rows]], atol=1e-4)
    assert torch.allclose(boxes, theirs_boxes, atol=1e-5)


def test_rows_of_a_file_are_copied_to_the_bit_and_boxes_untouched(tmp_path):
    model = yolos(91)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    head = own(("bolt", "dog"), 96, "tiny", str(tmp_path / "w.safetensors")).stages[0].head
    mine, stock_layer = head.classes.layers[-1], model.class_labels_classifier.layers[-1]
    named = [k for k, name in enumerate(COCO_NAMES) if name != "N/A"]
    assert torch.equal(mine.weight[[0, 2]], stock_layer.weight[[91, 18]])
    assert torch.equal(mine.bias[[0, 2]], stock_layer.bias[[91, 18]])
    assert torch.allclose(mine.weight[1], stock_layer.weight[named].mean(0))
    for name, part in model.bbox_predictor.state_dict().items():
        assert torch.equal(head.boxes.state_dict()[name], part)


def test_half_precision_becomes_single(tmp_path):
    model = yolos(2, names=("a", "b")).half()
    model.save_pretrained(tmp_path)
    assert {part.dtype for part in stock(("a", "b"), 96, str(tmp_path)).parameters()} == {torch.float32}
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    found = own(("a", "b"), 96, "tiny", str(tmp_path / "w.safetensors"))
    assert {part.dtype for part in found.parameters()} == {torch.float32}


def test_what_a_file_is_shows_in_its_keys_not_in_its_name(tmp_path):
    model = untrained("tiny", 3, 9, 64).vit
    state = {name: part for name, part in model.state_dict().items() if "detection" not in name and "pos" not in name}
    torch.save({**state, "pos_cls": torch.zeros(1, 1, 32), "pos_patches": torch.zeros(1, 16, 32)}, tmp_path / "t.pth")
    check("yolos-tiny", 96, str(tmp_path / "t.pth"), 16)
    assert build("yolos-tiny", ("a",), 96, str(tmp_path / "t.pth"), 16).stages[0].queries == 16
    save_file(yolos(2).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="has no queries to choose"):
        check("yolos-tiny", 96, str(tmp_path / "w.safetensors"), 16)


def test_checking_draws_nothing_from_the_stream_of_random_numbers(tmp_path):
    save_file(yolos(2).state_dict(), tmp_path / "w.safetensors")
    before = torch.get_rng_state()
    check("yolos-tiny", 96, str(tmp_path / "w.safetensors"))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("model", "change", "said"),
    [
        ("yolos-small", lambda state: state, "not the weights of such a YOLOS"),
        ("yolos-tiny", lambda state: {**state, "x": torch.zeros(1)}, "Unexpected key"),
        ("yolos-tiny", lambda state: dict(list(state.items())[1:]), "Missing key"),
        ("yolos-tiny", lambda state: {"class_labels_classifier.layers.2.bias": torch.zeros(3)}, "detection_tokens"),
        ("yolos-tiny", lambda state: {"a": torch.zeros(1)}, "not the weights of such a trunk: 'pos_cls'"),
    ],
)
def test_another_network_is_one_clear_line_before_any_data(tmp_path, model, change, said):
    torch.save(change(yolos(2).state_dict()), tmp_path / "w.pth")
    with pytest.raises(UserError, match=said) as raised:
        check(model, 96, str(tmp_path / "w.pth"))
    assert "\n" not in str(raised.value)


def test_a_grid_that_could_be_several_is_refused():
    assert [grid_of(patches, "here") for patches in (1728, 4200, 4150, 16)] == [(32, 54), (50, 84), (50, 83), (4, 4)]
    for patches in (1200, 0, -3):
        with pytest.raises(UserError, match=r"rows and columns are not known .*config\.json"):
            grid_of(patches, "here")


class Trap:
    """What makes a folder as soon as it is unpickled without care."""

    def __init__(self, marker: str):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("how", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_a_hostile_pickle_in_a_folder_is_not_executed(tmp_path, how):
    yolos(2, names=("a", "b")).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    how({"w": Trap(str(tmp_path / "marker"))}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="no YOLOS could be loaded") as raised:
        check("yolos-tiny", 96, str(tmp_path))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "marker").exists()


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "no YOLOS could be loaded"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no YOLOS could be loaded"),
        (lambda folder: (folder / "config.json").unlink(), "no YOLOS could be loaded"),
        (lambda folder: (folder / "config.json").write_text("{"), "no YOLOS could be loaded"),
        (lambda folder: change_config(folder, model_type="detr"), "its model is detr"),
        (lambda folder: change_config(folder, num_hidden_layers=5), "it has no vit.encoder"),
        (lambda folder: change_config(folder, hidden_size=64), "other sizes than its config.json says"),
    ],
)
def test_a_broken_folder_is_one_clear_line_before_any_data(tmp_path, capfd, damage, said):
    yolos(2, mid=False, names=("a", "b")).save_pretrained(tmp_path)
    damage(tmp_path)
    capfd.readouterr()
    with pytest.raises(UserError, match=said) as raised:
        check("yolos-tiny", 96, str(tmp_path))
    assert "\n" not in str(raised.value)
    assert "REPORT" not in capfd.readouterr().err
