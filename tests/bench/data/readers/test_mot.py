"""MOT17: what counts as a pedestrian, what as a region to ignore, which frames and sequences end up where."""

from pathlib import Path

import pytest

from bench.data.dataset import settled
from bench.data.found import Found
from bench.data.options import Options
from bench.data.readers.mot import read, read_mot17, sees
from bench.data.spec import load
from bench.data.write import write
from models.errors import UserError
from tests.support.reread import draw, reread

WIDTH, HEIGHT = 40, 30
ALONE = {"train": (2,), "val": (11,), "test": (13,)}
PEDESTRIAN = "1,1,11,6,10,20,1,1,1.0"


def sequence(folder: Path, lines: list[str], frames: int = 3) -> Path:
    for frame in range(1, frames + 1):
        draw(folder / "img1" / f"{frame:06d}.jpg", WIDTH, HEIGHT)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate=30\nseqLength={frames}\n"
        f"imWidth={WIDTH}\nimHeight={HEIGHT}\nimExt=.jpg\n"
    )
    (folder / "gt").mkdir()
    (folder / "gt" / "gt.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def mot(tmp_path: Path) -> Path:
    for number in ("02", "11", "13"):
        sequence(tmp_path / f"MOT17-{number}-FRCNN", [PEDESTRIAN])
    return tmp_path


def gt(mot: Path, *lines: str) -> Path:
    path = mot / "MOT17-02-FRCNN" / "gt" / "gt.txt"
    path.write_text("\n".join(lines))
    return path


def whole(mot: Path, **options) -> Found:
    """What is found, none of it wrong."""
    found = read_mot17(mot, **{"sequences": ALONE, **options})
    found.faults.check("")
    return found


def first(mot: Path, **options):
    """The boxes of frame 1 of sequence 02 as x, y, width, height and whether they are ignored, and the notes."""
    found = whole(mot, **options)
    image = found.parts["train"][0]
    boxes = [
        ((x1, y1, x2 - x1, y2 - y1), crowd) for (x1, y1, x2, y2), crowd in zip(image.corners, image.crowd, strict=True)
    ]
    return boxes, found.notes


def test_written_and_read_again(mot, tmp_path):
    gt(mot, PEDESTRIAN, "1,2,1,1,40,30,1,1,0.5", "1,3,5,5,4,4,0,7,1", "3,1,12.5,6,10.25,20,1,1,1")
    write(settled(whole(mot, every=2), Options()), tmp_path / "out")
    found = reread(tmp_path / "out")
    assert found["train"] == {
        "MOT17-02/000001.jpg": [
            ("person", (10, 5, 10, 20), False),
            ("person", (0, 0, 40, 30), False),
            ("person", (4, 4, 4, 4), True),
        ],
        "MOT17-02/000003.jpg": [("person", (11.5, 5, 10.25, 20), False)],
    }
    assert list(found["val"]) == ["MOT17-11/000001.jpg", "MOT17-11/000003.jpg"]
    assert list(found["test"]) == ["MOT17-13/000001.jpg", "MOT17-13/000003.jpg"]


@pytest.mark.parametrize("kind", [2, 7, 8, 12, 13])
@pytest.mark.parametrize("considered", [0, 1])
def test_what_looks_like_a_person_is_ignored(mot, kind, considered):
    gt(mot, f"1,1,11,6,10,20,{considered},{kind},1")
    boxes, notes = first(mot)
    assert boxes == [((10, 5, 10, 20), True)]
    assert sum(notes[note] for note in notes if "ignore regions" in note) == 1


@pytest.mark.parametrize("kind", [3, 4, 5, 6, 9, 10, 11])
def test_vehicles_and_occluders_are_dropped(mot, kind):
    gt(mot, f"1,1,11,6,10,20,0,{kind},1", f"2,1,11,6,10,20,0,{kind},1")
    boxes, notes = first(mot, every=2)
    assert boxes == []
    assert [count for note, count in notes.items() if note.startswith("boxes left out (")] == [1]


def test_a_pedestrian_that_is_not_considered_is_ignored(mot):
    gt(mot, "1,1,11,6,10,20,0,1,1")
    assert first(mot)[0] == [((10, 5, 10, 20), True)]


@pytest.mark.parametrize(("least", "ignored"), [(0.0, False), (0.3, False), (0.31, True), (1.0, True)])
def test_visibility(mot, least, ignored):
    gt(mot, "1,1,11,6,10,20,1,1,0.3")
    boxes, notes = first(mot, visibility=least)
    assert boxes == [((10, 5, 10, 20), ignored)]
    assert notes[f"boxes made ignore regions (less than {100 * least:g} % visible)"] == ignored


def test_boxes_are_clipped_and_those_outside_dropped(mot):
    gt(mot, "1,1,-4,-9,10,20,1,1,1", "1,2,36,21,10,20,1,1,1", "1,3,41,1,5,5,1,1,1", "1,4,5,5,0,7,1,1,1")
    boxes, notes = first(mot)
    assert boxes == [((0, 0, 5, 10), False), ((35, 20, 5, 10), False)]
    assert notes["boxes clipped to the image"] == 2
    assert notes["boxes left out (no area inside the image)"] == 2


@pytest.mark.parametrize(("every", "frames"), [(1, [1, 2, 3]), (2, [1, 3]), (3, [1]), (9, [1])])
def test_every(mot, every, frames):
    found = whole(mot, every=every)
    assert [image.name for image in found.parts["val"]] == [f"MOT17-11/{frame:06d}.jpg" for frame in frames]


def test_one_of_several_detectors_below_train_and_what_no_split_names(mot, tmp_path):
    inner = tmp_path / "MOT17" / "train"
    for number, suffix in (("02", ""), ("02", "-SDP"), ("11", "-SDP"), ("11", "-DPM"), ("13", "-DPM"), ("09", "-DPM")):
        sequence(inner / f"MOT17-{number}{suffix}", [PEDESTRIAN])
    found = whole(inner.parent, every=3)
    places = [found.parts[role][0].path.parts[-3] for role in ("train", "val", "test")]
    assert places == ["MOT17-02", "MOT17-11-DPM", "MOT17-13-DPM"]
    assert found.notes["sequences left out (in no split)"] == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,1,11,6,10,20,1,1", r"gt\.txt:2: 8 columns instead of 9 \(MOT17 has frame, id, left"),
        ("1,1,11,6,10,20,1,14,1", r"gt\.txt:2: class 14 is unknown"),
        ("1,1,11,6,10,20,1,1.5,1", r"gt\.txt:2: the class is 1\.5, not a whole number"),
        ("4,1,11,6,10,20,1,1,1", r"gt\.txt:2: frame 4 is not in 1\.\.3"),
        ("1,1,eleven,6,10,20,1,1,1", r"gt\.txt:2: could not convert .*eleven"),
        ("1,1,nan,6,10,20,1,1,1", r"gt\.txt:2: not every number is finite"),
    ],
)
def test_bad_lines(mot, line, message):
    gt(mot, PEDESTRIAN, line)
    with pytest.raises(UserError, match=message):
        first(mot, every=3)


