"""Which rows of a trained class head stand for the classes that are wanted, and which classes have none.

Rows are known by the names that weights bring, as COCO's when there are as many as COCO has ids, or by their order when
there are as many as classes.
"""

from __future__ import annotations

from collections.abc import Sequence

Rows = tuple["int | None", ...]  # one for each class; None: it begins fresh

COCO_NAMES: tuple[str, ...] = (  # by id; ids that COCO does not use are N/A, and 0 is nobody's
    *("N/A", "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "N/A", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "N/A", "backpack", "umbrella", "N/A", "N/A", "handbag", "tie"),
    *("suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove"),
    *("skateboard", "surfboard", "tennis racket", "bottle", "N/A", "wine glass", "cup", "fork", "knife", "spoon"),
    *("bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake"),
    *("chair", "couch", "potted plant", "bed", "N/A", "dining table", "N/A", "N/A", "toilet", "N/A", "tv", "laptop"),
    *("mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "N/A"),
    *("book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush"),
)


def folded(name: str) -> str:
    """A class's name as it is compared: in lower case, with spaces for `_` and `-`."""
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def rows_by_name(names: Sequence[str], classes: Sequence[str]) -> Rows:
    """The place of each class among the names of rows.

    Args:
        names: of all rows, in order; "N/A" names nothing.
        classes: that are wanted.
    """
    known = {folded(name): row for row, name in enumerate(names) if name != "N/A"}
    return tuple(known.get(folded(name)) for name in classes)


def rows_by_count(objects: int, coco: int, classes: Sequence[str], first: int) -> Rows:
    """The rows of weights that bring no names.

    Args:
        objects: how many rows they have for objects, background not counted.
        coco: how many they would have for COCO's ids.
        classes: that are wanted.
        first: the row of the first object, for weights of as many objects as classes.
    """
    if known_by_order(objects, coco, classes):
        return tuple(range(first, first + objects))
    return rows_by_name(COCO_NAMES, classes) if objects == coco else (None,) * len(classes)


def known_by_order(objects: int, coco: int, classes: Sequence[str]) -> bool:
    """Whether rows without names are taken for the classes one by one: there are as many, and COCO's do not fit.

    Args:
        objects: as of `rows_by_count`, like the others.
        coco: how many they would have for COCO's ids.
        classes: that are wanted.
    """
    return objects == len(classes) and (objects != coco or None in rows_by_name(COCO_NAMES, classes))


def without_row(classes: Sequence[str], rows: Rows) -> tuple[str, ...]:
    """The classes that begin fresh."""
    return tuple(name for name, row in zip(classes, rows, strict=True) if row is None)
