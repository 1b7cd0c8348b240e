"""Which row of a class head a class has: by name, by COCO's ids, or by order."""

from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights

from models.class_rows import COCO_NAMES, rows_by_count, rows_by_name, without_row

NAMES = sorted({name for name in COCO_NAMES if name != "N/A"})


def test_coco_has_the_names_that_torchvision_says():
    theirs = SSDLite320_MobileNet_V3_Large_Weights.COCO_V1.meta["categories"]
    assert list(COCO_NAMES[1:]) == theirs[1:]
    assert len(NAMES) == 80


@given(st.lists(st.sampled_from(NAMES), min_size=1, unique=True), st.sampled_from("_- "), st.booleans())
def test_names_match_whatever_their_case_and_dashes(names, between, loud):
    asked = [name.replace(" ", between) for name in names]
    found = rows_by_name(COCO_NAMES, [name.title() if loud else name for name in asked])
    assert [COCO_NAMES[row] for row in found] == names


def test_what_is_not_named_has_no_row():
    assert rows_by_name(COCO_NAMES, ("bolt", "N/A", "dog", "")) == (None, None, 18, None)
    assert without_row(("bolt", "dog"), (None, 18)) == ("bolt",)


def test_as_many_rows_as_coco_has_are_cocos():
    assert rows_by_count(90, 90, ("dog", "bolt"), first=1) == (18, None)
    assert rows_by_count(91, 91, ("dog", "bolt"), first=0) == (18, None)


def test_as_many_rows_as_classes_are_taken_in_order_unless_all_are_cocos():
    assert rows_by_count(2, 90, ("dog", "bolt"), first=1) == (1, 2)
    assert rows_by_count(2, 91, ("dog", "bolt"), first=0) == (0, 1)
    mine = (*NAMES, *(f"own {k}" for k in range(10)))
    assert rows_by_count(90, 90, mine, first=1) == tuple(range(1, 91))
    theirs = (*NAMES, *(name.upper() for name in NAMES[:10]))
    assert rows_by_count(90, 90, theirs, first=1) == rows_by_name(COCO_NAMES, theirs)


def test_any_other_number_of_rows_says_nothing():
    assert rows_by_count(20, 90, ("dog", "bolt"), first=1) == (None, None)
