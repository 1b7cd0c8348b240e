"""Dealing images to train, val and test by shares, so that what belongs together stays together."""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.data.found import Labelled
from bench.data.options import Options
from bench.data.split import ROLES, Role
from models.errors import UserError

Parts = Mapping["Role | None", Sequence[Labelled]]

T = TypeVar("T")
EXAMPLE = "80/10/10"


class NotDivided(UserError):
    """Splits are missing, and nothing says how to deal."""


@dataclass(frozen=True)
class Dealing:
    """How the three splits come about.

    Attributes:
        shares: of train, val and test, all images being dealt anew; of train and val, the training images being
            divided and the others being test; or None, the splits being there.
        by: what is never divided (`group_of`).
        seed: of the order.
    """

    shares: tuple[float, ...] | None
    by: str = "image"
    seed: int = 0

    @property
    def said(self) -> dict[str, Any] | None:
        """What a manifest says of it; None where nothing is dealt."""
        if self.shares is None:
            return None
        return {"shares": [round(share, 6) for share in self.shares], "by": self.by, "seed": self.seed}

    def parts(self, parts: Parts, hashes: Mapping[Path, str]) -> dict[Role, list[Labelled]]:
        """Deal.

        Args:
            parts: images as a reader found them.
            hashes: of their files.

        Returns:
            Images by split.

        Raises:
            UserError: there are fewer groups than splits, or an image has no group.
        """
        if self.shares is None:
            return {role: list(parts[role]) for role in ROLES}
        divided = [image for part in parts.values() for image in part] if len(self.shares) == 3 else parts["train"]
        groups = [group_of(image, hashes[image.path], self.by) for image in divided]
        found = dealt(divided, groups, self.shares, self.seed, where="--split")
        if len(self.shares) == 2:
            found.append([image for role in ("val", "test") for image in parts.get(role, ())])
        return dict(zip(ROLES, found, strict=True))


def plan(parts: Parts, options: Options) -> Dealing:
    """Decide how the splits come about.

    Args:
        parts: images as a reader found them.
        options: `split`, `split_by` and `split_seed`.

    Raises:
        UserError: splits are missing and nothing says how to deal, or what is asked for does not fit what is there.
    """
    there = [role for role in ROLES if role in parts]
    counts = " and ".join(f"{role} ({len(parts[role]):,} images)" for role in there)
    if options.split is None:
        for name in ("split_by", "split_seed"):
            if getattr(options, name) is not None:
                raise UserError(f"'{name}' needs 'split'", where="--data", fix=f"add --split {EXAMPLE}")
        if there == list(ROLES):
            return Dealing(None)
        everything = f"--split {EXAMPLE} deals all images anew, with a seed"
        if not there:
            what = f"its {sum(map(len, parts.values())):,} images are not divided into train, val and test"
            raise NotDivided(what, where="--data", fix=everything)
        what = f"there is {counts}, but no {' and no '.join(role for role in ROLES if role not in parts)}"
        held = [role for role in there if role != "train"]
        if "train" in there and held:
            everything += f"; --split 90/10 divides train into train and val, and what is {held[0]} here becomes test"
        raise NotDivided(what, where="--data", fix=everything)
    found = shares(options.split)
    if len(found) == 2 and (len(there) != 2 or "train" not in there):
        what = f"two shares divide train where val or test is there beside it; here is {counts or 'one undivided set'}"
        raise UserError(what, where=f"--split {options.split}", fix=f"give three, such as {EXAMPLE}")
    by = options.split_by or "image"
    if by not in ("image", "folder"):
        pattern(by)
    return Dealing(found, by, options.split_seed or 0)


