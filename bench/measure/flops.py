"""FLOPs of the path that each exit really takes, counted twice by independent means.

A FLOP here is one multiply-add of a convolution, a linear layer or attention. Normalisation, activations, pooling and
resizing are left out, being a few percent, and so are decoding and NMS, which are no multiply-adds. Published figures
often count two per multiply-add.
"""

from __future__ import annotations

import contextlib
import copy
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import get_shape
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.detector import Stage

MULTIPLY_ADDS = ("conv", "linear", "addmm", "mm", "bmm", "matmul", "einsum", "scaled_dot_product_attention")
TOLERANCE = 0.05


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of a part of a network, one counting as one.

    Attributes:
        flops: counted by fvcore.
        cross_check: counted by torch's FlopCounterMode, halved since it counts two per multiply-add.
    """

    flops: int
    cross_check: int

    @property
    def agree(self) -> bool:
        """Whether the two counts differ by at most 5 %.

        If not, one of them misses an operator, or the stage computes what none of its outputs needs: torch counts all
        that runs, fvcore what reaches an output.
        """
        return abs(self.flops - self.cross_check) <= TOLERANCE * self.cross_check

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.flops + other.flops, self.cross_check + other.cross_check)


def flops_per_exit(stages: Sequence[Stage], state: tuple[Tensor, ...]) -> list[Cost]:
    """The cost of an answer at each exit: all stages up to it, with every exit head on the way.

    Args:
        stages: of a detector, counted in eval mode on a copy.
        state: the first state, `(images [1, 3, H, W],)`, on the stages' device.

    Returns:
        Cumulative costs, one per exit.
    """
    costs = []
    with torch.no_grad(), _plain_attention():
        for stage in stages:
            flat = copy.deepcopy(_Flat(stage)).eval()
            costs.append(Cost(_by_fvcore(flat, state), _by_torch(flat, state)))
            state, _ = flat.stage(*state)
    return list(accumulate(costs))


def parameters(module: nn.Module) -> int:
    """How many parameters a module has; shared ones count once.

    Args:
        module: any module.

    Returns:
        The number of parameters.
    """
    return sum(parameter.numel() for parameter in module.parameters())


class _Flat(nn.Module):
    """A stage that returns all its tensors in one flat tuple, which can be traced even if no state follows."""

    def __init__(self, stage: Stage):
        super().__init__()
        self.stage = stage

    def forward(self, *state: Tensor) -> tuple[Tensor, ...]:
        following, raw = self.stage(*state)
        return (*following, *raw)


def _by_fvcore(module: nn.Module, state: tuple[Tensor, ...]) -> int:
    analysis = FlopCountAnalysis(module, state)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.set_op_handle("aten::scaled_dot_product_attention", _attention)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = analysis.by_operator()
    return int(sum(counts[name] for name in MULTIPLY_ADDS))


def _by_torch(module: nn.Module, state: tuple[Tensor, ...]) -> int:
    with FlopCounterMode(display=False) as counter:
        module(*state)
    return counter.get_total_flops() // 2


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Multiply-adds of softmax(q k^T) v: q [..., L, E], k [..., S, E], v [..., S, V]. fvcore knows none."""
    (*_, queries, width), (*_, keys, _), (*_, values) = (get_shape(value) for value in inputs[:3])
    *batch, _, _ = get_shape(inputs[0])
    return math.prod(batch) * queries * keys * (width + values)


@contextlib.contextmanager
def _plain_attention() -> Iterator[None]:
    """Keep nn.MultiheadAttention off its fused inference kernel, in which both counters see nothing."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
