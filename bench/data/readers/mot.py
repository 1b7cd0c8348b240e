"""Reader of MOT17 (Milan et al. 2016, arXiv:1603.00831): videos of pedestrians.

`gt/gt.txt` of each sequence has the columns frame, id, left, top, width, height, considered (0 or 1), class,
visibility; frames and pixels count from 1.

The object is class 1, the pedestrian. What looks like a person but is not scored by the benchmark (its `considered` is
0; persons on vehicles, static persons, distractors, reflections) becomes an ignore region. As objects they would count
as missed by a detector that tells them from pedestrians; as background, a detector would be blamed for finding a person
where one can be seen. Pedestrians hardly visible become ignore regions as well: most of such a box is a guess of the
annotators, and no detector can place it. Vehicles and occluders are dropped.
"""

from __future__ import annotations

import configparser
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.faults import Faults
from bench.data.found import Box, Found, Labelled, inside, labelled
from bench.data.options import Options
from bench.data.readers.reading import deals_all, entries, finite, folders, lines, whole
from bench.data.registry import Reader
from bench.data.split import Role
from bench.files import read_text
from bench.progress import bar
from models.errors import UserError

VISIBILITY, EVERY = 0.25, 10
SEQUENCES: Mapping[Role, tuple[int, ...]] = {"train": (2, 4, 5, 9, 10), "val": (11,), "test": (13,)}
PERSON = "person"  # the COCO category, so that stock weights know it
PEDESTRIAN = 1
IGNORED = {2: "person on vehicle", 7: "static person", 8: "distractor", 12: "reflection", 13: "crowd"}
DROPPED = {
    3: "car",
    4: "bicycle",
    5: "motorbike",
    6: "other vehicle",
    9: "occluder",
    10: "occluder on the ground",
    11: "full occluder",
}
SEQUENCE = re.compile(r"MOT17-(\d\d)(-\w+)?")
TRUTH = "MOT17 has it for 02 04 05 09 10 11 13 only"
COLUMNS = "frame, id, left, top, width, height, considered, class, visibility"


@dataclass(frozen=True)
class Row:
    """A line of gt.txt that may stay.

    Attributes:
        corners: x1, y1, x2, y2 in px, from 0.
        kind: MOT17's class, 1 to 13.
        considered: whether the benchmark scores it.
        visibility: visible share, in [0, 1].
    """

    corners: tuple[float, float, float, float]
    kind: int
    considered: bool
    visibility: float


@dataclass(frozen=True)
class Video:
    """One video.

    Attributes:
        number: of the sequence.
        folder: of the sequence.
        images: folder of its frames.
        suffix: of the frames' files.
        length: how many frames there are.
        width: in px.
        height: in px.
    """

    number: int
    folder: Path
    images: Path
    suffix: str
    length: int
    width: int
    height: int


def read(place: str, options: Options) -> Found:
    """`mot:DIR` (a `bench.data.registry.Reader`): the sequences of each split that are there.

    Args:
        place: path of the folder.
        options: as of `bench.data.spec.load`; where they deal all images anew, all sequences with ground truth are
            taken.

    Raises:
        UserError: there is no such folder, or no sequence with ground truth in it.
    """
    source = options.folder(place, "mot")
    there = [number for number, folder in _folders(source).items() if _truth(folder).is_file()]
    if not there:
        raise UserError("there is no ground truth in it", where=str(source), fix=TRUTH)
    if deals_all(options):
        return read_mot17(source, sequences={None: there})
    kept = {role: [number for number in numbers if number in there] for role, numbers in SEQUENCES.items()}
    return read_mot17(source, sequences={role: numbers for role, numbers in kept.items() if numbers})


def read_mot17(
    source: Path,
    *,
    sequences: Mapping[Role, Sequence[int]] | Mapping[None, Sequence[int]] = SEQUENCES,
    visibility: float = VISIBILITY,
    every: int = EVERY,
) -> Found:
    """Read MOT17 videos as images of persons.

    Of a sequence that is there once per detector one is taken: images and ground truth are the same. Splits take whole
    sequences, because the frames of one video show the same people in front of the same walls: on both sides of a split
    they would let a detector be tested on what it was trained on.

    Args:
        source: holds MOT17-02-FRCNN/ and so on, or holds them under train/.
        sequences: sequence numbers per split; under None: not divided.
        visibility: in 0..1; pedestrians less visible than this become ignore regions.
        every: of so many frames one is taken, beginning with the first. Neighbours are nearly the same image, and
            intervals computed over them would be too narrow.

    Returns:
        Images and boxes by split; the group of an image is its sequence.

    Raises:
        UserError: a sequence is missing, or an option is out of range.
    """
    if not 0 <= visibility <= 1:
        raise UserError(f"{visibility} is not in 0..1", where="--visibility", fix="0.25 is a quarter visible")
    if every < 1:
        raise UserError(f"{every} is less than 1", where="--every", fix="1 takes every frame")
    chosen = [(role, number) for role, numbers in sequences.items() for number in numbers]
    twice = [number for number, times in Counter(number for _, number in chosen).items() if times > 1]
    if twice:
        raise UserError(f"sequence {twice[0]:02d} is named twice", where=str(source), fix="name it in one split only")
    there = _folders(source)
    videos = [(role, _sequence(source, there, number)) for role, number in chosen]
    parts: dict[Role | None, list[Labelled]] = {role: [] for role, _ in chosen}
    notes = Counter({"sequences left out (in no split)": len(set(there) - {number for _, number in chosen})})
    faults = Faults()
    with bar("reading MOT17", sum(len(range(0, video.length, every)) for _, video in videos)) as advance:
        for role, video in videos:
            with faults.caught():
                rows, files = _rows(video, faults), set(entries(video.images, "the frames of the sequence belong here"))
                for frame in range(1, video.length + 1, every):
                    with faults.caught():
                        parts[role].append(_labelled(video, frame, files, rows[frame], visibility, notes))
                    advance()
    return Found(source.resolve().name, "MOT17", (PERSON,), parts, notes, faults)


