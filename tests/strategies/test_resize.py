"""Smaller inputs, the same weights."""

import torch

from strategies.resize import Resize
from tests.support.toys import apply, candidate


def test_resizing_keeps_the_weights_and_sees_less():
    start = candidate(size=160)
    made, calls = apply(Resize(epochs=1, learning_rate=1e-3, scales=(0.8, 0.61)), start)
    assert [(one.variant, one.detector.size) for one in made] == [("128px", 128), ("96px", 96)]
    for one in made:
        assert one.detector.state_dict().keys() == start.detector.state_dict().keys()
        size = one.detector.size
        logits, code = one.detector(torch.randn(1, 3, size, size))[0]
        assert logits.shape[1] == one.detector.decoders[0](code).shape[1] == len(one.detector.loss.anchors)
    assert len(calls) == 2
