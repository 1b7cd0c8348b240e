"""What a YOLOS is asked in training: queries for training alone see what they may, change nothing for the others, and
are asked for the right objects; the masked layer is transformers' own."""

import pytest
import torch

from models.detector import Targets
from models.errors import UserError
from models.patches import centres
from models.yolos.auxiliary import AuxiliaryLosses, allowed, chosen, depths, extra, masked, spots_beside, tokens_at
from models.yolos.network import multi_exit, scratch

CLASSES = ("cat", "dog")


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    detector = scratch(CLASSES, 64).eval()
    torch.nn.init.normal_(detector.stages[0].embed.queries, std=0.5)
    return detector


@pytest.fixture
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture
def targets():
    """One image with two boxes, one with a single box and a crowd region."""
    boxes = torch.tensor([[[0.1, 0.1, 0.5, 0.6], [0.5, 0.5, 0.9, 0.9]], [[0.3, 0.2, 0.7, 0.8], [0.0, 0.0, 1.0, 0.4]]])
    return Targets(boxes, torch.tensor([[1, 2], [1, 1]]), torch.tensor([[False, False], [False, True]]))


def test_a_masked_layer_is_transformers_own(plain, images):
    (stage,) = plain.stages
    with torch.no_grad():
        tokens = stage.embed(images)
        everything = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool)
        for layer in stage.layers:
            assert torch.allclose(masked(layer, tokens, everything), layer(tokens), atol=1e-5)
            tokens = layer(tokens)


def test_queries_for_training_alone_change_nothing_for_the_others(plain, images, targets):
    losses = AuxiliaryLosses(groups=2, denoise=3)
    with torch.no_grad():
        (_, usual), (_, more) = AuxiliaryLosses()(plain, images, targets), losses(plain, images, targets)
    assert {name.split("/")[-1].split("-")[0] for name in more.keys() - usual.keys()} == {"groups", "denoise"}
    for name, value in usual.items():
        assert more[name].item() == pytest.approx(value.item(), rel=1e-4), name


def test_sets_see_the_image_and_themselves_alone(plain, images):
    """With another set replaced by noise, a set's tokens stay as they are; with the image changed, they do not."""
    (stage,) = plain.stages
    embed = stage.embed
    spots = torch.rand(2, 6, 2)

    def last(images, noise):
        grid = embed.stem(images)
        one = extra("groups", embed, grid, spots, 2)
        one.tokens[:, 3:] += noise
        *_, (_, (found,)) = depths(stage, embed.tokens(grid), (one,))
        return found.tokens[:, :3]

    with torch.no_grad():
        before = last(images, 0)
        assert torch.allclose(last(images, torch.randn(128)), before, atol=1e-5)
        assert not torch.allclose(last(-images, 0), before, atol=1e-3)


def test_who_may_look_at_whom(plain, images):
    embed = plain.stages[0].embed
    grid = torch.zeros(1, 128, 4, 4)
    beside = (extra("a", embed, grid, torch.rand(1, 4, 2), 2), extra("b", embed, grid, torch.rand(1, 3, 2), 1))
    seen = allowed(6, 2, beside)  # the whole, three patches, two queries
    assert seen[:6, :6].all()
    assert not seen[:6, 6:].any()
    assert seen[6:, :4].all()
    assert not seen[6:, 4:6].any()
    expected = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2), torch.ones(3, 3)).bool()
    assert torch.equal(seen[6:, 6:], expected)


def test_a_query_put_where_one_stands_is_that_one(plain, images):
    embed = plain.stages[0].embed
    with torch.no_grad():
        grid = embed.stem(images)
        found = tokens_at(embed, grid, centres(7).expand(2, -1, -1))
        assert torch.allclose(found, embed.tokens(grid)[:, -49:], atol=1e-4)


def test_denoising_queries_stand_in_their_boxes(targets):
    spots, owner = spots_beside(targets, 3)
    assert owner.tolist() == [[0, 1] * 3, [0, -2] * 3]
    mine = owner >= 0
    boxes = targets.boxes.repeat(1, 3, 1)
    assert ((spots > boxes[..., :2]) & (spots < boxes[..., 2:])).all(-1)[mine].all()
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    assert (spots != centre)[mine].any()


def test_every_set_is_matched_for_itself(plain, images, targets):
    """Two sets of queries, the second a copy of the first: its owners are the first's."""
    embed = plain.stages[0].embed
    grid = embed.stem(images)
    spots = centres(7).expand(2, -1, -1).repeat(1, 2, 1)
    one = extra("groups", embed, grid, spots, 2)
    raw = plain.stages[0].head(one.tokens, one.reference)
    first, second = one.owners(raw, targets).chunk(2, dim=1)
    assert torch.equal(first, second)
    assert sorted(first[0][first[0] >= 0].tolist()) == [0, 1]
    assert (first[1] >= 0).sum() == 1


def test_auxiliary_losses_go_on_when_exits_are_added_and_patches_dropped(plain, images, targets):
    detector = plain.clone()
    detector.auxiliary_losses = AuxiliaryLosses(every=0, patches=False, denoise=1)
    chain = multi_exit(detector, (3, 6), keep=(0.5, 0.25)).train()
    _, losses = chain.auxiliary_losses(chain, images, targets)
    parts = ("class", "l1", "giou", "denoise-class", "denoise-l1", "denoise-giou")
    assert list(losses) == [f"exit{number}/{part}" for number in (1, 2, 3) for part in parts]
    assert torch.stack(list(losses.values())).isfinite().all()


def test_the_answers_are_the_detectors_own(plain, images, targets):
    chain = multi_exit(plain, (3, 6), keep=(0.5, 0.25))
    with torch.no_grad():
        answers, _ = AuxiliaryLosses()(chain, images, targets)
        for mine, own in zip(answers, chain(images), strict=True):
            assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(mine, own, strict=True))


def test_images_without_boxes_have_no_denoising_queries(plain, images):
    nothing = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.long), torch.zeros(2, 0) > 0)
    _, losses = AuxiliaryLosses(groups=1, denoise=2)(plain, images, nothing)
    assert not any("denoise" in name for name in losses)
    assert losses["exit1/groups-l1"] == 0


def test_denoising_queries_learn_to_find_their_box(plain, images, targets):
    """On two images, a few steps with them alone bring their boxes closer; so they are given the right ones."""
    detector = plain.clone().train()
    optimizer = torch.optim.AdamW(detector.parameters(), 1e-3)
    seen = []
    for _ in range(12):
        torch.manual_seed(0)
        _, losses = AuxiliaryLosses(every=0, patches=False, denoise=2)(detector, images, targets)
        total = sum(value for name, value in losses.items() if "denoise" in name)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        seen.append(losses["exit1/denoise-giou"].item())
    assert seen[-1] < 0.8 * seen[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"group": 1}, "did you mean"), ({"groups": -1}, "no value"), ({"patches": 1}, "true or false")],
)
def test_auxiliary_losses_that_cannot_be_are_a_clear_error(plain, options, said):
    with pytest.raises(UserError) as raised:
        chosen(plain, options)
    assert said in str(raised.value)


def test_queries_that_stand_nowhere_get_no_company(plain):
    stock = plain.clone()
    stock.stages[0].embed.seeded = False
    assert chosen(stock, {"every": 6}) == AuxiliaryLosses(every=6)
    with pytest.raises(UserError, match="stand nowhere"):
        chosen(stock, {"denoise": 1})