def sees(folder: Path) -> str | None:
    """What of this layout lies in a folder."""
    for place in (folder / "train", folder):
        found = [path for path in folders(place) if SEQUENCE.fullmatch(path.name)]
        if found:
            return f"MOT17 ({found[0].relative_to(folder)})"
    return None


def _folders(source: Path) -> dict[int, Path]:
    """The folder of each sequence, the first by name where there are several."""
    what = "give the folder that holds MOT17-02-FRCNN and its like, or holds train/ with them"
    place = source / "train" if (source / "train").is_dir() else source
    found: dict[int, Path] = {}
    for name in entries(place, what):
        match = SEQUENCE.fullmatch(name)
        if match:
            found.setdefault(int(match[1]), place / name)
    if not found:
        raise UserError("there is no folder MOT17-... in it", where=str(place), fix=what)
    return found


def _sequence(source: Path, there: Mapping[int, Path], number: int) -> Video:
    if number not in there:
        choice = ", ".join(f"{key:02d}" for key in sorted(there))
        raise UserError(f"sequence {number:02d} is not there", where=str(source), fix=f"choose of {choice}")
    folder = there[number]
    path, parser = folder / "seqinfo.ini", configparser.ConfigParser(interpolation=None)
    text = read_text(path, "restore it; MOT17 has one in each sequence")
    try:
        parser.read_string(text)
        table = parser["Sequence"]
        sizes = [int(table[key]) for key in ("seqLength", "imWidth", "imHeight")]
        return Video(number, folder, folder / table.get("imDir", "img1"), table.get("imExt", ".jpg"), *sizes)
    except (configparser.Error, KeyError, ValueError) as error:
        raise UserError(
            f"cannot read the sequence: {' '.join(str(error).split())}",
            where=str(path),
            fix="it needs [Sequence] with seqLength, imWidth and imHeight",
        ) from error


def _truth(folder: Path) -> Path:
    return folder / "gt" / "gt.txt"


def _rows(video: Video, faults: Faults) -> Mapping[int, list[Row]]:
    """The rows of gt.txt by frame, all of them checked."""
    path = _truth(video.folder)
    if not path.is_file():
        raise UserError("there is no ground truth", where=str(path), fix=TRUTH)
    found: dict[int, list[Row]] = defaultdict(list)
    for where, text in lines(path):
        with faults.caught():
            frame, row = _row(text, video, where)
            found[frame].append(row)
    return found


def _row(text: str, video: Video, where: str) -> tuple[int, Row]:
    """A line of gt.txt, and the frame that it is of."""
    parts = text.split(",")
    if len(parts) != 9:
        raise UserError(f"{len(parts)} columns instead of 9", where=where, fix=f"MOT17 has {COLUMNS}")
    frame, _, left, top, width, height, considered, kind, visibility = finite(parts, where)
    frame, kind = whole(frame, "frame", where), whole(kind, "class", where)
    if not 1 <= frame <= video.length:
        raise UserError(f"frame {frame} is not in 1..{video.length}", where=where, fix="compare with seqinfo.ini")
    if kind != PEDESTRIAN and kind not in IGNORED and kind not in DROPPED:
        raise UserError(f"class {kind} is unknown", where=where, fix="MOT17 has classes 1 to 13")
    corners = (left - 1, top - 1, left - 1 + width, top - 1 + height)
    return frame, Row(corners, kind, considered != 0, visibility)


def _labelled(
    video: Video, frame: int, files: set[str], rows: Sequence[Row], visibility: float, notes: Counter[str]
) -> Labelled:
    name, group = f"{frame:06d}{video.suffix}", f"MOT17-{video.number:02d}"
    path = video.images / name
    if name not in files:
        raise UserError("this frame is missing", where=str(path), fix="restore it; seqinfo.ini says it is there")
    boxes = [box for row in rows if (box := _box(row, video, visibility, notes))]
    return labelled(path, f"{group}/{name}", (video.width, video.height), boxes, {PERSON: 1}, group)


def _box(row: Row, video: Video, visibility: float, notes: Counter[str]) -> Box | None:
    if row.kind in DROPPED:
        notes[f"boxes left out ({DROPPED[row.kind]})"] += 1
        return None
    bbox = inside(row.corners, (video.width, video.height), notes)
    if bbox is None:
        return None
    reason = _ignored(row, visibility)
    if reason:
        notes[f"boxes made ignore regions ({reason})"] += 1
    return Box(PERSON, bbox, ignore=bool(reason))


def _ignored(row: Row, visibility: float) -> str:
    """Why a box is to count neither way; empty for an object."""
    if row.kind in IGNORED:
        return IGNORED[row.kind]
    if not row.considered:
        return "not considered by the benchmark"
    return f"less than {100 * visibility:g} % visible" if row.visibility < visibility else ""


READER = Reader(read, sees)
