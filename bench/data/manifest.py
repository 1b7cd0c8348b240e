"""The id lists that are committed next to results in place of the images (`splits.json`).

And the check that a dataset built somewhere else is the same one.
"""

from collections.abc import Mapping
from typing import Any

from bench.data.split import Dataset, Role, Split
from models.errors import UserError


def manifest(dataset: Dataset) -> dict[str, Any]:
    """What identifies a dataset, ready for JSON.

    Args:
        dataset: the dataset.

    Returns:
        Its name, its classes and, per split, role, ids and hash; of data on disk the names of the images too, what was
        read and how it was dealt.
    """
    reading = dataset.reading
    splits = [
        {"role": split.role, "ids": [example.id for example in split.examples], "hash": split.hash}
        | ({"names": list(reading.names[split.role])} if reading and split.role in reading.names else {})
        for split in dataset.splits
    ]
    found: dict[str, Any] = {"name": dataset.name, "classes": list(dataset.classes), "splits": splits}
    if reading is not None:
        found["reading"] = {"layout": reading.layout, "notes": dict(reading.notes), "split": reading.split}
    return found


def differences(dataset: Dataset, manifest: Mapping[str, Any]) -> dict[Role, str]:
    """What is not as a manifest has it.

    Args:
        dataset: the dataset at hand.
        manifest: as `manifest` wrote it.

    Returns:
        The difference, in words, of each split that has one.

    Raises:
        UserError: the classes are others, or the manifest is malformed.
    """
    try:
        classes = list(manifest["classes"])
        wanted = {entry["role"]: (list(entry["ids"]), entry["hash"]) for entry in manifest["splits"]}
        stored = [wanted[split.role] for split in dataset.splits]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"not a manifest of splits: {error} is missing or of the wrong kind",
            where="splits",
            fix="write it again from the dataset",
        ) from error
    if classes != list(dataset.classes):
        raise UserError(f"classes are {list(dataset.classes)}, the manifest has {classes}", where=dataset.name)
    return {
        split.role: _difference(split, ids)
        for split, (ids, split_hash) in zip(dataset.splits, stored, strict=True)
        if split.hash != split_hash
    }


def check_manifest(dataset: Dataset, manifest: Mapping[str, Any]) -> None:
    """Check that a dataset is the one that a manifest was written from.

    Args:
        dataset: the dataset at hand.
        manifest: as `manifest` wrote it.

    Raises:
        UserError: it is another dataset, with the first difference, or the manifest is malformed.
    """
    for role, what in differences(dataset, manifest).items():
        raise UserError(
            f"the {role} split is not the one in the manifest: {what}",
            where=dataset.name,
            fix="rebuild the dataset from the same source, or measure everything again on this one",
        )


def _difference(split: Split, wanted: list[int]) -> str:
    ids = [example.id for example in split.examples]
    here, there = set(ids), set(wanted)
    missing, extra = [i for i in wanted if i not in here], [i for i in ids if i not in there]
    if missing or extra:
        parts = [
            f"{len(some)} {word} ids ({_some(some)})" for word, some in (("missing", missing), ("extra", extra)) if some
        ]
        return ", ".join(parts)
    if ids != wanted:
        return "the same ids in another order"
    return "the same ids, but boxes, labels or images have changed"


def _some(ids: list[int], limit: int = 5) -> str:
    return ", ".join(map(str, ids[:limit])) + (", ..." if len(ids) > limit else "")
