"""A detector cut into a chain: its last exit answers as before, wherever it is cut, and the inner ones have answers for
the same anchors."""

import numpy as np
import pytest
import torch

from models.detector import Targets
from models.pixels import CENTRED
from models.ssdlite.exits import EARLY, LATE, add_exits, alone, pretrained_modules, truncated
from models.ssdlite.network import divided, ssdlite

PICTURE = CENTRED(torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 160, 160, 3), dtype=np.uint8)))
EVERYWHERE = (*EARLY, *LATE)


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(2)
    return ssdlite(("a", "b"), 160).eval()


@pytest.mark.parametrize("head", ["pyramid", "light"])
@pytest.mark.parametrize("after", [(8, 12), (6, 9), (12, 14), (13,), (16,), EVERYWHERE])
@torch.inference_mode()
def test_the_last_answer_stays_as_it_was(plain, after, head):
    staged = add_exits(plain, after, (16,) * len(after), head=head).eval()
    answers = staged(PICTURE)
    assert len(answers) == staged.exits == len(after) + 1
    (whole,) = plain(PICTURE)
    assert torch.equal(answers[-1][0], whole[0])
    assert torch.equal(answers[-1][1], whole[1])
    assert all(raw[0].shape == whole[0].shape and raw[1].shape == whole[1].shape for raw in answers)


@torch.inference_mode()
def test_late_exits_share_the_finest_level_and_nothing_else(plain):
    *_, first, second, last = add_exits(plain, (12, 13, 15), (16, 16, 16)).eval()(PICTURE)
    finest = 10 * 10 * 6
    for raw in (first, second):
        assert torch.equal(raw[0][:, :finest], last[0][:, :finest])
        assert not torch.equal(raw[0][:, finest:], last[0][:, finest:])


@torch.inference_mode()
def test_early_localisation_has_late_classes_and_early_boxes(plain):
    staged = add_exits(plain, (8, 12), (16, 16), localise=True).eval()
    *_, early, last = staged(PICTURE)
    assert torch.equal(last[0], plain(PICTURE)[0][0])
    assert torch.equal(last[1], early[1])
    count = sum(p.numel() for module in pretrained_modules(staged) for p in module.parameters(recurse=False))
    dropped = sum(p.numel() for p in plain.stages[0].head.head.regression_head.parameters())
    assert count == sum(p.numel() for p in plain.parameters()) - dropped


def test_context_is_the_previous_exits_answer_and_starts_silent(plain):
    deaf = add_exits(plain, (8, 12), (16, 16), context="none")
    assert all(stage.mix is None for stage in deaf.stages)
    told = add_exits(plain, (8, 12), (16, 16)).eval()
    before = [raw[0].clone() for raw in told(PICTURE)]
    for stage in told.stages[1:]:
        torch.nn.init.normal_(stage.mix.weight)
    after = [raw[0] for raw in told(PICTURE)]
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])
    assert not torch.equal(before[2], after[2])


def test_walking_runs_no_stage_that_is_not_asked_for(plain):
    staged = add_exits(plain, (8, 14), (16, 16)).eval()
    ran = []
    for number, stage in enumerate(staged.stages):
        stage.register_forward_hook(lambda *_, number=number: ran.append(number))
    next(staged.walk(PICTURE))
    assert ran == [0]


@pytest.mark.parametrize("after", [(8, 8), (12, 8), (5,), (17,)])
def test_impossible_positions(plain, after):
    with pytest.raises(ValueError, match="increasing"):
        add_exits(plain, after, (16,) * len(after))


@pytest.mark.parametrize("options", [{"rescale": True}, {"localise": True}])
def test_what_late_exits_cannot_do(plain, options):
    with pytest.raises(ValueError, match=r"within 6\.\.12"):
        add_exits(plain, (12, 14), (16, 16), **options)


@torch.inference_mode()
def test_an_exit_alone_answers_as_in_the_chain(plain):
    chain = add_exits(plain, EVERYWHERE, (8,) * len(EVERYWHERE), context="none").eval()
    for exit, raw in enumerate(chain(PICTURE)[:-1]):
        (only,) = alone(chain, exit).eval()(PICTURE)
        assert torch.allclose(only[0], raw[0], atol=1e-5)
        assert torch.allclose(only[1], raw[1], atol=1e-5)
    with pytest.raises(ValueError, match="exit 2 reads the context"):
        alone(add_exits(plain, (8, 12), (8, 8)), 1)


@pytest.mark.parametrize("after", [8, 14])
@torch.inference_mode()
def test_truncated_is_the_first_stage_alone(plain, after):
    torch.manual_seed(5)
    short = truncated(plain, after, 16).eval()
    assert short.exits == 1
    state, raw = short.stages[0](PICTURE)
    assert state == ()
    assert raw[0].shape == plain(PICTURE)[0][0].shape


def test_pretrained_is_all_but_heads_and_mixes(plain):
    staged = add_exits(plain, (8, 12), (16, 16))
    old = {id(p) for module in pretrained_modules(staged) for p in module.parameters()}
    names = {name for name, p in staged.named_parameters() if id(p) not in old}
    assert {name.split(".")[2] for name in names} == {"head", "mix"}
    assert not any(name.startswith("stages.2.head") for name in names)


@pytest.mark.parametrize("attend", ["se", "cbam", "none"])
def test_every_attention_trains(plain, attend):
    staged = add_exits(plain, (8,), (16,), attend=attend).train()
    boxes, labels = torch.tensor([[[0.1, 0.1, 0.6, 0.6]]] * 2), torch.ones(2, 1, dtype=torch.long)
    targets = Targets(boxes, labels, torch.zeros(2, 1).bool())
    losses = staged.loss(staged(torch.randn(2, 3, 160, 160)), targets)
    sum(losses[0].values()).backward()
    assert all(p.grad is not None for p in staged.stages[0].head.enter.parameters())


def test_gradient_equilibrium_divides_what_flows_back_and_nothing_else():
    x = torch.randn(3, 4, requires_grad=True)
    mine, theirs = divided(x, 0.25)
    assert torch.equal(mine, x)
    assert torch.equal(theirs, x)
    (2 * mine.sum() + 4 * theirs.sum()).backward()
    assert torch.allclose(x.grad, torch.full_like(x, 0.25 * 2 + 0.75 * 4))


def test_each_of_many_exits_has_its_share_of_the_trunk(plain):
    """With equal gradients from every exit, what reaches the first block is as if there were one."""
    staged = add_exits(plain, (8, 12), (16, 16), rescale=True, context="none")
    assert [stage.share for stage in staged.stages[:-1]] == [1 / 3, 1 / 2]
    x = torch.ones(1, requires_grad=True)
    first, rest = divided(x, 1 / 3)
    second, last = divided(rest, 1 / 2)
    (first + second + last).backward()
    assert float(x.grad) == pytest.approx(1.0)
