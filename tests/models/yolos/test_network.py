"""YOLOS as a chain, against transformers' own: answers, positions, weights, FLOPs; and what a cut must not change."""

import pytest
import torch
from safetensors.torch import save_file
from transformers import YolosConfig, YolosForObjectDetection

from bench.measure.flops import flops_per_exit
from models.detector import Targets
from models.errors import UserError
from models.yolos.auxiliary import AuxiliaryLosses
from models.yolos.network import layer_rates, multi_exit, resized, scratch, untrained
from models.yolos.weights import MEAN, STD, stock, trunk

CLASSES = ("cat", "dog")


def tiny(**changes) -> YolosForObjectDetection:
    """transformers' YOLOS of a few thousand weights, all of them random: positions and queries too."""
    torch.manual_seed(0)
    settings = {
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "num_detection_tokens": 9,
        "image_size": [64, 96],
        "id2label": {0: "N/A", 1: "dog", 2: "cat"},
        "use_mid_position_embeddings": True,
    }
    model = YolosForObjectDetection(YolosConfig(**settings | changes)).eval()
    for name, part in model.named_parameters():
        if "position" in name or "token" in name:
            torch.nn.init.normal_(part, std=0.5)
    return model


@pytest.fixture(scope="module", params=[True, False], ids=["mid positions", "no mid positions"])
def saved(request, tmp_path_factory):
    model = tiny(use_mid_position_embeddings=request.param)
    folder = tmp_path_factory.mktemp("yolos")
    model.save_pretrained(folder)
    return model, folder


def test_answers_as_transformers_does_at_another_size(saved):
    model, folder = saved
    ours = stock(CLASSES, 128, str(folder)).eval()
    pixels = torch.rand(2, 3, 128, 128)
    mean, std = (torch.tensor(part)[:, None, None] for part in (MEAN, STD))
    with torch.no_grad():
        theirs = model((pixels - mean) / std)
        ((logits, boxes),) = ours(pixels * 2 - 1)
    assert torch.allclose(logits, theirs.logits[..., [3, 2, 1]], atol=1e-4)  # no object, cat, dog
    assert torch.allclose(boxes, theirs.pred_boxes, atol=1e-5)


def test_weights_that_are_not_there_are_a_clear_error(saved, tmp_path):
    _, folder = saved
    with pytest.raises(UserError, match="no YOLOS could be loaded"):
        stock(CLASSES, 64, str(tmp_path))
    with pytest.raises(UserError, match="whole number of patches"):
        stock(CLASSES, 100, str(folder))


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    return scratch(CLASSES, 64).eval()


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 64, 64) * 2 - 1


def test_a_cut_leaves_the_last_exit_as_it_was(plain, images):
    chain = multi_exit(plain, (3, 6, 9))
    with torch.no_grad():
        (whole,) = plain(images)
        *_, last = chain(images)
    assert chain.exits == 4
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(last, whole, strict=True))


def test_an_exit_answers_as_the_head_would_after_that_layer(plain, images):
    (stage,) = plain.stages
    with torch.no_grad():
        first, *_ = multi_exit(plain, (3, 6))(images)
        third = list(stage.depths(images))[2]
        expected = stage.read(third)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(first, expected, strict=True))


@pytest.mark.parametrize("after", [(), (0,), (12,), (6, 3), (3, 3)])
def test_impossible_exits_are_refused(plain, after):
    with pytest.raises(ValueError, match="increasing layers"):
        multi_exit(plain, after)


def test_queries_start_at_their_places(plain, images):
    """Untrained, boxes stay near the grid that the queries stand on."""
    with torch.no_grad():
        ((_, boxes),) = plain(images)
    expected = plain.stages[0].head.reference.sigmoid()
    assert (boxes - expected).abs().max() < 0.1


