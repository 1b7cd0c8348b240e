"""The same twelve images and their boxes, written in every layout that is read: as tools write them, by hand."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.reread import draw

WIDTH, HEIGHT = 40, 30
PERSON, CHAIR = ("person", (10, 5, 20, 25)), ("chair", (1, 2, 5, 10))  # x1, y1, x2, y2 in px
EMPTY = "3"
STEMS = {"train": ("0", "1", "2", EMPTY, "4", "5"), "val": ("6", "7", "8"), "test": ("9", "10", "11")}
NAMES = ("person", "chair")


def planted(stem: str) -> list:
    """What is in an image: mostly a person and a chair."""
    return [] if stem == EMPTY else [PERSON] if stem == "7" else [PERSON, CHAIR]


@dataclass(frozen=True)
class Layout:
    """A way to write data.

    Attributes:
        reader: that reads it.
        write: (folder) -> nothing; writes it there.
        split: that has to be asked for, because the layout does not divide or lacks a split.
    """

    reader: str
    write: Callable[[Path], None]
    split: str | None = None


LAYOUTS: dict[str, Layout] = {}


def layout(reader: str, split: str | None = None):
    def named(write: Callable[[Path], None]) -> Callable[[Path], None]:
        LAYOUTS[write.__name__.replace("_", "-")] = Layout(reader, write, split)
        return write

    return named


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def shares(name: str, corners: tuple) -> str:
    x1, y1, x2, y2 = corners
    centre = (x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT, (x2 - x1) / WIDTH, (y2 - y1) / HEIGHT
    return " ".join(f"{value:.10g}" for value in (NAMES.index(name), *centre))


def box_line(name: str, corners: tuple) -> str:
    return shares(name, corners)


def polygon_line(name: str, corners: tuple) -> str:
    x1, y1, x2, y2 = corners
    points = [((x1 + x2) / 2, y1), (x2, (y1 + y2) / 2), ((x1 + x2) / 2, y2), (x1, (y1 + y2) / 2)]
    return " ".join(
        f"{value:.10g}" for value in (NAMES.index(name), *(v for x, y in points for v in (x / WIDTH, y / HEIGHT)))
    )


def pose_line(name: str, corners: tuple) -> str:
    return shares(name, corners) + " 0.9 0.9 2 0 0 0"


def yolo(images: Path, labels: Path, stems, line=box_line) -> None:
    for stem in stems:
        draw(images / f"{stem}.png", WIDTH, HEIGHT)
        text(labels / f"{stem}.txt", "".join(f"{line(*box)}\n" for box in planted(stem)))


def splits(folder: Path, images: str, labels: str, line=box_line, names=None) -> None:
    for role, stems in STEMS.items():
        called = (names or {}).get(role, role)
        yolo(folder / images.format(called), folder / labels.format(called), stems, line)


EVERY = [stem for stems in STEMS.values() for stem in stems]
CLASSES = "person\nchair\n"
ULTRALYTICS = "path: ../datasets/parts\ntrain: images/train\nval: images/val\ntest: images/test\n"
VALID = {"val": "valid"}


@layout("yolo")
def ultralytics_detect(folder):
    splits(folder, "images/{}", "labels/{}")
    text(folder / "parts.yaml", ULTRALYTICS + "names:\n  0: person\n  1: chair\n")


@layout("yolo")
def ultralytics_segment(folder):
    splits(folder, "images/{}", "labels/{}", polygon_line)
    text(folder / "data.yaml", ULTRALYTICS + "names: [person, chair]\n")


@layout("yolo")
def ultralytics_obb(folder):
    splits(folder, "images/{}2017", "labels/{}2017", polygon_line)
    text(
        folder / "data.yaml",
        "train: images/train2017\nval: images/val2017\ntest: images/test2017\nnames: [person, chair]",
    )


@layout("yolo")
def ultralytics_pose(folder):
    splits(folder, "images/{}", "labels/{}", pose_line)
    text(folder / "data.yaml", ULTRALYTICS + "kpt_shape: [2, 3]\nnames: [person, chair]\n")


@layout("yolo")
def ultralytics_lists_of_folders(folder):
    yolo(folder / "a" / "images", folder / "a" / "labels", STEMS["train"][:3])
    yolo(folder / "b" / "images" / "deep", folder / "b" / "labels" / "deep", STEMS["train"][3:])
    yolo(folder / "c" / "images", folder / "c" / "labels", STEMS["val"])
    yolo(folder / "d", folder / "d", STEMS["test"])
    text(folder / "data.yaml", f"train: [a/images, b/images]\nval: {folder}/c\ntest: [d]\nnames: [person, chair]\n")


@layout("yolo")
def cvat_ultralytics(folder):
    splits(folder, "images/{}", "labels/{}")
    for role, stems in STEMS.items():
        text(folder / f"{role}.txt", "".join(f"data/images/{role}/{stem}.png\n" for stem in stems))
    text(
        folder / "data.yaml", "names:\n  0: person\n  1: chair\npath: .\ntrain: train.txt\nval: val.txt\ntest: test.txt"
    )


@layout("yolo")
def roboflow_yolo(folder):
    splits(folder, "{}/images", "{}/labels", names=VALID)
    paths = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    text(folder / "data.yaml", f"{paths}\nnc: 2\nnames: ['person', 'chair']\n")
    text(folder / "README.dataset.txt", "# parts > 2024\nhttps://example.org\n")


@layout("yolo")
def roboflow_darknet(folder):
    splits(folder, "{}", "{}", names=VALID)
    for name in ("train", "valid", "test"):
        text(folder / name / "_darknet.labels", CLASSES)


@layout("yolo", "50/25/25")
def cvat_yolo(folder):
    yolo(folder / "obj_train_data", folder / "obj_train_data", EVERY)
    text(folder / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    text(folder / "obj.names", CLASSES)
    text(folder / "train.txt", "".join(f"data/obj_train_data/{stem}.png\n" for stem in EVERY))


@layout("yolo")
def darknet(folder):
    splits(folder, "obj_{}_data", "obj_{}_data")
    text(folder / "obj.data", "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n")
    text(folder / "obj.names", CLASSES)
    for role, stems in STEMS.items():
        name = VALID.get(role, role)
        text(folder / f"{name}.txt", "".join(f"/home/me/darknet/obj_{role}_data/{stem}.png\n" for stem in stems))
    text(
        folder / "obj.data", "".join(f"{VALID.get(role, role)} = data/{VALID.get(role, role)}.txt\n" for role in STEMS)
    )


@layout("yolo", "50/25/25")
def label_studio_yolo(folder):
    yolo(folder / "images", folder / "labels", EVERY)
    text(folder / "classes.txt", CLASSES)
    text(folder / "notes.json", '{"categories": [{"id": 0, "name": "person"}], "info": {}}')


@layout("yolo", "50/25/25")
def labelimg_yolo(folder):
    yolo(folder, folder, EVERY)
    text(folder / "classes.txt", CLASSES)


@layout("yolo")
def yolo_folders_without_paths(folder):
    splits(folder, "images/{}", "labels/{}")
    text(folder / "labels" / "classes.txt", CLASSES)


@layout("yolo")
def yolo_splits_without_paths(folder):
    splits(folder, "{}/images", "{}/labels", names={"val": "validation"})
    text(folder / "data.yml", "names: [person, chair]\n")


def xml(path: Path, image: str, stem: str, head: str = "") -> None:
    objects = "".join(
        f"<object><name>{name}</name><pose>Unspecified</pose><difficult>0</difficult><bndbox><xmin>{x1 + 1}</xmin>"
        f"<ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>\n"
        for name, (x1, y1, x2, y2) in planted(stem)
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    text(path, f"{head}<annotation>\n<filename>{image}</filename>\n{size}\n{objects}</annotation>\n")


def voc(images: Path, labels: Path, stems) -> None:
    for stem in stems:
        draw(images / f"{stem}.png", WIDTH, HEIGHT)
        xml(labels / f"{stem}.xml", f"{stem}.png", stem)


def lists(folder: Path, **stems) -> None:
    for name, some in stems.items():
        text(folder / "ImageSets" / "Main" / f"{name}.txt", "".join(f"{stem}\n" for stem in some))


@layout("voc")
def voc2007(folder):
    voc(folder / "JPEGImages", folder / "Annotations", EVERY)
    lists(folder, **STEMS, trainval=[*STEMS["train"], *STEMS["val"]])
    text(folder / "ImageSets" / "Main" / "chair_train.txt", "0  1\n1 -1\n")


@layout("voc", "50/25/25")
def voc2012(folder):
    voc(folder / "JPEGImages", folder / "Annotations", EVERY)
    lists(folder, train=EVERY[:6], val=EVERY[6:], trainval=EVERY)


@layout("voc", "50/25/25")
def cvat_voc(folder):
    voc(folder / "JPEGImages", folder / "Annotations", EVERY)
    lists(folder, default=EVERY)
    text(folder / "labelmap.txt", "# label:color_rgb:parts:actions\nperson:1,2,3::\nchair:4,5,6::\n")


@layout("voc")
def roboflow_voc(folder):
    for role, stems in STEMS.items():
        place = folder / VALID.get(role, role)
        voc(place, place, stems)
    text(folder / "README.roboflow.txt", "parts\n")


@layout("voc", "50/25/25")
def labelimg_voc(folder):
    voc(folder, folder, EVERY)


@layout("voc", "50/25/25")
def label_studio_voc(folder):
    voc(folder / "images", folder / "Annotations", EVERY)


@layout("voc", "50/25/25")
def voc_with_one_other_folder(folder):
    voc(folder / "photographs", folder / "annotations", EVERY)


@layout("voc")
def voc_images_of_splits(folder):
    for role, stems in STEMS.items():
        voc(folder / "images" / role, folder / "images" / role, stems)


@layout("voc")
def voc_folders_in_both(folder):
    for role, stems in STEMS.items():
        voc(folder / "images" / role, folder / "annotations" / role, stems)


@layout("voc")
def voc_folders_in_splits(folder):
    for role, stems in STEMS.items():
        voc(folder / role / "images", folder / role / "annotations", stems)


def coco(path: Path, images: Path, stems, prefix: str = "", root: bool = False) -> None:
    """An annotation file; Roboflow's has a category 0 above the others."""
    annotations = []
    for i, stem in enumerate(stems, 1):
        draw(images / f"{stem}.png", WIDTH, HEIGHT)
        for name, (x1, y1, x2, y2) in planted(stem):
            box, area = [x1, y1, x2 - x1, y2 - y1], (x2 - x1) * (y2 - y1)
            one = {"id": len(annotations) + 1, "image_id": i, "category_id": NAMES.index(name) + 1, "bbox": box}
            annotations.append(one | {"area": area, "iscrowd": 0, "segmentation": []})
    entries = [
        {"id": i, "file_name": f"{prefix}{stem}.png", "width": WIDTH, "height": HEIGHT}
        for i, stem in enumerate(stems, 1)
    ]
    categories = [{"id": 0, "name": "parts", "supercategory": "none"}] if root else []
    categories += [{"id": i, "name": name, "supercategory": "parts"} for i, name in enumerate(NAMES, 1)]
    text(path, json.dumps({"images": entries, "annotations": annotations, "categories": categories}))


