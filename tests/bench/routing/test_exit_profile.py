"""Who leaves early: groups that hold every image once, and shares whose answer is known."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.shapes import shapes
from bench.routing.exit_profile import NO_BOXES, crowding, exit_profile, factors, terciles

SIDE = 100


def world(*boxes, classes=("a", "b"), difficulty=None):
    """One image of 100 x 100 px per argument, ids 10, 11, ...; each a list of (x, y, w, h, class, crowd)."""
    images = [{"id": 10 + i, "width": SIDE, "height": SIDE} for i in range(len(boxes))]
    for image, known in zip(images, difficulty or [], strict=False):
        image["difficulty"] = known
    annotations = [
        {"id": 0, "image_id": 10 + i, "category_id": kind, "bbox": [x, y, w, h], "area": w * h, "iscrowd": crowd}
        for i, own in enumerate(boxes)
        for x, y, w, h, kind, crowd in own
    ]
    categories = [{"id": k, "name": name} for k, name in enumerate(classes, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}, range(10, 10 + len(boxes))


def box(side, at=0, kind=1, crowd=0):
    return at, at, side, side, kind, crowd


def by_group(found) -> dict[str, dict[str, tuple[int, tuple[float, ...]]]]:
    shown: dict[str, dict] = {}
    for one in found:
        shown.setdefault(one.factor, {})[one.group] = one.images, one.exit_share
    return shown


def test_a_planted_world():
    truth, ids = world(
        [],
        [box(10)],
        [box(20), box(20, at=50)],
        [box(40), box(40, at=20, kind=2), box(90, crowd=1)],
        [box(50), box(50), box(50, kind=2), box(50)],
        [box(60)],
        [box(90, crowd=1)],
    )
    found = by_group(exit_profile(truth, ids, np.array([0, 0, 0, 1, 2, 2, 0]), 3))
    assert found == {
        "object size": {
            "low (0.10 to 0.20)": (2, (1, 0, 0)),
            "middle (0.40)": (1, (0, 1, 0)),
            "high (0.50 to 0.60)": (2, (0, 0, 1)),
            NO_BOXES: (2, (1, 0, 0)),
        },
        "objects": {
            "0": (2, (1, 0, 0)),
            "1": (2, (0.5, 0, 0.5)),
            "2-3": (2, (0.5, 0.5, 0)),
            "4+": (1, (0, 0, 1)),
        },
        "crowding": {"low (0.00)": (5, (0.8, 0, 0.2)), "high (0.14 to 1.00)": (2, (0, 0.5, 0.5))},
        "class": {"a": (5, (0.4, 0.2, 0.4)), "b": (2, (0, 0.5, 0.5))},
    }


def test_what_tells_no_images_apart_is_left_out():
    truth, ids = world([box(10)], [box(10, at=30)], [box(10, at=60)], classes=("a",))
    assert exit_profile(truth, ids, np.array([0, 1, 0]), 2) == []
    truth, ids = world([box(10)], [box(20)], classes=("a", "b"))
    assert set(by_group(exit_profile(truth, ids, np.array([0, 1]), 2))) == {"object size"}


def test_difficulty_where_it_is_known():
    known = [{"difficulty": v, "clutter": 1 - v, "contrast": v, "object_size": v, "count": 1} for v in (0.1, 0.5, 0.9)]
    truth, ids = world([box(10)], [], [box(10)], difficulty=known)
    found = by_group(exit_profile(truth, ids, np.array([0, 1, 2]), 3))
    assert set(found) == {"object size", "objects", "difficulty", "clutter", "contrast"}
    assert found["clutter"]["low (0.10)"] == (1, (0, 0, 1))
    assert list(found["difficulty"]) == ["low (0.10)", "middle (0.50)", "high (0.90)"]
    assert list(found["contrast"]) == ["low (0.10)", "high (0.90)", NO_BOXES]
    del truth["images"][2]["difficulty"]
    assert "clutter" not in factors(truth, ids), "known of some images only"


def test_generated_images_of_which_all_is_known():
    test = shapes(seed=0, train=1, val=1, test=60, size=96).test
    ids = [example.id for example in test.examples]
    found = factors(test.coco(), ids)
    expected = ["object size", "objects", "crowding", "class", "difficulty", "clutter", "contrast", "occlusion"]
    assert list(found) == expected
    sizes = np.array([example.difficulty["object_size"] for example in test.examples])
    low, middle, high = (sizes[members] for name, members in found["object size"].items() if name != NO_BOXES)
    assert low.max() < middle.min()
    assert middle.max() < high.min()


images = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 50),
            st.integers(0, 50),
            st.integers(1, 50),
            st.integers(1, 50),
            st.integers(1, 2),
            st.sampled_from([0, 0, 0, 1]),
        ),
        max_size=5,
    ),
    min_size=1,
    max_size=20,
)


@given(images, st.data())
def test_the_groups_of_a_factor_make_up_all_images(boxes, data):
    hard = [{"clutter": data.draw(st.sampled_from([0.0, 0.2, 0.5, 0.9])), "contrast": 0.5} for _ in boxes]
    truth, ids = world(*boxes, difficulty=hard)
    exits = np.array([data.draw(st.integers(0, 2)) for _ in boxes])
    found = by_group(exit_profile(truth, ids, exits, 3))
    for groups in (groups for factor, groups in found.items() if factor != "class"):
        counts, shares = zip(*groups.values(), strict=True)
        assert len(groups) > 1
        assert sum(counts) == len(boxes)
        overall = np.bincount(exits, minlength=3) / len(boxes)
        assert np.average(shares, axis=0, weights=counts) == pytest.approx(overall)


@given(st.lists(st.integers(0, 10**6), min_size=3, unique=True))
def test_thirds_are_thirds_in_order(values):
    groups = terciles(np.array(values) / 7)
    low, middle, high, undefined = groups.values()
    sizes = [members.sum() for members in (low, middle, high)]
    assert max(sizes) - min(sizes) <= 1
    assert not undefined.any()
    ordered = np.array(values)
    assert ordered[low].max() < ordered[middle].min() <= ordered[middle].max() < ordered[high].min()
    assert [name.split()[0] for name in groups][:3] == ["low", "middle", "high"]


@given(st.lists(st.integers(0, 3), min_size=1))
def test_equal_values_stay_together(values):
    for members in terciles(np.array(values, float)).values():
        inside, outside = np.array(values)[members], np.array(values)[~members]
        assert not set(inside) & set(outside)


def intersection_over_union(a, b) -> float:
    """On a grid of whole pixels, by counting them."""
    one, other = (np.zeros((SIDE, SIDE), bool) for _ in range(2))
    for mask, (x1, y1, x2, y2) in ((one, a), (other, b)):
        mask[y1:y2, x1:x2] = True
    return (one & other).sum() / (one | other).sum()


@given(images.filter(any))
def test_crowding_is_the_largest_overlap_of_any_two(boxes):
    corners = np.array([[x, y, x + w, y + h] for own in boxes for x, y, w, h, *_ in own][:6])
    expected = max((intersection_over_union(a, b) for a, b in combinations(corners, 2)), default=0)
    assert crowding(corners.astype(float)) == pytest.approx(expected)