def test_resizing_to_the_same_size_changes_nothing_and_back_little(plain, images):
    with torch.no_grad():
        (before,) = plain(images)
        (same,) = resized(plain, 64)(images)
        (larger,) = resized(plain, 128)(torch.rand(1, 3, 128, 128))
    assert torch.allclose(before[1], same[1], atol=1e-5)
    assert larger[1].shape == before[1][:1].shape


def test_every_exit_and_layer_on_the_way_learns(plain, images):
    targets = Targets(
        torch.tensor([[[0.1, 0.1, 0.5, 0.6]]] * 2), torch.ones(2, 1, dtype=torch.long), torch.zeros(2, 1) > 0
    )
    chain = multi_exit(plain, (3, 6)).train()
    _, losses = AuxiliaryLosses()(chain, images, targets)
    assert {name.split("/")[0] for name in losses} == {"exit1", "exit2", "exit3"}
    assert {name.split("/")[1] for name in losses if name.startswith("exit3")} >= {"back1", "class", "l1", "giou"}
    torch.stack(list(losses.values())).sum().backward()
    silent = [name for name, part in chain.named_parameters() if part.grad is None]
    assert not silent


def test_patches_that_leave_are_those_surest_to_be_background(plain, images):
    chain = multi_exit(plain, (3, 6), keep=(0.5, 0.25))
    first, second, _ = chain.stages
    assert (first.keep, second.keep) == (8, 4)
    with torch.no_grad():
        *_, tokens = first.depths(images)
        after, kept = first.handed_on(tokens)
        background = first.patches(first.head.norm(tokens[:, 1:-49]))[0].softmax(-1)[..., 0]
    assert after.shape[1] == 1 + 8 + 49
    assert torch.equal(after[:, -49:], tokens[:, -49:])
    assert torch.equal(after[:, 1:-49], tokens[:, 1:-49].gather(1, kept[..., None].expand(-1, -1, 128)))
    gone = torch.ones_like(background, dtype=torch.bool).scatter(1, kept, False)
    assert (background.gather(1, kept).amax(1) <= background.where(gone, torch.inf).amin(1)).all()


def test_the_exit_that_drops_patches_answers_as_before_and_keeping_all_changes_nothing(plain, images):
    whole, fewer, all_ = (multi_exit(plain, (3, 6), keep) for keep in ((), (0.5, 0.25), (1.0, 1.0)))
    with torch.no_grad():
        first, _, last = whole(images)
        assert torch.equal(fewer(images)[0][1], first[1])
        assert not torch.allclose(fewer(images)[2][1], last[1], atol=1e-6)
        assert torch.allclose(all_(images)[2][1], last[1], atol=1e-5)


def test_fewer_patches_cost_less(plain):
    inputs = (torch.zeros(1, 3, 64, 64),)
    whole, fewer = (flops_per_exit(list(multi_exit(plain, (3, 6), keep).stages), inputs) for keep in ((), (0.5, 0.25)))
    assert fewer[-1].flops < whole[-1].flops
    assert all(cost.agree for cost in fewer)


def test_what_goes_on_learns_from_its_own_boxes(plain, images):
    """A patch keeps its place when others are dropped: the losses with all kept in another order are the same."""
    targets = Targets(
        torch.tensor([[[0.1, 0.1, 0.5, 0.6]]] * 2), torch.ones(2, 1, dtype=torch.long), torch.zeros(2, 1) > 0
    )
    whole, all_ = (multi_exit(plain, (3, 6), keep) for keep in ((), (1.0, 1.0)))
    with torch.no_grad():
        (_, expected), (_, found) = AuxiliaryLosses()(whole, images, targets), AuxiliaryLosses()(all_, images, targets)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-3, abs=1e-4), name


@pytest.mark.parametrize("keep", [(0.5,), (0.5, 0.6), (1.2, 0.5), (0.5, 0.0)])
def test_impossible_shares_are_refused(plain, keep):
    with pytest.raises(ValueError, match="shares of all"):
        multi_exit(plain, (3, 6), keep)


