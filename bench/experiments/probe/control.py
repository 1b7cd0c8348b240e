"""The number to beat: an untrained trunk of the same shape. A linear layer makes something of random features too."""

from __future__ import annotations

import torch
from torch import nn

from models.detector import Detector


def untrained(detector: Detector, seed: int) -> Detector:
    """Copy a detector and give the copy fresh weights.

    Convolutions are drawn as He et al. (2015) do, which keeps their activations from vanishing, linear layers as in
    vision transformers; normalisations are as new. Parameters of no such layer, such as position embeddings, stay.

    Args:
        detector: the one to copy.
        seed: of the weights.

    Returns:
        The copy, in eval mode.
    """
    made = detector.clone()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in made.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
            elif isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
                module.reset_parameters()
                continue
            else:
                continue
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return made.eval()