def test_missing_parts(mot):
    folder = mot / "MOT17-02-FRCNN"
    (folder / "img1" / "000003.jpg").unlink()
    with pytest.raises(UserError, match=r"000003\.jpg: this frame is missing"):
        first(mot, every=1)
    draw(folder / "img1" / "000003.jpg", WIDTH, HEIGHT + 1)
    with pytest.raises(UserError, match=r"000003\.jpg: the image is 40 x 31 px, but its labels are for 40 x 30"):
        settled(whole(mot, every=1), Options())
    (folder / "img1" / "000001.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"000001\.jpg: cannot read the image"):
        settled(whole(mot), Options())
    (folder / "gt" / "gt.txt").unlink()
    with pytest.raises(UserError, match=r"there is no ground truth \(MOT17 has it for 02 04"):
        first(mot)
    (folder / "seqinfo.ini").write_text("[Sequence]\nimWidth=40\n")
    with pytest.raises(UserError, match=r"seqinfo\.ini: cannot read the sequence: 'seqLength'"):
        first(mot)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequences": ALONE | {"val": (4,)}}, r"sequence 04 is not there \(choose of 02, 11, 13\)"),
        ({"sequences": ALONE | {"val": (2,)}}, "sequence 02 is named twice"),
        ({"sequences": ALONE, "visibility": 1.5}, r"--visibility: 1\.5 is not in 0\.\.1"),
        ({"sequences": ALONE, "every": 0}, "--every: 0 is less than 1"),
    ],
)
def test_bad_options(mot, options, message):
    with pytest.raises(UserError, match=message):
        read_mot17(mot, **options)