def test_lower_layers_learn_less_and_later(plain):
    chain = multi_exit(plain, (3, 6))
    rates = layer_rates(chain, 0.5)
    assert rates["stages.2.layers.5"] == 1
    assert rates["stages.2.layers.0"] == 0.5**5
    assert rates["stages.0.embed"] == 0.5**12
    names = [name for name, _ in chain.named_parameters()]
    assert all(any(name.startswith(f"{start}.") for name in names) for start in rates)
    half = layer_rates(chain, 1.0, share=0.5)
    assert [name for name, rate in half.items() if rate] == [f"stages.2.layers.{k}" for k in range(5, -1, -1)]


@pytest.mark.slow
def test_flops_of_small_at_512_px(tmp_path):
    """This project started from 17.6, 35.0, 52.4 and 69.8 GFLOPs at exits 3, 6, 9 and 12, two per multiply-add: 17.4
    for three layers and 0.2 for all else. Layers are within 3 % of that here, and so is the plain network; the exits
    lie above by what is counted besides: 0.6 for the patches and 0.1 for every head on the way."""
    made = untrained("small", 92, 100, 512)
    made.config.id2label = {number: f"class {number}" for number in range(91)}
    made.save_pretrained(tmp_path)
    plain = stock(tuple(made.config.id2label.values()), 512, str(tmp_path))
    inputs = (torch.zeros(1, 3, 512, 512),)
    (whole,) = flops_per_exit(list(plain.stages), inputs)
    costs = flops_per_exit(list(multi_exit(plain, (3, 6, 9)).stages), inputs)
    assert all(cost.agree for cost in (whole, *costs))
    assert 2e-9 * whole.flops == pytest.approx(69.8, rel=0.03)
    head, patches = 2e-9 * 100 * (4 * 384**2 + 384 * (92 + 4)), 2e-9 * 32**2 * 768 * 384
    for number, (cost, known) in enumerate(zip(costs, (17.6, 35.0, 52.4, 69.8), strict=True), start=1):
        assert 2e-9 * cost.flops - number * head - patches == pytest.approx(known, rel=0.03)


@pytest.fixture
def vit(tmp_path):
    """A trunk as a safetensors file, and the model that it was taken from."""
    torch.manual_seed(1)
    model = untrained("tiny", 3, 9, 64).vit.eval()
    state = {
        name: part for name, part in model.state_dict().items() if "detection" not in name and "position" not in name
    }
    path = tmp_path / "trunk.safetensors"
    places = {"pos_cls": torch.randn(1, 1, 192), "pos_patches": torch.randn(1, 25, 192)}
    save_file({name: part.half().contiguous() for name, part in (state | places).items()}, path)
    return model, places, path


def test_a_trunk_brings_its_layers_and_positions(vit):
    model, places, path = vit
    detector = trunk(CLASSES, 80, "tiny", path, queries=9).eval()
    (stage,) = detector.stages
    assert torch.allclose(stage.embed.positions[:, 1:26], places["pos_patches"], atol=1e-2)
    assert torch.allclose(stage.embed.positions[:, :1], places["pos_cls"], atol=1e-2)
    layer, theirs = stage.layers[5].layer, model.encoder.layer[5]
    assert torch.allclose(layer.output.dense.weight, theirs.output.dense.weight, atol=1e-3)
    with torch.no_grad():
        ((logits, boxes),) = detector(torch.rand(1, 3, 80, 80))
    assert logits.shape == (1, 9, 3)
    assert boxes.isfinite().all()


def test_another_file_is_no_trunk(vit, tmp_path):
    _, _, path = vit
    with pytest.raises(UserError, match="not the weights of such a trunk"):
        trunk(CLASSES, 64, "small", path)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="not the weights of such a trunk"):
        trunk(CLASSES, 64, "tiny", tmp_path / "other.safetensors")
