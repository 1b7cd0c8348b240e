"""SSDLite looked into: the map after a trunk block, and its energy, which stands for attention."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.detector import Detector
from models.inspector import FeatureMap, Inspector
from models.ssdlite.exits import EARLY, LATE, trunk_stages


def after_blocks(detector: Detector, after: Sequence[int], images: Tensor) -> list[FeatureMap]:
    """SSDLite: the map after the given trunk blocks. A convolution has no attention of its own; what stands for it is
    the map's energy (`energy`)."""
    (stage,) = trunk_stages(detector)
    full, x, found = stage.head, images, []
    first, *rest = full.tail
    blocks = [*stage.blocks, nn.Sequential(full.c4, first), *rest]
    for number, block in enumerate(blocks[: max(after) + 1]):
        x = block(x)
        if number in after:
            found.append(FeatureMap(x, energy(x)))
    return found


def energy(map: Tensor) -> Tensor:
    """Activation-based attention (Zagoruyko and Komodakis 2017): squares summed over channels, as shares [N, h, w];
    even where a map is all zeros."""
    largest = map.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-30)  # or squares of small maps would be none
    squares = (map / largest).square().sum(1) + 1e-12
    return squares / squares.sum((1, 2), keepdim=True)


INSPECTOR = Inspector(
    "block", lambda detector: range(EARLY.start, LATE.stop), usual=(6, 8, 10, 12, 14, 16), feature_maps=after_blocks
)
