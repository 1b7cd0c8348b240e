"""Which images to look at: some of every split, that show as many classes between them as they can."""

from __future__ import annotations

import numpy as np

from bench.data.split import ROLES, Dataset, Role
from models.errors import UserError

Pick = tuple[Role, int]


def sample(data: Dataset, images: int, seed: int) -> list[Pick]:
    """Choose images.

    The splits take turns, and each chooses the image that shows most classes of which none is chosen yet. Images
    without a box come last, but for one where there is room for more than one image a split, and those that a split
    has nothing else than.

    Args:
        data: what was read.
        images: how many to choose; all where there are fewer.
        seed: of the order among equals.

    Returns:
        Split and index of each, split by split.

    Raises:
        UserError: less than one is asked for.
    """
    if images < 1:
        raise UserError(f"there is nothing to see in {images} images", where="--images", fix="ask for at least 1")
    rng = np.random.default_rng(seed)
    held = {split.role: [frozenset(one.labels.tolist()) for one in split.examples] for split in data.splits}
    order = {role: rng.permutation(len(labels)).tolist() for role, labels in held.items()}
    full = {role: [i for i in order[role] if held[role][i]] for role in ROLES}
    bare: list[Pick] = [(role, i) for role in ROLES for i in order[role] if not held[role][i]]
    bare = [bare[i] for i in rng.permutation(len(bare))]
    only = [next(one for one in bare if one[0] == role) for role in ROLES if not full[role]]
    first = only or bare[: images - len(ROLES)][:1]
    picks, seen = first if images >= len(ROLES) else [], frozenset[int]()
    while len(picks) < images and any(full.values()):
        for role in ROLES:
            if len(picks) < images and full[role]:
                labels = held[role]
                best = max(full[role], key=lambda i: len(labels[i] - seen))
                full[role].remove(best)
                picks.append((role, best))
                seen |= labels[best]
    picks += [one for one in bare if one not in picks][: images - len(picks)]
    return sorted(picks, key=lambda pick: (ROLES.index(pick[0]), pick[1]))
