"""The contact sheet draws every box where it is and in its class's colour, and survives any image and any name."""

import warnings

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from bench.data.images import Files
from bench.data.split import ROLES, Dataset, Split
from bench.report.contact_sheet import EDGE, ENLARGED, GAP, class_colours, contact_sheet
from models.errors import UserError
from tests.support.boxed import GREY, boxed, example, scattered
from tests.support.seen import check_apart, pixels, texts, where

ODD = "a very long name\nwith \x1b[31m strange $x_1$ and $broken characters 人 in it"
ODDITIES = {
    "one image a split": [[(50, 50, [(1, 10, 10, 40, 40)])]] * 3,
    "no box": [[(50, 50, [])]] * 3,
    "a pixel": [[(1, 1, [(1, 0, 0, 1, 1)])]] * 3,
    "long and thin": [[(6000, 1, [(1, 0, 0, 9, 1)])], [(1, 6000, [(-1, 0, 0, 1, 9)])], [(4000, 30, [(1, 5, 5, 9, 9)])]],
    "huge": [[(5000, 4000, [(1, 0, 0, 5000, 4000), (1, 3, 3, 4, 4)])], *[[(9, 9, [])]] * 2],
    "a crowd": [scattered(12, 2, np.random.default_rng(k)) for k in range(3)],
    "boxes of no area": [[(50, 50, [(1, 50, 50, 50, 50), (2, 49.9, 49.9, 50, 50)])]] * 3,
}


@pytest.mark.parametrize("classes", [2, 12, 200])
@pytest.mark.parametrize("parts", ODDITIES.values(), ids=list(ODDITIES))
def test_whatever_the_data_nothing_covers_anything_or_warns(parts, classes):
    names = tuple(f"{k} {ODD}" for k in range(classes))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = contact_sheet(boxed(parts, names, name=ODD * 5))
        check_apart(figure)
    assert figure.canvas.get_width_height()[0] == 1600


def test_dollars_are_no_mathematics():
    bad = r"$\q$"
    figure = contact_sheet(boxed([[(100, 60, [(1, 20, 10, 50, 40)])]] * 3, (bad, "b"), bad))
    figure.canvas.draw()
    shown = [text.get_text() for text in texts(figure)]
    assert shown.count(bad) == 3 + 1
    assert {f"{bad}: 3 of 3 images, seed 0", f"100 x 60 px: 1 {bad}"} <= set(shown)