@layout("coco")
def coco_itself(folder):
    for role, stems in STEMS.items():
        coco(folder / "annotations" / f"instances_{role}2017.json", folder / f"{role}2017", stems)
    text(folder / "annotations" / "captions_val2017.json", '{"images": [], "annotations": [], "categories": []}')


@layout("coco")
def roboflow_coco(folder):
    for role, stems in STEMS.items():
        place = folder / VALID.get(role, role)
        coco(place / "_annotations.coco.json", place, stems, root=True)


@layout("coco", "50/25/25")
def cvat_coco(folder):
    coco(folder / "annotations" / "instances_default.json", folder / "images" / "default", EVERY)


@layout("coco", "50/25/25")
def label_studio_coco(folder):
    coco(folder / "result.json", folder / "images", EVERY, prefix="images/")


@layout("coco", "50/25/25")
def labelme2coco(folder):
    coco(folder / "dataset.json", folder, EVERY)


@layout("coco", "50/25/25")
def sahi(folder):
    coco(folder / "coco.json", folder / "images", EVERY)


@layout("mot")
def mot17(folder):
    for number, stems in zip(("02", "11", "13"), STEMS.values(), strict=True):
        sequence(folder / "train" / f"MOT17-{number}-FRCNN", stems)


def sequence(folder: Path, stems) -> None:
    """A video of which every tenth frame is one of ours: the persons in it are pedestrians, the chairs cars."""
    rows = []
    for i, stem in enumerate(stems):
        draw(folder / "img1" / f"{10 * i + 1:06d}.jpg", WIDTH, HEIGHT)
        for name, (x1, y1, x2, y2) in planted(stem):
            kind = 1 if name == "person" else 3
            rows.append(f"{10 * i + 1},{i},{x1 + 1},{y1 + 1},{x2 - x1},{y2 - y1},1,{kind},1.0\n")
    head = f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate=30\nseqLength={10 * len(stems)}\n"
    text(folder / "seqinfo.ini", f"{head}imWidth={WIDTH}\nimHeight={HEIGHT}\nimExt=.jpg\n")
    text(folder / "gt" / "gt.txt", "".join(rows))