def test_all_that_is_wrong_is_said_at_once(mot):
    gt(mot, "1,1", PEDESTRIAN, "9,1,11,6,10,20,1,1,1.0")
    (mot / "MOT17-13-FRCNN" / "img1" / "000002.jpg").unlink()
    faults = list(map(str, read_mot17(mot, sequences=ALONE, every=1).faults.found))
    assert len(faults) == 3
    assert "gt.txt:1: 2 columns" in faults[0]
    assert "gt.txt:3: frame 9" in faults[1]
    assert "000002.jpg: this frame is missing" in faults[2]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(mot, encoding):
    for name in ("seqinfo.ini", "gt/gt.txt"):
        path = mot / "MOT17-02-FRCNN" / name
        path.write_text(path.read_text(), encoding=encoding)
    assert first(mot)[0] == [((10, 5, 10, 20), False)]


def test_the_sequences_that_are_there(mot):
    for number in ("04", "01"):
        sequence(mot / f"MOT17-{number}-FRCNN", [PEDESTRIAN], frames=11)
    (mot / "MOT17-01-FRCNN" / "gt" / "gt.txt").unlink()
    found = read(str(mot), Options())
    names = {role: [image.name for image in part] for role, part in found.parts.items()}
    train = ["MOT17-02/000001.jpg", "MOT17-04/000001.jpg", "MOT17-04/000011.jpg"]
    assert names == {"train": train, "val": ["MOT17-11/000001.jpg"], "test": ["MOT17-13/000001.jpg"]}
    for number in ("11", "13"):
        (mot / f"MOT17-{number}-FRCNN").rename(mot / number)
    with pytest.raises(UserError, match=r"there is train \(3 images\), but no val and no test"):
        load(f"mot:{mot}")
    (mot / "MOT17-02-FRCNN" / "gt" / "gt.txt").unlink()
    (mot / "MOT17-04-FRCNN" / "gt" / "gt.txt").unlink()
    with pytest.raises(UserError, match=r"there is no ground truth in it \(MOT17 has it for 02 04"):
        load(f"mot:{mot}")


def test_a_video_is_never_divided(mot):
    for number in ("04", "09", "05"):
        sequence(mot / f"MOT17-{number}-FRCNN", [PEDESTRIAN], frames=31)
    found = settled(read(str(mot), Options(split="50/25/25")), Options(split="50/25/25"))
    roles = [{image.group for image in part} for part in found.parts.values()]
    assert sum(map(len, roles)) == len(set().union(*roles)) == 6
    assert sum(map(len, found.parts.values())) == 3 + 3 * 4


def test_what_is_seen(mot, tmp_path):
    assert sees(mot) == "MOT17 (MOT17-02-FRCNN)"
    (tmp_path / "MOT17" / "train" / "MOT17-04-DPM").mkdir(parents=True)
    assert sees(tmp_path / "MOT17") == "MOT17 (train/MOT17-04-DPM)"
    (tmp_path / "other" / "MOT20-01").mkdir(parents=True)
    assert sees(tmp_path / "other") is None


def test_another_folder(tmp_path):
    with pytest.raises(UserError, match=r"there is no folder MOT17-"):
        read_mot17(tmp_path)
    with pytest.raises(UserError, match=r"cannot list this folder"):
        read_mot17(tmp_path / "gone")