def thumbnail(image: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the grey image at the upper left."""
    grey = where(image, f"#{GREY:02x}{GREY:02x}{GREY:02x}")
    columns, rows = (np.flatnonzero(grey.sum(axis=k) > 100) for k in (0, 1))  # text has greys, but few
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def test_lines_are_where_the_box_is_and_have_its_colour(tmp_path):
    """Alone on a sheet, 100 x 60 px eight times magnified."""
    data = boxed([[(100, 60, [(1, 20, 10, 50, 40), (2, 70, 20, 90, 50)])], *[[(9, 9, [])]] * 2], ("a", "b"))
    image = pixels(contact_sheet(data, images=1), tmp_path)
    left, top, right, bottom = thumbnail(image)
    assert (right - left, bottom - top) == (100 * ENLARGED, 60 * ENLARGED)
    for colour, box in zip(class_colours(2), ((20, 10, 50, 40), (70, 20, 90, 50)), strict=True):
        x1, y1, x2, y2 = (ENLARGED * value for value in box)
        seen = where(image, colour)[top:bottom, left:right]
        for line in (seen[y1 - 2 : y1, x1:x2], seen[y2 : y2 + 2, x1:x2]):
            assert line.all()
        for line in (seen[y1:y2, x1 - 2 : x1], seen[y1:y2, x2 : x2 + 2]):
            assert line.all()
        assert not seen[y1 + 20 : y2 - 20, x1 + 10 : x2 - 10].any()


def test_an_ignore_region_is_dashed(tmp_path):
    data = boxed([[(100, 60, [(-1, 20, 10, 50, 40)])], *[[(9, 9, [])]] * 2], ("a",))
    figure = contact_sheet(data, images=1)
    image = pixels(figure, tmp_path)
    left, top, _, _ = thumbnail(image)
    line = where(image, class_colours(1)[0])[top + 80 - 2, left + 160 : left + 400]
    assert 0.4 < line.mean() < 0.7
    assert "1 ignored" in "".join(text.get_text() for text in texts(figure))
    assert "planted: 1 of 3 images, seed 0; dashed: ignore regions" in [text.get_text() for text in texts(figure)]


def test_boxes_at_the_border_and_tiny_ones_have_lines(tmp_path):
    data = boxed([[(2000, 1000, [(1, 0, 0, 2000, 1000), (2, 1000, 500, 1001, 501)])], *[[(9, 9, [])]] * 2])
    image = pixels(contact_sheet(data, images=1), tmp_path)
    whole, tiny = (where(image, colour) for colour in class_colours(2))
    rows, columns = np.flatnonzero(whole.sum(axis=1) > 800), np.flatnonzero(whole.sum(axis=0) > 400)
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    assert left == EDGE
    assert abs((right - left) / (bottom - top) - 2) < 0.01
    rows, columns = np.nonzero(tiny[top:bottom, left:right])
    assert (np.abs(rows / (bottom - top) - 0.5) < 0.05).mean() > 0.1
    assert len(columns) > 4


def test_an_image_is_shown_as_it_is(tmp_path):
    """Photographs are shrunk from their files, each on its own."""
    rng = np.random.default_rng(0)
    splits = []
    for number, role in enumerate(ROLES):
        pixel = rng.integers(0, 255, 3)
        path = tmp_path / "deep" / "folder" / role / "the same.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.tile(pixel, (1080, 1920, 1)).astype(np.uint8)).save(path)
        splits.append(Split(role, ("a",), (example(number, 1920, 1080, []),), Files([path])))
    figure = contact_sheet(Dataset("files", ("a",), *splits))
    image = pixels(figure, tmp_path)
    shown = [text.get_text() for text in texts(figure)]
    room = (1600 - 2 * EDGE - 2 * GAP) // 3
    for number, (role, split) in enumerate(zip(ROLES, splits, strict=True)):
        x = EDGE + number * (room + GAP) + room // 2
        assert (image[200, x] == split.image(0)[0, 0]).all()
        assert f"{role}/the same.png" in shown
        assert role in shown
    assert shown.count("1920 x 1080 px: no box") == 3


def test_a_name_stands_at_boxes_of_every_class_in_the_image():
    boxes = [(k, 10, 60 * k, 300, 60 * k + 40) for k in range(1, 15)]
    names = tuple(f"class{k}" for k in range(1, 15))
    figure = contact_sheet(boxed([[(1000, 1000, boxes)], *[[(9, 9, [])]] * 2], names), images=1)
    assert set(names) <= {text.get_text() for text in texts(figure)}


def test_a_legend_where_there_are_few_classes():
    for classes, there in ((12, True), (13, False)):
        names = tuple(f"class{k}" for k in range(classes))
        data = boxed([[(20, 20, [])]] * 3, names)
        assert ({text.get_text() for text in texts(contact_sheet(data))} >= set(names)) == there


def test_every_class_has_its_own_colour():
    assert len(set(class_colours(300))) == 300
    few = np.array([to_rgb(colour) for colour in class_colours(12)])
    apart = np.abs(few[:, None] - few[None]).sum(axis=2) + 9 * np.eye(12)
    assert apart.min() > 0.25


def test_as_many_images_as_are_asked_for():
    data = boxed([scattered(20, 2, np.random.default_rng(k)) for k in range(3)])
    for images in (1, 5, 24):
        shown = [text.get_text() for text in texts(contact_sheet(data, images=images, seed=3))]
        assert any(text.startswith(f"planted: {images} of 60 images, seed 3") for text in shown)
        assert sum(text in ROLES for text in shown) == images
    with pytest.raises(UserError, match="ask for at least 1"):
        contact_sheet(data, images=0)