def shares(text: str) -> tuple[float, ...]:
    """The shares in a text such as "80/10/10", "0.8,0.1,0.1" or "90/10".

    Args:
        text: two or three positive numbers that sum to 100 or to 1.

    Returns:
        Shares that sum to 1.

    Raises:
        UserError: it is something else.
    """
    fix = f"give the shares of train, val and test, such as {EXAMPLE}"
    try:
        parts = [float(part) for part in re.split("[/,]", text)]
    except ValueError:
        raise UserError("these are not numbers", where=f"--split {text}", fix=fix) from None
    if len(parts) not in (2, 3):
        raise UserError(f"there are {len(parts)} shares", where=f"--split {text}", fix=fix)
    total = sum(parts)
    if not (min(parts) > 0 and any(math.isclose(total, whole, rel_tol=1e-6) for whole in (1, 100))):
        raise UserError("the shares are not positive or do not sum to 100", where=f"--split {text}", fix=fix)
    return tuple(part / total for part in parts)


def group_of(image: Labelled, content: str, by: str) -> str:
    """What an image is never divided from.

    Args:
        image: the image.
        content: hash of its bytes, so that copies under other names stay together.
        by: "image"; "folder", the one that the image's name is in; or a regular expression, whose first group or else
            whole match in the name is taken. A layout that knows its groups, as videos, goes before "image".

    Raises:
        UserError: the expression does not match the name.
    """
    if by == "image":
        return content if image.group is None else image.group
    if by == "folder":
        return image.name.rpartition("/")[0]
    match = pattern(by).search(image.name)
    if match is None:
        raise UserError(f"{by!r} is not in the name {image.name!r}", where="--split-by", fix="write one that is in all")
    return match[1] if match.re.groups else match[0]


def pattern(by: str) -> re.Pattern[str]:
    """Compile a regular expression.

    Raises:
        UserError: it is none.
    """
    try:
        return re.compile(by)
    except re.error as error:
        fix = "write image, folder, or a regular expression on image names, such as '^[^_]+'"
        raise UserError(f"{by!r} is no regular expression: {error}", where="--split-by", fix=fix) from error


def dealt(items: Sequence[T], groups: Sequence[str], parts: Sequence[float], seed: int, where: str) -> list[list[T]]:
    """Deal items by shares, each group to one part.

    Big groups are dealt first, among equals the order is a hash of seed and group. Each goes to the part that has most
    left to get, and no part stays empty. What is dealt so depends on the items and the seed alone.

    Args:
        items: what is dealt.
        groups: what each belongs to.
        parts: shares that sum to 1.
        seed: of the order.
        where: an error points at.

    Returns:
        Items by part, in their order.

    Raises:
        UserError: there are fewer groups than parts.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for i, group in enumerate(groups):
        members[group].append(i)
    if len(members) < len(parts):
        what = f"{len(items)} images in {len(members)} groups cannot be dealt to {len(parts)} splits"
        raise UserError(what, where=where, fix="a split needs at least one image, and a group goes to one split")
    left = [float(count) for count in quotas(len(items), parts)]
    chosen: list[list[int]] = [[] for _ in parts]
    waiting = sorted(members, key=lambda group: (-len(members[group]), _position(seed, group)))
    for done, group in enumerate(waiting):
        empty = [part for part in range(len(parts)) if not chosen[part]]
        urgent = empty if len(waiting) - done == len(empty) else range(len(parts))
        target = max(urgent, key=lambda part: left[part])
        chosen[target] += members[group]
        left[target] -= len(members[group])
    return [[items[i] for i in sorted(part)] for part in chosen]


def quotas(count: int, parts: Sequence[float]) -> list[int]:
    """Whole numbers near the shares of a count: largest remainders, none of them 0 where that is possible.

    Args:
        count: what is shared out.
        parts: shares that sum to 1.
    """
    exact = [count * part for part in parts]
    found = [max(1, math.floor(value + 1e-9)) for value in exact]
    while sum(found) < count:
        found[max(range(len(parts)), key=lambda part: exact[part] - found[part])] += 1
    while sum(found) > count and max(found) > 1:
        found[max(range(len(parts)), key=lambda part: (found[part] > 1, found[part] - exact[part]))] -= 1
    return found


def _position(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}/{group}".encode(errors="surrogateescape")).digest()
