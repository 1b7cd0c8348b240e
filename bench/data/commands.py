"""`bench data convert ...`: other formats into the COCO folder that `--data coco:DIR` reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import UserError

if TYPE_CHECKING:
    from bench.data.convert.converted import Converted
    from bench.data.split import Role

app = typer.Typer(no_args_is_help=True, help="Bring data into the form that --data reads.")
convert = typer.Typer(no_args_is_help=True, help="Convert MOT17, Pascal VOC or YOLO labels into a COCO folder.")
app.add_typer(convert, name="convert")

Source = Annotated[Path, typer.Argument(help="Folder of the dataset; only read.")]
Out = Annotated[Path, typer.Argument(help="Folder for images/ and instances_{train,val,test}.json.")]
Copy = Annotated[bool, typer.Option("--copy", help="Copy images; otherwise hard links where possible.")]
Force = Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")]
Split = Annotated[
    str | None, typer.Option(help="Shares of train,val,test, dealt by hash of the image name; not for video frames.")
]


@convert.command("mot17")
def mot17_command(
    source: Source,
    out: Out,
    train: Annotated[str, typer.Option(help="Sequence numbers, comma-separated.")] = "02,04,05,09,10",
    val: Annotated[str, typer.Option(help="Sequence numbers, comma-separated.")] = "11",
    test: Annotated[str, typer.Option(help="Sequence numbers, comma-separated.")] = "13",
    visibility: Annotated[float, typer.Option(help="Pedestrians less visible (0..1) become ignore regions.")] = 0.25,
    every: Annotated[int, typer.Option(help="Take one of so many frames; neighbours are nearly the same.")] = 10,
    copy: Copy = False,
    force: Force = False,
) -> None:
    """MOT17 videos: pedestrians become the class person, split by whole sequences.

    Examples:

      bench data convert mot17 MOT17 data/mot17

      bench data convert mot17 MOT17/train data/mot17 --val 09,11 --train 02,04,05,10 --every 5
    """
    from bench.data.convert.mot import read_mot17

    sequences: dict[Role, list[int]] = {
        "train": numbers(train, "--train"),
        "val": numbers(val, "--val"),
        "test": numbers(test, "--test"),
    }
    run(lambda: read_mot17(source, sequences=sequences, visibility=visibility, every=every), out, copy, force)


@convert.command("voc")
def voc_command(
    source: Source,
    out: Out,
    split: Split = None,
    classes: Annotated[str | None, typer.Option(help="Names that may occur, comma-separated; all if left out.")] = None,
    copy: Copy = False,
    force: Force = False,
) -> None:
    """Pascal VOC: Annotations/*.xml, JPEGImages/ and ImageSets/Main/{train,val,test}.txt.

    Examples:

      bench data convert voc VOCdevkit/VOC2007 data/voc2007

      bench data convert voc VOCdevkit/VOC2012 data/voc2012 --split 0.8,0.1,0.1
    """
    from bench.data.convert.reading import shares
    from bench.data.convert.voc import read_voc

    parts = shares(split) if split else None
    names = [name.strip() for name in classes.split(",")] if classes else None
    run(lambda: read_voc(source, parts=parts, classes=names), out, copy, force)


@convert.command("yolo")
def yolo_command(source: Source, out: Out, split: Split = None, copy: Copy = False, force: Force = False) -> None:
    """YOLO labels: images/{train,val,test}/, labels/{train,val,test}/ and data.yaml or classes.txt.

    Examples:

      bench data convert yolo parts data/parts

      bench data convert yolo parts data/parts --split 0.8,0.1,0.1 --copy
    """
    from bench.data.convert.reading import shares
    from bench.data.convert.yolo import read_yolo

    parts = shares(split) if split else None
    run(lambda: read_yolo(source, parts=parts), out, copy, force)


def run(read: Callable[[], Converted], out: Path, copy: bool, force: bool) -> None:
    """Convert a dataset and print what came of it.

    Args:
        read: reads the source.
        out: the folder to write.
        copy: whether images are copied rather than linked.
        force: whether `out` may hold something.
    """
    from bench.data.convert.write import check_free, write

    check_free(out, force)
    found = read()
    write(found, out, copy)
    for line in found.summary():
        typer.echo(line)
    typer.echo(f"use it: --data coco:{out}")


def numbers(text: str, option: str) -> list[int]:
    """Comma-separated sequence numbers.

    Args:
        text: such as "02,04,05".
        option: whose value it is.

    Returns:
        The numbers.

    Raises:
        UserError: the text is something else.
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{text!r} is no list of sequence numbers", where=option, fix="such as 02,04,05") from None
